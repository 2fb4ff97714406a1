"""Somebody with a client certificate, who gets tickets and opens tunnels through a worker."""

import datetime as dt
import json
import re
import secrets
import socket
import ssl
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sdm.contract import proof, ticket
from sdm.contract.ids import new_id
from sdm.contract.ticket import Ticket
from sdm.contract.v1 import workers_pb2 as pb
from sdm.pki.chain import fingerprint
from tests.worker.control_plane import KEY_ID, Authority, ControlPlane, client_context, now


@dataclass
class Answer:
    """What came before the resource's own bytes, or instead of them."""

    status: int
    headers: str
    body: bytes

    @property
    def reason(self) -> str:
        return str(json.loads(self.body)["reason"])


@dataclass
class Person:
    plane: ControlPlane
    account_id: str
    certificate_file: Path
    key_file: Path

    @classmethod
    def of(
        cls,
        plane: ControlPlane,
        directory: Path,
        *,
        authority: Authority | None = None,
        at: dt.datetime | None = None,
    ) -> "Person":
        account_id = new_id("a")
        files = (authority or plane.clients).client(directory, account_id, at=at, name=account_id)
        return cls(plane, account_id, *files)

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_file.read_bytes())

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        key = load_pem_private_key(self.key_file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def context(self) -> ssl.SSLContext:
        context = client_context()
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context

    def ticket(self, resource_id: str, **changes: object) -> str:
        good = Ticket(
            secrets.token_hex(8),
            self.account_id,
            resource_id,
            self.plane.cluster_id,
            fingerprint(self.certificate),
            now() + ticket.LIFETIME,
        )
        wanted = replace(good, **changes)  # type: ignore[arg-type]
        return ticket.sign(wanted, key=self.plane.ticket_key, key_id=KEY_ID)

    def proof(self, resource_id: str, token: str, at: dt.datetime | None = None) -> str:
        return proof.of_call(
            self.key,
            self.certificate,
            method=f"CONNECT {resource_id}",
            request=token.encode(),
            at=at or now(),
        )

    def request(
        self,
        resource_id: str,
        *,
        upgrade: bool = True,
        token: str | None = None,
        proved: str | None = None,
        extra: str = "",
    ) -> bytes:
        token = self.ticket(resource_id) if token is None else token
        proved = self.proof(resource_id, token) if proved is None else proved
        line = f"GET /{resource_id}" if upgrade else f"CONNECT {resource_id}"
        wanted = "Connection: Upgrade\r\nUpgrade: sdm-tunnel\r\n" if upgrade else ""
        return (
            f"{line} HTTP/1.1\r\nHost: cluster.example.com\r\n{wanted}"
            f"Proxy-Authorization: Bearer {token}\r\nSdm-Client-Proof: {proved}\r\n{extra}\r\n"
        ).encode()

    def connect(
        self, port: int, resource_id: str, *, plain: bool = False, before: bytes = b"", **how: object
    ) -> tuple[socket.socket, Answer]:
        """A tunnel, or the answer that there is none."""
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock.sendall(before)
        tunnel = sock if plain else self.context().wrap_socket(sock)
        self.plane.opened.append(tunnel)
        tunnel.sendall(self.request(resource_id, **how))  # type: ignore[arg-type]
        return tunnel, read_answer(tunnel)

    def tunnel(self, port: int, resource_id: str, **how: object) -> socket.socket:
        sock, answer = self.connect(port, resource_id, **how)  # type: ignore[arg-type]
        assert answer.status in (101, 200), answer
        return sock

    def refusal(self, port: int, resource_id: str, **how: object) -> Answer:
        sock, answer = self.connect(port, resource_id, **how)  # type: ignore[arg-type]
        sock.close()
        assert answer.status >= 400
        return answer


def read_answer(sock: socket.socket) -> Answer:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, f"it ended after {head!r}"
        head += byte
    status = int(head.split(b" ", 2)[1])
    body = b""
    if status >= 400:
        # A balancer keeps the connection, so its end would not come.
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        while len(body) < length and (data := sock.recv(4096)):
            body += data
    return Answer(status, head.decode(), body)


def raw_target(plane: ControlPlane, port: int, hostname: str = "127.0.0.1") -> str:
    """A resource of the kind rawTCP there; its id."""
    resource_id = new_id("rs")
    plane.targets[resource_id] = pb.Target(
        resource_id=resource_id, name="echo", kind="rawTCP", hostname=hostname, port=port, config=b"{}"
    )
    return resource_id
