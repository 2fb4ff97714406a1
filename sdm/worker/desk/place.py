"""Where the desk is: a socket that has no file, and a word that only processes of this worker know.

The supervisor makes both before it forks, so that a link which is started anew sits at the same desk.
"""

import os
import secrets
import socket
import struct
from dataclasses import dataclass, field

_BACKLOG = 512
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Where:
    name: bytes
    word: str = field(repr=False)

    def connect(self) -> socket.socket:
        """OSError when nobody is there, or too many wait."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.connect(self.name)
        except OSError:
            sock.close()
            raise
        return sock


@dataclass(frozen=True, slots=True)
class Place:
    sock: socket.socket
    where: Where

    @classmethod
    def make(cls) -> "Place":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind("")  # a name by lot: programs in other containers may see it, and do not know the word
        sock.listen(_BACKLOG)
        sock.setblocking(False)
        return cls(sock, Where(sock.getsockname(), secrets.token_urlsafe(24)))

    def close(self) -> None:
        self.sock.close()


def is_ours(sock: socket.socket) -> bool:
    """Whether who is connected runs as the same user."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return bool(user == os.geteuid())
