"""A resource for tests: what it is told comes back, or whatever a test wants of it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behave = Callable[[socket.socket], None]


def echo(sock: socket.socket) -> None:
    while data := sock.recv(1 << 16):
        sock.sendall(data)


@contextmanager
def server(behave: Behave = echo) -> Iterator[int]:
    """The port of a server that does this with each connection, in a thread of its own, and then closes it."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)

    def serve(sock: socket.socket) -> None:
        with sock:
            try:
                behave(sock)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        # Closing alone would not wake the thread.
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
