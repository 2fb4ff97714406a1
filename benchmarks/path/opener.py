"""What opens TLS for clients that speak plain bytes, in a process of its own: `python -m benchmarks.path.opener JSON`.

pgbench, psql and wrk speak no tunnel. For each of their connections this opens one with a client certificate, says
what has to be said first, and passes bytes. It stands before both sides of a comparison and costs both the same; how
much can be seen, for it is a process of its own. It says a line when it listens, and ends with its standard input.
"""

import json
import socket
import ssl
import sys
import threading
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from sdm.transport.relay.ends import End, TlsEnd
from sdm.transport.relay.handoff import HandOff
from sdm.transport.relay.loop import Relay

# The first words of a PostgreSQL client that wants TLS.
SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
PATIENCE = 20
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Order:
    # Where clients connect to: a path, or a number for a port of loopback.
    listen: str | int
    # Of the proxy.
    port: int
    certificate: str
    key: str
    # Said in the clear before TLS begins, and answered with one byte.
    before: str = ""
    # Said first in TLS, and answered with a head.
    request: str = ""


class Refused(Exception):
    """The message is what the proxy said."""


def opened(order: Order, context: ssl.SSLContext) -> tuple[ssl.SSLSocket, bytes]:
    """A connection through the proxy, and what has already come from its far end."""
    plain = socket.create_connection(("127.0.0.1", order.port), timeout=PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if order.before:
        plain.sendall(order.before.encode("latin-1"))
        if plain.recv(1) != b"S":
            raise Refused("The proxy has no TLS.")
    wrapped = context.wrap_socket(plain)
    if not order.request:
        return wrapped, b""
    wrapped.sendall(order.request.encode())
    answer = b""
    while _HEAD_END not in answer:
        data = wrapped.recv(4096)
        if not data:
            raise Refused(f"The proxy hung up after {answer!r}.")
        answer += data
    head, _, rest = answer.partition(_HEAD_END)
    if head.split(b" ", 2)[1] != b"101":
        raise Refused(f"The proxy answered {head.decode()}.")
    return wrapped, rest


def context_of(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certificate, key)
    return context


def _listening(where: str | int) -> socket.socket:
    if isinstance(where, int):
        return socket.create_server(("127.0.0.1", where), backlog=1024)
    listening = socket.socket(socket.AF_UNIX)
    Path(where).unlink(missing_ok=True)
    listening.bind(where)
    listening.listen(1024)
    return listening


def main(arguments: list[str]) -> None:
    order = Order(**json.loads(arguments[0]))
    context = context_of(order.certificate, order.key)
    relay = Relay()
    relay.start()
    listening = _listening(order.listen)

    def serve() -> None:
        for number in count():
            local, _ = listening.accept()
            try:
                tunnel, rest = opened(order, context)
            except (Refused, OSError) as error:
                print(error, file=sys.stderr)
                local.close()
                continue
            for sock in (local, tunnel):
                sock.setblocking(False)
            upstream = TlsEnd(tunnel, tunnel._sslobj)  # type: ignore[attr-defined]  # what a relay moves bytes with
            relay.begin(str(number), End(local), HandOff(upstream, from_upstream=rest), lambda _: None)

    threading.Thread(target=serve, daemon=True).start()
    print("listening", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
