"""A tool that comes to a local port, and what it hears there."""

import socket

from tests.client.conftest import Sdm


def dialled(sdm: Sdm, name: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", sdm.port(name)), timeout=20)


def said_back(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    found = b""
    while len(found) < len(data) and (more := sock.recv(1 << 16)):
        found += more
    return found
