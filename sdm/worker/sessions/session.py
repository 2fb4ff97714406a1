"""One session, as a kind sees it."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

from sdm.contract.endings import Ending
from sdm.transport.streams import Stream
from sdm.worker.records import SessionLog
from sdm.worker.sessions.lease import Lease, Person, Target

_GOODBYE = 2.0


def new_session_id() -> str:
    return f"s-{secrets.token_hex(8)}"


class Client:
    """The client's side. What came together with its request is received first."""

    __slots__ = ("_early", "_stream", "at_border")

    def __init__(self, stream: Stream, early: bytes = b"") -> None:
        self._stream = stream
        self._early = early
        # Whether all that was to be sent is; otherwise what comes next would end up within something else.
        self.at_border = True

    async def receive(self, limit: int) -> bytes:
        """At least a byte, or nothing at the end."""
        if self._early:
            data, self._early = self._early[:limit], self._early[limit:]
            return data
        return await self._stream.receive(limit)

    def unread(self, data: bytes) -> None:
        """Received next."""
        self._early = data + self._early

    def taken(self) -> bytes:
        """What was received and not asked for: with this, the stream itself is all that is left."""
        data, self._early = self._early, b""
        return data

    def send_now(self, data: bytes) -> bytes:
        """What it does not take at once; it has to be sent next."""
        return self._stream.send_now(data)

    async def send(self, data: bytes) -> None:
        self.at_border = False
        await self._stream.send(data)
        self.at_border = True

    async def finish(self) -> None:
        """Say goodbye, and wait a moment for the other's: closing at once might destroy what was said last."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._stream.finish()


class SessionCut(Exception):
    """The session has to end, with a message for the person."""

    def __init__(self, ending: Ending, message: str) -> None:
        super().__init__(message)
        self.ending = ending


class Session:
    """A person, a target, the client's side and the log.

    Before `accept` a kind may raise Refused, and the client is told in HTTP; afterwards it speaks the resource's own
    protocol. When the session is cut, the kind has a second to tell the client why, in that protocol. Then its task is
    cancelled.
    """

    def __init__(
        self,
        session_id: str,
        lease: Lease,
        *,
        client: Client,
        client_address: str,
        log: SessionLog,
        accept: Callable[["Session"], Awaitable[None]],
    ) -> None:
        self.id = session_id
        self.person: Person = lease.person
        self.target: Target = lease.target
        self.lease = lease
        self.client = client
        self.client_address = client_address
        self.log = log
        self.ending: Ending | None = None
        self.farewell = ""
        # In the log; from then on the client hears in the resource's own protocol.
        self.accepted = False
        self._accept = accept
        self._waiting: asyncio.Timeout | None = None

    async def accept(self) -> None:
        """Begin the session in the log, and tell the client that its bytes go to the resource now.

        SpoolUnavailable: it cannot be logged, and there will be none.
        """
        await self._accept(self)

    @contextlib.asynccontextmanager
    async def until_cut(self, seconds: float | None = None) -> AsyncIterator[None]:
        """What is done within ends when the session is cut, by SessionCut; or after so long, by TimeoutError."""
        if self.ending is not None:
            raise SessionCut(self.ending, self.farewell)
        try:
            async with asyncio.timeout(seconds) as self._waiting:
                yield
        except TimeoutError:
            if self.ending is None:
                raise
            raise SessionCut(self.ending, self.farewell) from None
        finally:
            self._waiting = None

    def cut(self, ending: Ending, message: str) -> None:
        """The first reason stays."""
        if self.ending is None:
            self.ending, self.farewell = ending, message or ending.sentence
            if self._waiting is not None and not self._waiting.expired():
                self._waiting.reschedule(0)
