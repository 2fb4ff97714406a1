"""Which requests are for a resource, and how they are answered.

`CONNECT rs-…`, or a GET of `/rs-…` with an upgrade to `sdm-tunnel`: load balancers that end TLS pass on upgrades, and
some of them no CONNECT. Everything else is nobody's business and gets the answer that everybody gets.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

PROTOCOL = b"sdm-tunnel"
_RESOURCE = re.compile(r"rs-[0-9a-f]{16}", re.ASCII)
_UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: sdm-tunnel\r\n\r\n"
_CONNECTED = b"HTTP/1.1 200 Connection Established\r\n\r\n"
_BEARER = b"bearer "

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class TunnelRequest:
    resource_id: str
    ticket: str = field(repr=False)
    # In the form of sdm.contract.proof; empty when there is none.
    proof: str = field(repr=False)
    forwarded_for: str
    # What tells the client that the resource speaks from now on.
    welcome: bytes


def read(method: str, target: str, headers: Headers) -> TunnelRequest | None:
    """None when it is another kind of request."""
    if method == "CONNECT":
        resource_id, welcome = target, _CONNECTED
    elif method == "GET" and target[:1] == "/" and _asks_for_upgrade(headers):
        resource_id, welcome = target[1:], _UPGRADED
    else:
        return None
    if not _RESOURCE.fullmatch(resource_id):
        return None
    authorization = _one(headers, b"proxy-authorization")
    ticket = authorization[len(_BEARER) :] if authorization.lower().startswith(_BEARER) else b""
    forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    return TunnelRequest(
        resource_id,
        ticket.strip().decode("ascii", "replace"),
        _one(headers, b"sdm-client-proof").decode("ascii", "replace"),
        forwarded.decode("ascii", "replace"),
        welcome,
    )


def _asks_for_upgrade(headers: Headers) -> bool:
    return _one(headers, b"upgrade").lower() == PROTOCOL and any(
        name == b"connection" and b"upgrade" in value.lower() for name, value in headers
    )


def _one(headers: Headers, wanted: bytes) -> bytes:
    """Its value; nothing when it is said twice, for nobody knows which of them is meant."""
    found = [value for name, value in headers if name == wanted]
    return found[0] if len(found) == 1 else b""
