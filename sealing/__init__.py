"""Secrets at rest: AES-256-GCM envelopes, their keys and the rotation of both.

The context binds a sealed value to its place, as in `resources.credential:rs-5d41402abc4b2a76:password`; with
another context it does not open.
"""

from sealing import envelope, keyring
from sealing.envelope import SealingError

__all__ = ["SealingError", "key_id", "seal", "unseal"]


def seal(plaintext: bytes, *, context: str) -> bytes:
    """`plaintext` in an envelope of the current key."""
    return envelope.seal(keyring.load().current, plaintext, context=context)


def unseal(sealed: bytes, *, context: str) -> bytes:
    """What is in the envelope; a SealingError without any secret when it cannot be opened."""
    return envelope.unseal(keyring.load().keys, sealed, context=context)


def key_id(sealed: bytes) -> str:
    """Which key sealed it."""
    return envelope.key_id_of(sealed)
