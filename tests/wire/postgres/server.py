"""The server's side of start-up, as far as tests need one that knows the password, or cheats."""

import base64
import hashlib
import hmac

from sdm.wire.postgres.messages import message
from sdm.wire.postgres.scram import BOUND, PLAIN, derive


def ask(code: int, data: bytes = b"") -> bytes:
    return message(b"R", code.to_bytes(4) + data)


OK = ask(0)
CLEARTEXT = ask(3)
MD5 = ask(5, b"salt")
READY = message(b"Z", b"I")
KEY = message(b"K", bytes(3) + b"\x07abcd")
VERSION = message(b"S", b"server_version\x0015.1\0")


class ScramServer:
    """RFC 5802 from the other side, written from the page and not from our client."""

    def __init__(self, password: str, *, binding: bytes | None = None, iterations: int = 10) -> None:
        self.mechanisms = [BOUND, PLAIN] if binding else [PLAIN]
        self._salt, self._iterations = b"some salt", iterations
        self._keys = derive(password, self._salt, iterations)
        self._binding = binding
        self._first = self._challenge = ""

    def challenge(self, first: bytes) -> bytes:
        flag, _, self._first = first.decode().split(",", 2)
        self._header = f"{flag},,".encode()
        nonce = self._first.partition("r=")[2] + "server"
        self._challenge = f"r={nonce},s={base64.b64encode(self._salt).decode()},i={self._iterations}"
        return self._challenge.encode()

    def final(self, answer: bytes) -> bytes:
        without_proof, _, proof = answer.decode().rpartition(",p=")
        bound = base64.b64decode(without_proof.partition(",")[0][2:])
        assert bound == self._header + (self._binding or b"" if self._header.startswith(b"p=") else b"")
        signed = f"{self._first},{self._challenge},{without_proof}".encode()
        stored = hashlib.sha256(self._keys.client).digest()
        signature = hmac.digest(stored, signed, "sha256")
        client = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
        assert hashlib.sha256(client).digest() == stored
        return b"v=" + base64.b64encode(hmac.digest(self._keys.server, signed, "sha256"))
