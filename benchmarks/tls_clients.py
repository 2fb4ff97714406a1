"""Many TLS clients in one process, so that their work is not the server's: `python -m benchmarks.tls_clients JSON`.

Raw epoll, on one core of their own where there are two. It says what happened as JSON, and ends by itself.
"""

import json
import select
import signal
import socket
import ssl
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

REQUEST = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = "HTTP/1.1 404 Not Found\r\n"
PATIENCE = 15
# To take a session costs a client more than to resume it.
RENEW_SESSION = 20


@dataclass(frozen=True, slots=True)
class Order:
    port: int
    # Of the client.
    certificate: str
    key: str
    at_once: int = 16
    # So long, or so many that shake hands and then say nothing until standard input ends.
    seconds: float = 0
    idle: int = 0
    resume: bool = False
    request: str = REQUEST
    # How an answer begins.
    answer: str = ANSWER


@dataclass(slots=True)
class Outcome:
    seconds: float = 0
    answered: int = 0
    resumed: int = 0
    cipher: str = ""
    # What became of those that were not answered.
    lost: dict[str, int] = field(default_factory=Counter)


class Client:
    """One connection: a handshake, a request, an answer to its end."""

    __slots__ = ("answer", "shaken", "since", "sock")

    def __init__(self, clients: "Clients") -> None:
        plain = socket.create_connection(("127.0.0.1", clients.order.port), timeout=PATIENCE)
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = clients.context.wrap_socket(
            plain, do_handshake_on_connect=False, session=clients.session if clients.order.resume else None
        )
        self.since = time.monotonic()
        self.shaken = False
        self.answer = b""

    def step(self, clients: "Clients") -> bool:
        """Whether it is through."""
        try:
            if not self.shaken:
                self.sock.do_handshake()
                self.shaken = True
                clients.shook_hands(self)
                if clients.order.idle:
                    return True
                self.sock.send(clients.request)
            while data := self.sock.recv(4096):
                self.answer += data
        except ssl.SSLWantReadError:
            return False
        clients.was_answered(self)
        return True


class Clients:
    def __init__(self, order: Order) -> None:
        self.order = order
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.load_cert_chain(order.certificate, order.key)
        self.session: ssl.SSLSession | None = None
        self.outcome = Outcome()
        self.request, self._answer = order.request.encode(), order.answer.encode()
        self.idle: list[ssl.SSLSocket] = []
        self._poll = select.epoll()
        self._running: dict[int, Client] = {}

    def run(self) -> Outcome:
        began = time.monotonic()
        while self._running or self._wants_more(began):
            while len(self._running) < self.order.at_once and self._wants_more(began):
                self._begin()
            for descriptor, _ in self._poll.poll(1):
                self._step(descriptor)
            self._give_up_on_the_silent()
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def shook_hands(self, client: Client) -> None:
        self.outcome.resumed += bool(client.sock.session_reused)
        self.outcome.cipher = " ".join(map(str, client.sock.cipher() or ()))

    def was_answered(self, client: Client) -> None:
        if client.answer.startswith(self._answer):
            self.outcome.answered += 1
            if self.order.resume and self.outcome.answered % RENEW_SESSION == 1:
                self.session = client.sock.session
        else:
            self.outcome.lost["closed without an answer"] += 1

    def _wants_more(self, began: float) -> bool:
        if self.order.idle:
            return len(self.idle) + len(self._running) < self.order.idle
        return time.monotonic() - began < self.order.seconds

    def _begin(self) -> None:
        try:
            client = Client(self)
        except OSError as error:
            self._lose(error)
            return
        self._running[client.sock.fileno()] = client
        self._poll.register(client.sock.fileno(), select.EPOLLIN)
        self._step(client.sock.fileno())

    def _step(self, descriptor: int) -> None:
        client = self._running[descriptor]
        try:
            if not client.step(self):
                return
        except OSError as error:
            self._lose(error)
        self._forget(descriptor, client)

    def _forget(self, descriptor: int, client: Client) -> None:
        self._poll.unregister(descriptor)
        del self._running[descriptor]
        if self.order.idle and client.shaken:
            self.idle.append(client.sock)
        else:
            client.sock.close()

    def _give_up_on_the_silent(self) -> None:
        now = time.monotonic()
        for descriptor, client in list(self._running.items()):
            if now - client.since < PATIENCE:
                break  # they stand in the order in which they began
            self.outcome.lost["no answer"] += 1
            self._forget(descriptor, client)

    def _lose(self, error: OSError) -> None:
        self.outcome.lost[type(error).__name__] += 1
        time.sleep(0.01)  # whoever is refused does not try a thousand times a second


def main(arguments: list[str]) -> None:
    fields: dict[str, Any] = json.loads(arguments[0])
    order = Order(**fields)
    signal.alarm(round(order.seconds) + order.idle // 20 + 120)
    clients = Clients(order)
    print(json.dumps(asdict(clients.run())), flush=True)
    if order.idle:
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
