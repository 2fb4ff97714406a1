"""The worker's settings, from the environment: read once, checked as a whole, passed down.

Everything that is wrong is said at once, each with the name of the variable, its value (never a secret's) and what
is allowed.
"""

import difflib
import ipaddress
import itertools
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sdm.contract.address import canonical_host
from sdm.contract.keys import PREFIX, MalformedKey, SecretKey
from sdm.control_plane import where
from sdm.control_plane.where import ControlPlane
from sdm.worker.destination import CopyFormat, Destination

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_BIND = ":8443"
MAX_WORKERS = 256
DEFAULT_SPOOL, MAX_SPOOL = 1 << 28, 1 << 40
_ACCESS_KEY = re.compile(r"gk-[0-9a-f]{16}", re.ASCII)
# A key or a certificate file has some kilobytes; a device or a log is not read to its end.
MAX_FILE = 1 << 20

# Known to the system that this one stays compatible with; a worker of ours has no use for them yet.
UNUSED = ("SDM_DISABLE_UPDATE", "SDM_DOCKERIZED")
SECRETS = ("SDM_PROXY_CLUSTER_ACCESS_KEY", "SDM_PROXY_CLUSTER_SECRET_KEY")
CERT_FILES = ("SDM_TLS_CERT_FILE", "SDM_TLS_KEY_FILE")
KNOWN = (
    *SECRETS,
    *(f"{name}_FILE" for name in SECRETS),
    "SDM_APP_DOMAIN",
    "SDM_APP_CA_PIN",
    "SDM_BIND_ADDRESS",
    "SDM_TLS_CERT_SOURCE",
    *CERT_FILES,
    "SDM_TLS_CLIENT_AUTH",
    "SDM_PROXY_PROTOCOL_TRUSTED",
    "SDM_FORWARDED_FOR_TRUSTED",
    "SDM_ORCHESTRATOR_PROBES",
    "SDM_METRICS_LISTEN_ADDRESS",
    "SDM_MAINTENANCE_WINDOW_START",
    "SDM_OFFLINE_GRACE",
    "SDM_MAX_SESSIONS_PER_PERSON",
    "SDM_AUDIT",
    "SDM_SPOOL_DIRECTORY",
    "SDM_SPOOL_BYTES",
    "SDM_RELAY_LOG_STORAGE",
    "SDM_RELAY_LOG_FORMAT",
    "SDM_RELAY_LOG_ENCRYPTION",
    "SDM_SHUTDOWN_NOTICE",
    "SDM_SHUTDOWN_TIMEOUT",
    "SDM_WORKERS",
    "SDM_LOG_FORMAT",
    "SDM_VERBOSE",
)


class CertSource(StrEnum):
    STRONGDM = "strongdm"
    FILE = "file"
    NONE = "none"


class ClientAuth(StrEnum):
    DIRECT = "direct"
    NONE = "none"


class LogEncryption(StrEnum):
    PLAINTEXT = "plaintext"
    PUBLICKEY = "publickey"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class Audit(StrEnum):
    """What happens when a request cannot be logged: it is not forwarded, or it is."""

    STRICT = "strict"
    RELAXED = "relaxed"


