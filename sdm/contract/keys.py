"""The secret half of a proxy cluster key: an Ed25519 seed (RFC 8032) in a form that people can paste.

`sdmpck_` and 49 characters of base 62: the 32 bytes of the seed, then the first 4 bytes of the SHA-256 of
prefix and seed. The prefix lets a scanner find it where it should not be; the checksum lets a truncated
paste be refused before anything is sent.
"""

import hashlib
import string
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX = "sdmpck_"
_BYTE_ORDER_MARK = "\ufeff"
_QUOTES = tuple("\"'`\u2018\u2019\u201c\u201d")
_SEED_BYTES = 32
_CHECKSUM_BYTES = 4
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
# 62**48 < 2**288 <= 62**49
_DIGITS = 49
LENGTH = len(PREFIX) + _DIGITS


class MalformedKey(ValueError):
    """The text is not a secret key; the message says what is wrong with it and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class SecretKey:
    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> "SecretKey":
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "SecretKey":
        text = text.strip()
        if text.startswith(_BYTE_ORDER_MARK):
            raise MalformedKey(
                "The secret key begins with a byte order mark, which editors write unasked. Save it without one."
            )
        if text[:1] in _QUOTES or text[-1:] in _QUOTES:
            raise MalformedKey("The secret key has quotation marks around it. Leave them out.")
        if not text.startswith(PREFIX):
            raise MalformedKey(f"A secret key begins with {PREFIX}. Is this the access key?")
        if len(text) != LENGTH:
            raise MalformedKey(
                f"A secret key has {LENGTH} characters, this one has {len(text)}. Was it copied completely?"
            )
        raw = _decode(text.removeprefix(PREFIX))
        seed, checksum = raw[:_SEED_BYTES], raw[_SEED_BYTES:]
        if checksum != _checksum(seed):
            raise MalformedKey(
                "The secret key has a wrong character in it. Copy it again from where it was kept."
            )
        return cls(seed)

    def reveal(self) -> str:
        """The text to show, once."""
        return PREFIX + _encode(self.seed + _checksum(self.seed))

    def public_bytes(self) -> bytes:
        """The 32 bytes that check this key's signatures."""
        return self._private().public_key().public_bytes_raw()

    def sign(self, challenge: bytes) -> bytes:
        return self._private().sign(challenge)

    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def _checksum(seed: bytes) -> bytes:
    return hashlib.sha256(PREFIX.encode() + seed).digest()[:_CHECKSUM_BYTES]


def _encode(raw: bytes) -> str:
    number, digits = int.from_bytes(raw), []
    for _ in range(_DIGITS):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _decode(text: str) -> bytes:
    number = 0
    for character in text:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise MalformedKey("The secret key has a character that is never in one. Copy it again.")
        number = number * 62 + digit
    size = _SEED_BYTES + _CHECKSUM_BYTES
    if number >= 1 << (8 * size):
        raise MalformedKey(
            "The secret key has a wrong character in it. Copy it again from where it was kept."
        )
    return number.to_bytes(size)
