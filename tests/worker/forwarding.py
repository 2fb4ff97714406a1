"""A port of this machine that leads through a worker to a resource, as an agent has one."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sdm.transport.relay.ends import End, TlsEnd
from sdm.transport.relay.handoff import HandOff
from sdm.transport.relay.loop import Relay
from tests.worker.clients import Person


class Forwarding:
    def __init__(self, person: Person, worker_port: int, resource_id: str) -> None:
        self.person = person
        self.worker_port = worker_port
        self.resource_id = resource_id
        self._relay = Relay()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self._count = 0
        # Whoever is on the way when it closes does not go through any more.
        self._door, self._is_closed = threading.Lock(), False
        self._relay.start()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                local, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(local,), daemon=True).start()

    def _join(self, local: socket.socket) -> None:
        try:
            tunnel, answer = self.person.connect(self.worker_port, self.resource_id)
        except (OSError, AssertionError):
            local.close()
            return
        if answer.status != 101:
            local.close()
            return
        for sock in (local, tunnel):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upstream = TlsEnd(tunnel, tunnel._sslobj)  # type: ignore[attr-defined]
        with self._door:
            if self._is_closed:
                local.close()
                return
            self._count += 1
            self._relay.begin(str(self._count), End(local), HandOff(upstream), lambda outcome: None)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._door:
            self._is_closed = True
        self._relay.stop()


@contextmanager
def forwarded(person: Person, worker_port: int, resource_id: str) -> Iterator[Forwarding]:
    found = Forwarding(person, worker_port, resource_id)
    try:
        yield found
    finally:
        found.close()