class ConfigError(Exception):
    """Settings are missing or wrong: a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen; an empty host is every address of the machine, of both families."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def overlaps(self, other: "Listen") -> bool:
        """Whether one machine cannot have both. Port 0 is any that is free."""
        if self.port != other.port or not self.port:
            return False
        return self.host == other.host or self._covers(other) or other._covers(self)

    def _covers(self, other: "Listen") -> bool:
        match self.host:
            case "":
                return True
            case "0.0.0.0":  # noqa: S104  # compared with
                return ":" not in other.host
            case "::":
                return ":" in other.host
        return False


@dataclass(frozen=True, slots=True)
class Config:
    access_key: str
    secret_key: SecretKey = field(repr=False)
    control_plane: ControlPlane
    bind: Listen
    cert_source: CertSource
    cert_file: Path | None
    key_file: Path | None
    client_auth: ClientAuth
    proxy_protocol_trusted: tuple[Network, ...]
    forwarded_for_trusted: tuple[Network, ...]
    probes: Listen | None
    metrics: Listen | None
    maintenance_window_start: int
    offline_grace: int
    sessions_per_person: int
    audit: Audit
    spool_directory: Path
    spool_bytes: int
    second_copy: Destination | None
    shutdown_notice: int
    shutdown_timeout: int
    workers: int
    host_name: str


def warnings(environ: Mapping[str, str]) -> list[str]:
    """What is set and does nothing."""
    found = []
    for name in sorted(name for name in environ if name.startswith("SDM_") and name not in KNOWN):
        if name in UNUSED:
            found.append(f"{name} is set, and not used by this version.")
            continue
        near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.6)
        found.append(f"{name} is not a setting." + (f" Did you mean {near[0]}?" if near else ""))
    if environ.get("SDM_TLS_CERT_SOURCE", "").strip() != CertSource.FILE:
        found += [
            f"{name} is set, and not used without SDM_TLS_CERT_SOURCE=file."
            for name in CERT_FILES
            if environ.get(name, "").strip()
        ]
    return found


def log_settings(environ: Mapping[str, str]) -> tuple[LogFormat, bool]:
    """Read before the rest, so that what is wrong with the rest is logged as wanted; what is wrong here `load` says."""
    return _log_settings(_Reader(environ))


def load(environ: Mapping[str, str]) -> Config:
    """The configuration that `environ` describes; ConfigError with everything that is wrong with it."""
    read = _Reader(environ)
    _log_settings(read)
    access_key, secret_key = _keys(read)
    cert_source = CertSource(read.choice("SDM_TLS_CERT_SOURCE", CertSource))
    client_auth = ClientAuth(read.choice("SDM_TLS_CLIENT_AUTH", ClientAuth))
    cert_file, key_file = _files(read, cert_source)
    if cert_source is CertSource.NONE and client_auth is ClientAuth.DIRECT:
        read.wrong(
            "SDM_TLS_CERT_SOURCE='none' with SDM_TLS_CLIENT_AUTH='direct': without TLS here nobody can be asked for a "
            "certificate. Set SDM_TLS_CLIENT_AUTH=none as well, or another source."
        )
    bind, probes, metrics = _addresses(read)
    workers = read.integer("SDM_WORKERS", os.cpu_count() or 1, low=1, high=MAX_WORKERS)
    config = Config(
        access_key=access_key,
        secret_key=secret_key,
        control_plane=_control_plane(read),
        bind=bind or Listen("", 0),
        cert_source=cert_source,
        cert_file=cert_file,
        key_file=key_file,
        client_auth=client_auth,
        proxy_protocol_trusted=read.networks("SDM_PROXY_PROTOCOL_TRUSTED"),
        forwarded_for_trusted=read.networks("SDM_FORWARDED_FOR_TRUSTED"),
        probes=probes,
        metrics=metrics,
        maintenance_window_start=read.integer("SDM_MAINTENANCE_WINDOW_START", 7, high=23),
        offline_grace=read.integer("SDM_OFFLINE_GRACE", 3600, high=7 * 24 * 3600),
        sessions_per_person=read.integer("SDM_MAX_SESSIONS_PER_PERSON", 1_000, low=1, high=1_000_000),
        audit=Audit(read.choice("SDM_AUDIT", Audit)),
        spool_directory=_spool_directory(read),
        spool_bytes=read.integer(
            "SDM_SPOOL_BYTES", DEFAULT_SPOOL, low=max(1 << 24, workers << 20), high=MAX_SPOOL
        ),
        second_copy=_second_copy(read),
        shutdown_notice=read.integer("SDM_SHUTDOWN_NOTICE", 3, high=600),
        shutdown_timeout=read.integer("SDM_SHUTDOWN_TIMEOUT", 30, high=24 * 3600),
        workers=workers,
        host_name=socket.gethostname()[:253],
    )
    read.finish()
    return config


def _log_settings(read: "_Reader") -> tuple[LogFormat, bool]:
    return LogFormat(read.choice("SDM_LOG_FORMAT", LogFormat)), read.flag("SDM_VERBOSE")


def _addresses(read: "_Reader") -> list[Listen | None]:
    """For clients, for probes and for metrics. Two sockets may be bound to one address, and only one of them listen."""
    names = ("SDM_BIND_ADDRESS", "SDM_ORCHESTRATOR_PROBES", "SDM_METRICS_LISTEN_ADDRESS")
    found = [read.listen(name, DEFAULT_BIND if name == names[0] else "") for name in names]
    for (name, one), (other_name, other) in itertools.combinations(zip(names, found, strict=True), 2):
        if one and other and one.overlaps(other):
            read.wrong(
                f"{name}={str(one)!r} and {other_name}={str(other)!r} are the same address: give them different ports."
            )
    return found


def _keys(read: "_Reader") -> tuple[str, SecretKey]:
    access, secret = (read.secret(name) for name in SECRETS)
    nobody = SecretKey(bytes(32))
    if access.startswith(PREFIX) and _ACCESS_KEY.fullmatch(secret):
        read.wrong(f"{SECRETS[0]} holds the secret key and {SECRETS[1]} the access key: exchange them.")
        return access, nobody
    if access and not _ACCESS_KEY.fullmatch(access):
        read.wrong(
            f"{SECRETS[0]}: an access key is gk- and 16 hexadecimal digits; this one has {len(access)} characters. "
            + ("Is it the secret key?" if access.startswith(PREFIX) else "Was it copied completely?")
        )
    try:
        return access, SecretKey.parse(secret) if secret else nobody
    except MalformedKey as error:
        read.wrong(f"{SECRETS[1]}: {error}")
        return access, nobody


def _files(read: "_Reader", source: CertSource) -> tuple[Path | None, Path | None]:
    values = [read.text(name) for name in CERT_FILES]
    for name, value in zip(CERT_FILES, values, strict=True):
        if source is CertSource.FILE and not value:
            read.wrong(f"{name} is missing: with SDM_TLS_CERT_SOURCE='file' it names a file in PEM.")
    cert, key = (Path(value) if value else None for value in values)
    return cert, key


def _spool_directory(read: "_Reader") -> Path:
    """As chosen, as systemd chose (`StateDirectory=`), or the state directory of who starts the worker."""
    chosen = read.text("SDM_SPOOL_DIRECTORY") or read.text("STATE_DIRECTORY").partition(":")[0]
    if chosen:
        if not os.path.isabs(chosen):
            read.wrong(f"SDM_SPOOL_DIRECTORY={chosen!r}: give the whole path of a directory, from / on.")
        return Path(chosen)
    home = read.text("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "sdm-worker"


def _second_copy(read: "_Reader") -> Destination | None:
    names = ("SDM_RELAY_LOG_STORAGE", "SDM_RELAY_LOG_FORMAT", "SDM_RELAY_LOG_ENCRYPTION")
    if read.choice(names[2], LogEncryption) == LogEncryption.PUBLICKEY:
        read.wrong(
            f"{names[2]}='publickey': this version does not encrypt the second copy of the request log. Give "
            "plaintext, and keep the copy where only those can read it who may."
        )
    copy_format = CopyFormat(read.choice(names[1], CopyFormat))
    try:
        return Destination.parse(read.text(names[0]), copy_format)
    except ValueError as error:
        read.wrong(f"{names[0]}={read.text(names[0])!r}: {error}")
        return None


def _control_plane(read: "_Reader") -> ControlPlane:
    name = "SDM_APP_DOMAIN"
    value = read.text(name)
    nowhere = ControlPlane("localhost", where.HTTPS_PORT, read.pins("SDM_APP_CA_PIN"))
    if not value:
        read.wrong(
            f"{name} is missing: the control plane's host, perhaps with a port, as in console.example.com:443."
        )
        return nowhere
    try:
        return where.parse(value, nowhere.pins)
    except ValueError as error:
        read.wrong(f"{name}={value!r}: {error}")
        return nowhere


class _Reader:
    """Typed readers. What is wrong is kept, and said together by `finish`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def wrong(self, problem: str) -> None:
        self._problems.append(problem)

    def finish(self) -> None:
        if self._problems:
            raise ConfigError(self._problems)

    def text(self, name: str, default: str = "") -> str:
        return self._environ.get(name, "").strip() or default

    def choice(self, name: str, allowed: type[StrEnum]) -> str:
        """One of `allowed`; the first is the default."""
        values = [member.value for member in allowed]
        value = self.text(name, values[0])
        if value not in values:
            self.wrong(f"{name}={value!r}: give one of {', '.join(values)}.")
            return values[0]
        return value

    def flag(self, name: str) -> bool:
        value = self.text(name, "false").lower()
        if value not in ("true", "false", "1", "0"):
            self.wrong(f"{name}={value!r}: give true or false.")
        return value in ("true", "1")

    def integer(self, name: str, default: int, *, low: int = 0, high: int) -> int:
        value = self.text(name, str(default))
        if not value.isascii() or not value.isdigit() or len(value) > 15 or not low <= int(value) <= high:
            self.wrong(f"{name}={value!r}: give a whole number from {low} to {high}.")
            return default
        return int(value)

    def listen(self, name: str, default: str = "") -> Listen | None:
        value = self.text(name, default)
        if not value:
            return None
        host, colon, port = value.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            self.wrong(f"{name}={value!r}: give an address to listen on, such as :8443 or 127.0.0.1:8443.")
            return None
        try:
            return Listen(canonical_host(host).strip("[]") if host else "", int(port))
        except ValueError as error:
            self.wrong(f"{name}={value!r}: {error}")
            return None

    def networks(self, name: str) -> tuple[Network, ...]:
        found = []
        for word in self.text(name).replace(",", " ").split():
            try:
                found.append(ipaddress.ip_network(word))
            except ValueError as error:
                self.wrong(
                    f"{name}={word!r}: give networks such as 10.0.0.0/8, with commas between. ({error})"
                )
        return tuple(found)

    def pins(self, name: str) -> frozenset[str]:
        try:
            return where.parse_pins(self.text(name))
        except ValueError as error:
            self.wrong(f"{name}={self.text(name)!r}: {error}")
            return frozenset()

    def secret(self, name: str) -> str:
        """From `name`, or from the file that `name`_FILE names."""
        value, file = self.text(name), self.text(f"{name}_FILE")
        if value and file:
            self.wrong(f"{name} and {name}_FILE are both set: leave one of them out.")
        if not value and not file:
            self.wrong(f"{name} is missing: give it, or {name}_FILE with the path of a file that holds it.")
        if value or not file:
            return value
        try:
            with open(file, encoding="utf-8") as opened:
                return opened.read(MAX_FILE).strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            self.wrong(f"{name}_FILE={file!r}: cannot be read: {reason}.")
            return ""
