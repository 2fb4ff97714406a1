"""What a coroutine gives away when a session's start-up is over."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sdm.contract.endings import Ending
from sdm.transport.relay.ends import End


class SessionOver(Exception):
    """The session ends with what a framer has just seen, which goes no further. The message is for the person."""

    def __init__(self, ending: Ending, message: str = "") -> None:
        super().__init__(message or ending.sentence)
        self.ending = ending


class Framer(Protocol):
    """Looks at the bytes that pass, for the log. It may keep none of them: the buffer is everybody's.

    SessionOver ends the session.
    """

    @property
    def full(self) -> bool:
        """So much is under way that the client is left unread, until the resource has answered or some time is over."""

    @property
    def client_left(self) -> bool:
        """It has said goodbye in its own protocol: whoever closes first, it was the client who left."""

    def client_bytes(self, data: memoryview) -> None:
        """On their way to the resource. What is logged of them is written when this returns.

        SessionOver keeps them here.
        """

    def server_bytes(self, data: memoryview) -> None:
        """On their way back, or there already. Has to be quick."""

    def farewell(self, ending: Ending, message: str) -> bytes | None:
        """What tells the client why it is cut; None while it would end up within something else.

        Asked again after each `server_bytes`, for a second at most.
        """


class Opaque:
    """Bytes and times only."""

    __slots__ = ()
    full = False
    client_left = False

    def client_bytes(self, data: memoryview) -> None:
        pass

    def server_bytes(self, data: memoryview) -> None:
        pass

    def farewell(self, ending: Ending, message: str) -> bytes | None:
        return b""


OPAQUE = Opaque()


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session went."""

    ending: Ending
    message: str
    # To the resource, and from it.
    sent: int = 0
    received: int = 0


@dataclass(frozen=True, slots=True)
class HandOff:
    """From now on both sockets are the relay's. Nothing of them may be watched by an event loop any more."""

    upstream: End
    framer: Framer = OPAQUE
    # What was received and has not been looked at by the framer.
    from_client: bytes = b""
    from_upstream: bytes = b""
    # Called in the relay's thread when a cut begins, to hurry the resource.
    hurry: Callable[[], None] = _nothing
    # Called there at the end, before anybody else hears of it.
    over: Callable[[Outcome], None] = _nothing
