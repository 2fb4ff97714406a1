"""By what this machine speaks for an account: a key, its certificate, and where they are good."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sdm.client.home import Home, read_json, write_json
from sdm.control_plane.where import ControlPlane
from sdm.pki import chain


@dataclass(frozen=True, slots=True)
class Person:
    account_id: str
    email: str
    name: str

    def __str__(self) -> str:
        return self.email or self.name


@dataclass(frozen=True, slots=True)
class Identity:
    control_plane: ControlPlane
    person: Person
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate
    # The certificate can be renewed until then; afterwards one signs in again.
    ends_at: dt.datetime

    @property
    def thumbprint(self) -> str:
        return chain.thumbprint(self.certificate)

    @property
    def expires_at(self) -> dt.datetime:
        return self.certificate.not_valid_after_utc

    def is_over(self, now: dt.datetime) -> bool:
        """Whether the login is; a certificate that has expired before that can be renewed."""
        return now >= self.ends_at

    @property
    def chain_pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load(home: Home) -> Identity | None:
    """The identity that was saved; None when nobody is signed in."""
    content = read_json(home.identity)
    return _identity(content) if content is not None else None


def save(home: Home, identity: Identity) -> None:
    content = {
        "host": identity.control_plane.host,
        "port": identity.control_plane.port,
        "pins": sorted(identity.control_plane.pins),
        "account_id": identity.person.account_id,
        "email": identity.person.email,
        "name": identity.person.name,
        "key": identity.key_pem,
        "certificate": identity.chain_pem,
        "ends_at": identity.ends_at.isoformat(),
    }
    write_json(home.identity, content)


def forget(home: Home) -> None:
    home.identity.unlink(missing_ok=True)


def _identity(content: dict[str, Any]) -> Identity | None:
    """None for a file of another version, or one that somebody edited: signing in makes a new one."""
    try:
        key = load_pem_private_key(content["key"].encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            return None
        return Identity(
            ControlPlane(content["host"], content["port"], frozenset(content["pins"])),
            Person(content["account_id"], content["email"], content["name"]),
            key,
            x509.load_pem_x509_certificate(content["certificate"].encode()),
            dt.datetime.fromisoformat(content["ends_at"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
