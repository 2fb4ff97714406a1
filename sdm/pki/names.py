"""Who a certificate is for: a SPIFFE id, as a URI in its SAN.

    spiffe://<trust domain>/cluster/<n-…>/worker/<w-…>
    spiffe://<trust domain>/account/<a-…>
    spiffe://<trust domain>/control-plane

There is one spelling of each name. What is not exactly that spelling is no name: nothing is lower-cased, decoded
or trimmed, so that no two parts of the product can read one certificate differently.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

SCHEME = "spiffe://"
# The SPIFFE standard allows a trust domain 255 bytes.
MAX_TRUST_DOMAIN = 255
# The scheme, the domain, and the longest path: `/cluster/n-…/worker/w-…`.
MAX_LENGTH = len(SCHEME) + MAX_TRUST_DOMAIN + len("/cluster//worker/") + 2 * 18

_TRUST_DOMAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII)
_ID = "{}-[0-9a-f]{{16}}"
_WORKER_PATH = re.compile(rf"/cluster/({_ID.format('n')})/worker/({_ID.format('w')})", re.ASCII)
_CLIENT_PATH = re.compile(rf"/account/({_ID.format('a')})", re.ASCII)


class Kind(StrEnum):
    """Whom certificates are for. Each kind has an authority and a profile of its own."""

    WORKER = "worker"
    CLIENT = "client"
    CONTROL = "control"


class BadName(ValueError):
    """The text is not a name of ours; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class WorkerName:
    """A worker, and the one cluster it belongs to."""

    trust_domain: str
    cluster_id: str
    worker_id: str

    kind: ClassVar[Kind] = Kind.WORKER

    def __post_init__(self) -> None:
        _check(self.trust_domain, _WORKER_PATH, self.path)

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain}{self.path}"

    @property
    def path(self) -> str:
        return f"/cluster/{self.cluster_id}/worker/{self.worker_id}"

    @property
    def subject_id(self) -> str:
        return self.worker_id


@dataclass(frozen=True, slots=True)
class ClientName:
    """A person or a service, at one of their machines."""

    trust_domain: str
    account_id: str

    kind: ClassVar[Kind] = Kind.CLIENT

    def __post_init__(self) -> None:
        _check(self.trust_domain, _CLIENT_PATH, self.path)

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain}{self.path}"

    @property
    def path(self) -> str:
        return f"/account/{self.account_id}"

    @property
    def subject_id(self) -> str:
        return self.account_id


@dataclass(frozen=True, slots=True)
class ControlName:
    """The control plane, as workers and clients connect to it."""

    trust_domain: str

    kind: ClassVar[Kind] = Kind.CONTROL
    path: ClassVar[str] = "/control-plane"
    subject_id: ClassVar[str] = "control-plane"

    def __post_init__(self) -> None:
        _check_trust_domain(self.trust_domain)

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain}{self.path}"


Name = WorkerName | ClientName | ControlName


def parse(text: str) -> Name:
    """The name that `text` spells; BadName when it is none."""
    domain, path = _split(text)
    if found := _WORKER_PATH.fullmatch(path):
        return WorkerName(domain, found[1], found[2])
    if found := _CLIENT_PATH.fullmatch(path):
        return ClientName(domain, found[1])
    if path == ControlName.path:
        return ControlName(domain)
    raise BadName("The path of the name is no worker's, no account's and not the control plane's.")


def parse_trust_domain(text: str) -> str:
    """The domain of `spiffe://<trust domain>`, the name of an authority; BadName when it is none."""
    domain, path = _split(text)
    if path:
        raise BadName("An authority is named by its trust domain alone.")
    return domain


def is_trust_domain(text: str) -> bool:
    return len(text) <= MAX_TRUST_DOMAIN and _TRUST_DOMAIN.fullmatch(text) is not None


def _split(text: str) -> tuple[str, str]:
    if len(text) > MAX_LENGTH:
        raise BadName(f"A name has at most {MAX_LENGTH} characters.")
    if not text.startswith(SCHEME):
        raise BadName(f"A name begins with {SCHEME}.")
    domain, slash, rest = text.removeprefix(SCHEME).partition("/")
    _check_trust_domain(domain)
    return domain, slash + rest


def _check(trust_domain: str, path: re.Pattern[str], text: str) -> None:
    _check_trust_domain(trust_domain)
    if not path.fullmatch(text):
        raise BadName("An id in a name is its prefix and 16 hexadecimal digits.")


def _check_trust_domain(text: str) -> None:
    if not is_trust_domain(text):
        raise BadName(
            f"A trust domain has 1 to {MAX_TRUST_DOMAIN} lower-case letters, digits, dots, hyphens and underscores."
        )
