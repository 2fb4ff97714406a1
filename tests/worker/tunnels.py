"""A worker with a port for tunnels, and what becomes of what is said through one."""

import socket

from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane
from tests.worker.processes import Worker


def started(start: StartWorker, plane: ControlPlane, **settings: str) -> tuple[Worker, int]:
    worker = start(**{"SDM_WORKERS": "1", **settings})
    port = worker.port()
    worker.until(lambda: "Connected" in worker.log)
    return worker, port


def says_back(sock: socket.socket, data: bytes = b"hello") -> bool:
    sock.sendall(data)
    found = b""
    while len(found) < len(data):
        more = sock.recv(1 << 16)
        if not more:
            return False
        found += more
    return found == data


def ends(sock: socket.socket, seconds: float = 3) -> bool:
    """Whether it is closed within that time."""
    sock.settimeout(seconds)
    try:
        while sock.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True
