"""The envelope around one secret, as pure functions: AES-256-GCM with a context that it is bound to.

    version    1 byte, 1
    key id     1 byte of length, then 1 to 16 ASCII letters and digits
    nonce      12 bytes, random
    rest       the ciphertext and its tag of 16 bytes

Everything before the nonce and the context are associated data: an envelope that was moved to another row or
field, or whose header was changed, does not open. Random nonces allow some four thousand million envelopes a
key (NIST SP 800-38D, 8.3), which is more than an installation writes between two rotations.

No exception of this module holds a secret, not even as its cause.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
KEY_LENGTH = 32
NONCE_LENGTH = 12
TAG_LENGTH = 16
# Room for a private key or a chain of certificates, and no place to store files.
MAX_PLAINTEXT = 64 * 1024
KEY_ID = re.compile(r"[0-9a-z]{1,16}", re.ASCII)


class SealingError(Exception):
    """Something could not be sealed or opened."""


class TooLong(SealingError):
    def __init__(self, length: int) -> None:
        super().__init__(f"A secret has at most {MAX_PLAINTEXT:,} bytes; this one has {length:,}.")


class Malformed(SealingError):
    """The envelope is cut off, or never was one."""


class UnknownKey(SealingError):
    """The key that sealed it is not among those that were given."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"The sealing key “{key_id}” is not there. Put its line back; nothing else opens this."
        )
        self.key_id = key_id


class NotGenuine(SealingError):
    """The envelope was changed, or was sealed for another place. AES-GCM does not tell which."""

    def __init__(self, context: str) -> None:
        super().__init__(f"What is sealed for {context} was changed, or comes from another place.")


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    secret: bytes = field(repr=False)


def seal(key: Key, plaintext: bytes, *, context: str) -> bytes:
    if len(plaintext) > MAX_PLAINTEXT:
        raise TooLong(len(plaintext))
    header = bytes([VERSION, len(key.id)]) + key.id.encode("ascii")
    nonce = secrets.token_bytes(NONCE_LENGTH)
    return header + nonce + AESGCM(key.secret).encrypt(nonce, plaintext, _associated(header, context))


def unseal(keys: Mapping[str, Key], sealed: bytes, *, context: str) -> bytes:
    key_id = key_id_of(sealed)
    key = keys.get(key_id)
    if key is None:
        raise UnknownKey(key_id)
    header, rest = sealed[: 2 + len(key_id)], sealed[2 + len(key_id) :]
    try:
        return AESGCM(key.secret).decrypt(
            rest[:NONCE_LENGTH], rest[NONCE_LENGTH:], _associated(header, context)
        )
    except InvalidTag:
        raise NotGenuine(context) from None


def key_id_of(sealed: bytes) -> str:
    """The id of the key that sealed it, read without any key. Checks the shape of the whole."""
    if len(sealed) < 2:
        raise Malformed("The sealed value is empty or cut off.")
    if sealed[0] != VERSION:
        raise Malformed(
            f"Sealed values of version {sealed[0]} are not known here; this is version {VERSION}."
        )
    start = 2 + sealed[1]
    key_id = sealed[2:start].decode("ascii", errors="replace")
    if not KEY_ID.fullmatch(key_id):
        raise Malformed("The sealed value names no key.")
    length = len(sealed) - start - NONCE_LENGTH - TAG_LENGTH
    if not 0 <= length <= MAX_PLAINTEXT:
        raise Malformed("The sealed value is cut off, or longer than any that is made here.")
    return key_id


def _associated(header: bytes, context: str) -> bytes:
    # The header tells its own length, so no two pairs of header and context give the same bytes.
    return header + context.encode()
