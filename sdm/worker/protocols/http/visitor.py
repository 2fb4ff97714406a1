"""The client's side of a conversation: what it asks, and what it hears, of the site or where that has no answer."""

import asyncio
import contextlib
from http import HTTPStatus

from sdm.wire.http import heads
from sdm.wire.http.heads import HeadReader, RequestHead
from sdm.worker.sessions.session import Client

_CHUNK = 64 * 1024
# Seconds: between two requests; for a head, for the next piece of a body, and to take a piece of ours; for a goodbye.
IDLE, WITHIN, _GOODBYE = 300.0, 60.0, 2.0


class Visitor:
    """TimeoutError and OSError are its own; HttpError is for what it sends that is no request."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._reader = HeadReader()
        # It has begun to ask, and nothing of an answer is on its way: there is a place for words of ours.
        self.waits = False

    # --- What it asks ---

    async def request(self) -> RequestHead | None:
        """None when it is done."""
        self.waits = True
        raw = self._reader.feed(b"")
        while raw is None and self._reader.is_empty:
            self.waits = False
            async with asyncio.timeout(IDLE):
                data = await self._client.receive(_CHUNK)
            if not data:
                return None
            self.waits = True
            raw = self._reader.feed(data)
        if raw is None:
            async with asyncio.timeout(WITHIN):
                raw = await self._rest_of_a_head()
        return heads.parse_request(raw) if raw is not None else None

    async def _rest_of_a_head(self) -> bytes | None:
        while data := await self._client.receive(_CHUNK):
            raw = self._reader.feed(data)
            if raw is not None:
                return raw
        return None

    def early(self) -> bytes:
        """What came behind the head."""
        return self._reader.taken()

    async def more(self) -> bytes:
        """Of a body."""
        async with asyncio.timeout(WITHIN):
            data = await self._client.receive(_CHUNK)
        if not data:
            raise ConnectionResetError
        return data

    def unread(self, data: bytes) -> None:
        """It belongs to the next request."""
        if data:
            self._client.unread(data)

    def taken(self) -> bytes:
        """What was received and nobody has asked for."""
        return self._client.taken()

    # --- What it hears ---

    async def send(self, data: bytes) -> None:
        """A piece of an answer."""
        if not data:
            return
        self.waits = False
        data = self._client.send_now(data)
        if data:
            async with asyncio.timeout(WITHIN):
                await self._client.send(data)

    async def announce(self, data: bytes) -> None:
        """What comes before an answer, and is none."""
        async with asyncio.timeout(WITHIN):
            await self._client.send(data)

    async def refuse(self, status: HTTPStatus, message: str) -> None:
        """In a page of our own, if there is a place for one. Nothing follows it."""
        if not self.waits or not self._client.at_border:
            return
        body = f"{status.value} {status.phrase}\n{message}\n".encode()
        fields = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        head = heads.response_bytes(status, status.phrase.encode(), fields)
        with contextlib.suppress(OSError, TimeoutError):  # whoever is gone needs no apology
            async with asyncio.timeout(_GOODBYE):
                await self._client.send(head + body)

    async def leave(self) -> None:
        with contextlib.suppress(OSError, TimeoutError):  # whoever is gone needs no goodbye
            async with asyncio.timeout(_GOODBYE):
                await self._client.finish()
