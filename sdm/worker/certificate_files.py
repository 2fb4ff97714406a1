"""A certificate and its key from files: read at the start, when they change, on SIGHUP, and once a day.

Programs that renew certificates write one file after the other, some of them in pieces. A pair that does not fit is
therefore nothing unusual: the one before it stays, and the reason is told until a good one is there.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from sdm.worker import tls
from sdm.worker.config import MAX_FILE

# What tells one content of a file from another without reading it.
_Stamp = tuple[tuple[int, int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    chain: bytes
    key: bytes = field(repr=False)


class CertificateFiles:
    def __init__(self, cert_file: Path, key_file: Path) -> None:
        self._cert_file = cert_file
        self._key_file = key_file
        self._seen: _Stamp | None = None

    def have_changed(self) -> bool:
        """Since `load`."""
        return self._stamp() != self._seen

    def load(self) -> Pair:
        """The pair; BadPair with a sentence that names the files and what is wrong."""
        # Looked at before they are read: what changes while we read is read again.
        self._seen = self._stamp()
        pair = Pair(_read("SDM_TLS_CERT_FILE", self._cert_file), _read("SDM_TLS_KEY_FILE", self._key_file))
        try:
            tls.check_pair(pair.chain, pair.key)
        except tls.BadPair as error:
            raise tls.BadPair(f"{self._cert_file} and {self._key_file} cannot be used: {error}.") from None
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
    if len(content) > MAX_FILE:
        raise tls.BadPair(f"{setting}: {path} is too large for a certificate or a key.")
    return content
