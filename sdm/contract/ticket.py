"""Tickets: for a few minutes, an account may ask a cluster's workers for one resource.

A compact JWS (RFC 7515) signed with Ed25519 (RFC 8037). It is bound to the client's certificate by `cnf`, the
thumbprint of RFC 8705: copied, it opens nothing. Any worker of the cluster verifies it without asking; what it is
worth at that moment, the control plane says with the lease.
"""

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LIFETIME = dt.timedelta(minutes=5)
# How far the clocks of control plane and worker may be apart.
LEEWAY = dt.timedelta(seconds=60)
# One of ours has some 500 bytes.
MAX_LENGTH = 2_000
_TYPE = "sdm-ticket+jwt"
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_TEXTS = ("aud", "jti", "res", "sub")


class BadTicket(ValueError):
    """It opens nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who may ask for what, and until when. Ids are those of the console; `thumbprint` is the SHA-256 of the
    client certificate's DER, in hexadecimal."""

    id: str
    account_id: str
    resource_id: str
    cluster_id: str
    thumbprint: str
    expires_at: dt.datetime


def sign(ticket: Ticket, *, key: Ed25519PrivateKey, key_id: str) -> str:
    head = {"alg": "EdDSA", "kid": key_id, "typ": _TYPE}
    claims = {
        "aud": ticket.cluster_id,
        "cnf": {"x5t#S256": _encode(bytes.fromhex(ticket.thumbprint))},
        "exp": int(ticket.expires_at.timestamp()),
        "jti": ticket.id,
        "res": ticket.resource_id,
        "sub": ticket.account_id,
    }
    signed = f"{_encode(_json(head))}.{_encode(_json(claims))}"
    return f"{signed}.{_encode(key.sign(signed.encode()))}"


def verify(text: str, *, keys: Mapping[str, Ed25519PublicKey], at: dt.datetime) -> Ticket:
    """The ticket that `text` is; BadTicket when none of `keys`, by their ids, signed it, or it is over at `at`."""
    head, body, signature = _split(text)
    fields = _read(head)
    # The algorithm is ours to choose, never the sender's.
    if fields.get("alg") != "EdDSA" or fields.get("typ") != _TYPE:
        raise BadTicket("This is no ticket.")
    key = keys.get(str(fields.get("kid")))
    if key is None:
        raise BadTicket("The ticket is signed with a key that is not known here.")
    try:
        key.verify(_decode(signature), f"{head}.{body}".encode())
    except InvalidSignature:
        raise BadTicket("The ticket's signature is wrong.") from None
    ticket = _ticket(_read(body))
    if at >= ticket.expires_at + LEEWAY:
        raise BadTicket("The ticket has expired.")
    return ticket


def _split(text: str) -> tuple[str, str, str]:
    if len(text) > MAX_LENGTH:
        raise BadTicket("The ticket is too long.")
    parts = text.split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        raise BadTicket("This is no ticket.")
    return parts[0], parts[1], parts[2]


def _ticket(claims: dict[str, object]) -> Ticket:
    texts = {name: value for name in _TEXTS if isinstance(value := claims.get(name), str)}
    confirmation, expires = claims.get("cnf"), claims.get("exp")
    thumbprint = confirmation.get("x5t#S256") if isinstance(confirmation, dict) else None
    if len(texts) != len(_TEXTS) or not isinstance(thumbprint, str) or type(expires) is not int:
        raise BadTicket("The ticket lacks what a ticket says.")
    try:
        expires_at = dt.datetime.fromtimestamp(expires, dt.UTC)
    except (OverflowError, OSError, ValueError):
        raise BadTicket("The ticket's end is no time.") from None
    return Ticket(
        texts["jti"], texts["sub"], texts["res"], texts["aud"], _decode(thumbprint).hex(), expires_at
    )


def _read(part: str) -> dict[str, object]:
    try:
        fields = json.loads(_decode(part))
    except (ValueError, RecursionError):
        raise BadTicket("This is no ticket.") from None
    if not isinstance(fields, dict):
        raise BadTicket("This is no ticket.")
    return fields


def _json(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadTicket("This is no ticket.") from None
