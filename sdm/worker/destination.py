"""Where the second copy of the request log goes, as its setting says."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sdm.contract.address import canonical_host

_DEFAULT_PORT = {"syslog": 514}
_FORMS = "stdout, file, file:///path, syslog, syslog://host:514, tcp://host:port or socket:///path"


class CopyFormat(StrEnum):
    JSON = "json"
    CSV = "csv"


class Kind(StrEnum):
    STDOUT = "stdout"
    FILE = "file"
    SYSLOG = "syslog"
    TCP = "tcp"
    SOCKET = "socket"


@dataclass(frozen=True, slots=True)
class Destination:
    kind: Kind
    format: CopyFormat
    # Of a file or a socket of this machine; None for the file that is beside the spool, and for a network's address.
    path: Path | None = None
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        where = f"{self.host}:{self.port}" if self.host else self.path or ""
        return f"{self.kind} {where}".rstrip()

    @classmethod
    def parse(cls, text: str, copy_format: CopyFormat) -> "Destination | None":
        """None when there is to be no second copy; ValueError with what is allowed."""
        if not text:
            return None
        word, _, rest = text.partition("://")
        if word not in tuple(Kind):
            raise ValueError(f"give {_FORMS}; or nothing for no second copy.")
        kind = Kind(word)
        if rest.startswith("/") and kind in (Kind.FILE, Kind.SOCKET):
            return cls(kind, copy_format, path=Path(rest))
        if rest and kind in (Kind.TCP, Kind.SYSLOG):
            host, port = _host_and_port(rest, _DEFAULT_PORT.get(kind, 0))
            return cls(kind, copy_format, host=host, port=port)
        if rest or kind in (Kind.TCP, Kind.SOCKET):
            raise ValueError(f"it does not say where to. Give {_FORMS}.")
        if kind is Kind.SYSLOG:
            return cls(kind, copy_format, path=Path("/dev/log"))
        return cls(kind, copy_format)


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    parts = re.fullmatch(r"(\[[^\]]+\]|[^:/]+)(?::([0-9]{1,5}))?", text, re.ASCII)
    port = int(parts[2] or default) if parts else 0
    if parts is None or not 1 <= port <= 65535:
        raise ValueError(f"give host and port, as in {_FORMS}.")
    return canonical_host(parts[1]).strip("[]"), port
