"""A certificate and its key from files: read at the start, when they change, on SIGHUP, and once a day.

Programs that renew certificates write one file after the other, some of them in pieces. A pair that does not fit is
therefore nothing unusual: the one before it stays, and the reason is told until a good one is there.
"""

import datetime as dt
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from sdm.worker import tls
from sdm.worker.config import CERT_FILES, MAX_FILE, CertSource, Config

_CERTIFICATE = re.compile(rb"^-----BEGIN (X509 )?CERTIFICATE-----", re.MULTILINE)
_KEY = re.compile(rb"^-----BEGIN ([A-Z]+ )?PRIVATE KEY-----", re.MULTILINE)
# PKCS #8, and the older form of RFC 1421.
_ENCRYPTED = re.compile(rb"^(-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED)", re.MULTILINE)

# What tells one content of a file from another without reading it.
_Stamp = tuple[tuple[int, int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    chain: bytes
    key: bytes = field(repr=False)

    @property
    def certificate(self) -> x509.Certificate | None:
        """None where there is no TLS."""
        return x509.load_pem_x509_certificate(self.chain) if self.chain else None

    @property
    def has_expired(self) -> bool:
        certificate = self.certificate
        return certificate is not None and certificate.not_valid_after_utc < dt.datetime.now(dt.UTC)


class CertificateFiles:
    def __init__(self, cert_file: Path, key_file: Path) -> None:
        self._cert_file = cert_file
        self._key_file = key_file
        self._seen: _Stamp | None = None

    @classmethod
    def of(cls, config: Config) -> "CertificateFiles | None":
        """None when the certificate is not from files."""
        if config.cert_source is not CertSource.FILE or config.cert_file is None or config.key_file is None:
            return None
        return cls(config.cert_file, config.key_file)

    def have_changed(self) -> bool:
        """Since `load`."""
        return self._stamp() != self._seen

    def load(self) -> Pair:
        """The pair; BadPair with a sentence that names the files and what is wrong."""
        # Looked at before they are read: what changes while we read is read again.
        self._seen = self._stamp()
        pair = Pair(_read(CERT_FILES[0], self._cert_file), _read(CERT_FILES[1], self._key_file))
        _look_at_certificate(self._cert_file, pair.chain)
        _look_at_key(self._key_file, pair.key)
        try:
            tls.check_pair(pair.chain, pair.key)
            certificate = x509.load_pem_x509_certificate(pair.chain)
        except tls.BadPair as error:
            raise tls.BadPair(f"{self._cert_file} and {self._key_file} cannot be used: {error}.") from None
        except ValueError as error:
            raise tls.BadPair(f"{CERT_FILES[0]}: {self._cert_file} cannot be used: {error}.") from None
        _look_at_time(self._cert_file, certificate)
        return pair

    def _stamp(self) -> _Stamp:
        return tuple(_look(path) for path in (self._cert_file, self._key_file))


def _look(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read(setting: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise tls.BadPair(f"{setting}: cannot read {path}: {error.strerror}.") from None
    if not content.strip():
        raise tls.BadPair(f"{setting}: {path} is empty.")
    if len(content) > MAX_FILE:
        raise tls.BadPair(f"{setting}: {path} is too large for a certificate or a key.")
    return content


def _look_at_certificate(path: Path, content: bytes) -> None:
    if not _CERTIFICATE.search(content):
        swapped = _KEY.search(content) or _ENCRYPTED.search(content)
        why = f"holds a key. Exchange it with {CERT_FILES[1]}" if swapped else "is not a certificate in PEM"
        raise tls.BadPair(f"{CERT_FILES[0]}: {path} {why}.")


def _look_at_key(path: Path, content: bytes) -> None:
    if _ENCRYPTED.search(content):
        raise tls.BadPair(f"{CERT_FILES[1]}: {path} is an encrypted key. Give it without a password.")
    if not _KEY.search(content):
        swapped = _CERTIFICATE.search(content)
        why = f"holds a certificate. Exchange it with {CERT_FILES[0]}" if swapped else "is not a key in PEM"
        raise tls.BadPair(f"{CERT_FILES[1]}: {path} {why}.")


def _look_at_time(path: Path, certificate: x509.Certificate) -> None:
    """No client would accept it; where one that is good is in use, that one stays."""
    now = dt.datetime.now(dt.UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends < now:
        raise tls.BadPair(f"{CERT_FILES[0]}: the certificate in {path} expired at {ends:%Y-%m-%d %H:%M} UTC.")
    if now < begins:
        raise tls.BadPair(
            f"{CERT_FILES[0]}: the certificate in {path} is not valid before {begins:%Y-%m-%d %H:%M} UTC."
        )
