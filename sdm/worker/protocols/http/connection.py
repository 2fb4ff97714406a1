"""One connection to a site. What goes wrong on it is the site's: a SiteLost, never an OSError."""

import asyncio

from sdm.transport.relay.ends import End
from sdm.transport.streams import Stream
from sdm.wire.http import heads
from sdm.wire.http.heads import HeadReader, HttpError, ResponseHead
from sdm.worker import upstream
from sdm.worker.sessions.lease import Target

_CHUNK = 64 * 1024
# Seconds that a site may take for the next byte, and to take one of ours.
THINKING, TAKING = 600.0, 60.0


class SiteLost(Exception):
    """The site does not answer as it should; the message says how, after its name."""


class Connection:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._reader = HeadReader()

    @classmethod
    async def dial(cls, target: Target) -> "Connection":
        """upstream.Unreachable when there is none to be had."""
        stream = await upstream.connect(target)
        if target.text("url").startswith("https:"):
            try:
                await upstream.secure(stream, target)
            except BaseException:
                stream.close()
                raise
        return cls(stream)

    async def send(self, data: bytes) -> None:
        try:
            data = self._stream.send_now(data)
            if not data:  # nearly always, and a deadline costs more than the sending
                return
            async with asyncio.timeout(TAKING):
                await self._stream.send(data)
        except TimeoutError:
            raise SiteLost(f"it takes nothing more for {TAKING:.0f} s.") from None
        except OSError as error:
            raise SiteLost(f"the connection broke off ({error.strerror or error}).") from None

    async def receive(self) -> bytes:
        """At least a byte, or nothing at the end."""
        try:
            async with asyncio.timeout(THINKING):
                return await self._stream.receive(_CHUNK)
        except TimeoutError:
            raise SiteLost(f"it says nothing for {THINKING:.0f} s.") from None
        except OSError as error:
            raise SiteLost(f"the connection broke off ({error.strerror or error}).") from None

    async def head(self) -> ResponseHead:
        try:
            found = self._reader.feed(b"")
            while found is None:
                data = await self.receive()
                if not data:
                    raise SiteLost("it closed the connection without an answer.")
                found = self._reader.feed(data)
            return heads.parse_response(found)
        except HttpError as error:
            raise SiteLost(f"it does not answer in HTTP/1.1. {error}") from None

    def taken(self) -> bytes:
        """What came behind the head."""
        return self._reader.taken()

    def detach(self) -> End:
        return self._stream.detach()

    def close(self) -> None:
        self._stream.close()
