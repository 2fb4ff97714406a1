"""What clients ask for, as it is written to the log; and what is outstanding."""

import hashlib
from collections import deque
from dataclasses import dataclass
from enum import Enum

from sdm.contract.parameters import NO_PARAMETERS, Parameters

# PostgreSQL cuts the names of statements and portals at NAMEDATALEN - 1, and so do we: two names that it takes for one
# must be one here.
MAX_NAME = 63
# As long as there are more, the client is not read. A reply to each is under way or in a buffer of the kernel's.
MAX_PENDING = 10_000


class Kind(Enum):
    QUERY = "query"
    PREPARE = "prepare"
    """a statement that was parsed, and not executed in the same piece"""
    EXECUTE = "execute"
    CALL = "call"
    """of a function by its number, which needs no text"""
    BIND = "bind"
    """of a portal that has a name; never returned"""


class Text:
    """The text of a statement: its first bytes, how long it is, and the SHA-256 of all of it."""

    __slots__ = ("_sha256", "data", "size")

    def __init__(self, data: bytes, size: int, sha256: str = "") -> None:
        self.data = data
        self.size = size
        self._sha256 = sha256

    @property
    def cut(self) -> bool:
        return self.size > len(self.data)

    @property
    def sha256(self) -> str:
        # Of a text that is here as a whole it is calculated when the log is written, by another thread than this.
        return self._sha256 or hashlib.sha256(self.data).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and (self.size, self.sha256) == (other.size, other.sha256)

    __hash__ = None  # type: ignore[assignment]  # texts are compared in tests, and kept in no set

    def __repr__(self) -> str:
        return f"Text({self.data[:40]!r}, {self.size})"


@dataclass(slots=True)
class Request:
    """`text` is what the client sent last under that name, or None when nothing is known of it.

    Where `doubt` is not empty it names what was asked for, a statement or a portal, and `text` may be another than what
    the server runs: its Parse may have failed, or SQL may have given the name away.
    """

    number: int
    kind: Kind
    text: Text | None
    statement: bytes = b""
    parameters: Parameters = NO_PARAMETERS
    max_rows: int = 0
    function: int = 0
    doubt: bytes = b""
    returned: bool = True
    """Whether this was told, so that its result is wanted; for PREPARE"""
    mark: tuple[int, int] | None = None
    """by which the log knows it, until it has ended"""


@dataclass(slots=True)
class Prepared(Request):
    """A Parse, or a Bind of a portal that has a name: what is meant by that name, if the server takes it."""

    segment: int = 0
    """How many Syncs were before it: what follows in the same segment runs only if this was taken"""
    written: bool = False
    """Whether the text went to the log"""
    taken: bool | None = None
    """Whether the server did take it. None: that is not known, yet or for good"""
    doubts: int = 0
    """How often names were in doubt before it"""
    former: "Prepared | None" = None
    """what the name means if this is not taken"""
    touches: bool | None = None
    """Whether the text may give away names, once somebody wanted to know"""

    def settle(self, taken: bool | None) -> None:
        self.taken = taken
        if taken is not False:
            self.former = None


@dataclass(slots=True)
class CopyIn:
    """The end of what a client sent for COPY FROM STDIN, for request `number`."""

    number: int
    size: int
    failed: bool


class Pending(deque[Request | None]):
    """What the server has still to answer, in order; None stands for a Sync. Both directions know it."""

    __slots__ = ("copying",)

    def __init__(self) -> None:
        super().__init__()
        self.copying = False
        """Whether the server waits for COPY data."""

    @property
    def crowded(self) -> bool:
        """Whether more is under way than one request, with the Sync that ends it."""
        return len(self) > 2 or (len(self) == 2 and self[1] is not None)

    @property
    def first(self) -> Request | None:
        return self[0] if self else None

    def end_copy(self) -> None:
        """The client has no more data: a Sync that it sent since the COPY began was swallowed by the server.

        "The backend will ignore any Flush or Sync messages received during copy-in mode": clients send one with each
        Execute, before they know that it is a COPY.
        """
        while self.copying and self and self[-1] is None:
            self.pop()
        self.copying = False
