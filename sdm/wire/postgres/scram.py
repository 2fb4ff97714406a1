"""SCRAM-SHA-256, the client's side: RFC 5802 with RFC 7677, and channel binding after RFC 5929.

The slow part, PBKDF2, is done once for each password, salt and count: `KeyCache` keeps what comes of it, which is of no
use but to sign in to that very server. A server chooses the count, and so how long we calculate; hence MAX_ITERATIONS.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

PLAIN = "SCRAM-SHA-256"
BOUND = "SCRAM-SHA-256-PLUS"
# PostgreSQL's own default is 4,096, a millisecond; 600,000 is what OWASP advises, and a third of a second.
MAX_ITERATIONS = 600_000
MAX_SALT = 1024
_NONCE_BYTES = 18
_BINDING = "tls-server-end-point"


class ScramError(Exception):
    """The exchange cannot go on; the message says why, and nothing that is secret."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What RFC 5802 calls ClientKey and ServerKey."""

    client: bytes = field(repr=False)
    server: bytes = field(repr=False)


def derive(password: str, salt: bytes, iterations: int) -> Keys:
    salted = hashlib.pbkdf2_hmac("sha256", prepare(password), salt, iterations)
    return Keys(_hmac(salted, b"Client Key"), _hmac(salted, b"Server Key"))


class KeyCache:
    """The keys used last. Each step on it is one that threads may take together: PBKDF2 may run in any of them."""

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._keys: OrderedDict[bytes, Keys] = OrderedDict()
        # So that what a core dump shows as a cache's key is no quick check for a guessed password.
        self._blind = secrets.token_bytes(32)

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, password: str, salt: bytes, iterations: int) -> Keys:
        secret = hashlib.sha256(password.encode(errors="surrogatepass")).digest()
        key = _hmac(self._blind, secret + iterations.to_bytes(4) + salt)
        keys = self._keys.pop(key, None) or derive(password, salt, iterations)
        self._keys[key] = keys  # as the one used last
        if len(self._keys) > self._size:
            self._keys.popitem(last=False)
        return keys


class Exchange:
    """One sign-in: `first()` is sent, `final(challenge)` answers, `verify(signature)` believes the server.

    `binding` is the digest of the server's certificate (`end_point`), or None when there is none to bind to.
    """

    def __init__(self, password: str, keys: KeyCache, *, binding: bytes | None = None) -> None:
        self._password = password
        self._keys = keys
        self._binding = binding
        self._nonce = secrets.token_urlsafe(_NONCE_BYTES)
        self._header = "n,,"
        self._expected = b""

    def choose(self, offered: list[str]) -> str:
        """The mechanism to use of those that the server offers."""
        if self._binding is not None and BOUND in offered:
            self._header = f"p={_BINDING},,"
            return BOUND
        if PLAIN not in offered:
            raise ScramError(f"the server offers {', '.join(offered) or 'nothing'}, not {PLAIN}")
        # RFC 5802, 6: "y" says that we could have bound, so that a server which offered it knows of a man in between.
        self._header = "n,," if self._binding is None else "y,,"
        return PLAIN

    @property
    def _first_bare(self) -> str:
        # PostgreSQL takes the user from the StartupMessage and ignores this name; libpq leaves it empty, too.
        return f"n=,r={self._nonce}"

    def first(self) -> bytes:
        return (self._header + self._first_bare).encode()

    def final(self, challenge: bytes) -> bytes:
        text = _text(challenge)
        nonce, salt, iterations = _parse_challenge(text)
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramError("the server's nonce does not continue ours")
        keys = self._keys.get(self._password, salt, iterations)
        bound = self._header.encode() + (self._binding or b"" if self._header[0] == "p" else b"")
        without_proof = f"c={_encode(bound)},r={nonce}"
        signed = f"{self._first_bare},{text},{without_proof}".encode()
        signature = _hmac(hashlib.sha256(keys.client).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(keys.client, signature, strict=True))
        self._expected = _hmac(keys.server, signed)
        return f"{without_proof},p={_encode(proof)}".encode()

    def verify(self, signature: bytes) -> None:
        attribute, _, value = _text(signature).partition("=")
        if attribute != "v":
            raise ScramError("the server does not prove that it knows the password")
        if not self._expected or not hmac.compare_digest(self._expected, _decode(value)):
            raise ScramError("the server does not know the password: it is not the server it claims to be")


def prepare(password: str) -> bytes:
    """SASLprep (RFC 4013), or, as PostgreSQL does, the password as it is when that is not possible."""
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if prepared and not _prohibited(prepared):
        return prepared.encode()
    return password.encode(errors="surrogatepass")


_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def _prohibited(text: str) -> bool:
    if any(table(c) for c in text for table in _PROHIBITED):
        return True
    # RFC 3454, 6: right-to-left text may not be mixed with left-to-right, and begins and ends with such a letter.
    if not any(stringprep.in_table_d1(c) for c in text):
        return False
    mixed = any(stringprep.in_table_d2(c) for c in text)
    return mixed or not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1]))


def end_point(certificate: bytes) -> bytes | None:
    """What `tls-server-end-point` binds to: the digest of the server's certificate, given as DER.

    RFC 5929, 4.1: by the hash of its signature, SHA-256 in place of MD5 and SHA-1. None when the signature has no
    hash of its own, as Ed25519 has not: there the RFC leaves it undefined.
    """
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, certificate).digest()


def _parse_challenge(text: str) -> tuple[str, bytes, int]:
    # RFC 5802, 7: server-first-message = [reserved-mext ","] nonce "," salt "," iteration-count ["," extensions]
    parts = text.split(",")
    if len(parts) < 3 or [part[:2] for part in parts[:3]] != ["r=", "s=", "i="]:
        raise ScramError("the server's challenge is not one of SCRAM")
    nonce, salt, count = (part[2:] for part in parts[:3])
    if not count.isascii() or not count.isdigit() or len(count) > 9 or int(count) < 1:
        raise ScramError("the server's iteration count is not a number")
    if int(count) > MAX_ITERATIONS:
        raise ScramError(
            f"the server asks for {int(count):,} iterations; {MAX_ITERATIONS:,} is the most we do"
        )
    if len(salt) > MAX_SALT:
        raise ScramError("the server's salt is too long")
    return nonce, _decode(salt), int(count)


def _text(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise ScramError("the server's answer is not text") from None


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ScramError("the server's answer is not base64") from None


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
