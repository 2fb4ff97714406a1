"""What fronts and link say to each other: a line of JSON for each message."""

import json
from dataclasses import asdict, dataclass, field

# A lease has a CA's certificates in it, and keys.
MAX_LINE = 1 << 20


class BadMessage(ValueError):
    """A line is not a message; whoever sent it is not one of us."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first word of a front: what the supervisor told all of us."""

    word: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Live:
    """A session that is there; said of each when the desk is new."""

    session_id: str
    account_id: str
    resource_id: str
    thumbprint: str
    # In the request log, where somebody has to end it as well.
    has_begun: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """This session is in the request log now."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Ask:
    """For a lease. When it is given, the session counts as live."""

    session_id: str
    account_id: str
    resource_id: str
    thumbprint: str
    ticket: str = field(repr=False)
    client_address: str
    # Of the client's proof; empty where there is none.
    proved: str


@dataclass(frozen=True, slots=True)
class Granted:
    session_id: str
    # GetLeaseResponse, in base64.
    lease: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Denied:
    session_id: str
    status: int
    reason: str
    message: str
    # By the desk, without the control plane.
    is_own: bool


@dataclass(frozen=True, slots=True)
class Ended:
    session_id: str


@dataclass(frozen=True, slots=True)
class Cut:
    """This session has to end."""

    session_id: str
    # One of sdm.contract.endings.
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Until:
    """This session may go on until then, in seconds since 1970; None when no end is set."""

    session_id: str
    ends_at: float | None


Message = Hello | Live | Begun | Ask | Granted | Denied | Ended | Cut | Until
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Hello, Live, Begun, Ask, Granted, Denied, Ended, Cut, Until)
}


def encode(message: Message) -> bytes:
    return json.dumps({"is": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    try:
        fields = json.loads(line)
        return _KINDS[fields.pop("is")](**fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadMessage("this is no message of the desk's") from None
