"""A database that says what a test wants, and a client that comes to it through a session."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from sdm.contract.parameters import NO_PARAMETERS, Parameters
from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.transport.streams import Stream
from sdm.wire.postgres import startup
from sdm.wire.postgres.messages import message
from sdm.worker.protocols import postgres
from sdm.worker.sessions.lease import Lease, Person, Target
from sdm.worker.sessions.session import Client, Session

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PASSWORD = "hunter2-of-orders"
PATIENCE = 20.0
HELLO = startup.startup_message([(b"user", b"nobody"), (b"database", b"x")])


class Log:
    """What a session writes down."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, Parameters]] = []
        self.told: list[dict[str, Any]] = []

    def request(self, text: bytes, *, parameters: Parameters = NO_PARAMETERS, **_: object) -> int:
        self.asked.append((text, parameters))
        return len(self.asked)

    def completed(self, number: int, **result: Any) -> None:
        self.told.append(result)


def target(port: int, **config: object) -> Target:
    return Target(
        "rs-1",
        "orders",
        "postgres",
        "127.0.0.1",
        port,
        "app",
        {"tls_required": False, **config},
        {"password": PASSWORD.encode()},
    )


@asynccontextmanager
async def server(serve: Serve, seen: bytearray | None = None) -> AsyncIterator[int]:
    """`serve` with a reader that keeps all that comes in `seen`."""

    serving: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen is not None:
            feed = reader.feed_data
            reader.feed_data = lambda data: (seen.extend(data), feed(data))[1]  # type: ignore[method-assign,func-returns-value]
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.ensure_future(guarded(reader, writer)))

    listening = await asyncio.start_server(begin, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*serving)  # and what one of them did not expect is told


async def start_of(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(4))
    return await reader.readexactly(length - 4)


async def word_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return await reader.readexactly(int.from_bytes(head[1:]) - 4)


def says(*words: bytes, and_waits: bool = True) -> Serve:
    """A server that says all of this to whoever comes, whatever they answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await start_of(reader)
        for word in words:
            writer.write(word)
            await writer.drain()
        if and_waits:
            await reader.read()

    return serve


async def opened(where: Target, first: bytes = HELLO) -> tuple[HandOff | Outcome, bytes, Log]:
    """A session with this target, and all that its client has heard."""
    near, far = socket.socketpair()
    far.setblocking(False)
    log = Log()

    async def accept(session: Session) -> None:
        pass

    session = Session(
        "s-1",
        Lease(Person("a-1", "alice@example.com", "Alice"), where, None, os.urandom(32)),
        client=Client(Stream(far)),
        client_address="127.0.0.1",
        log=log,  # type: ignore[arg-type]  # in its shape
        accept=accept,
    )
    reader, writer = await asyncio.open_connection(sock=near)
    writer.write(first)
    async with asyncio.timeout(PATIENCE):
        running = asyncio.create_task(postgres.open(session))
        heard = asyncio.create_task(reader.read(1 << 20))
        await asyncio.wait([running, heard], return_when=asyncio.FIRST_COMPLETED)
        if heard.done():
            writer.write_eof()
        outcome = await running
        if isinstance(outcome, HandOff):
            outcome.upstream.close()
    found = await heard
    writer.close()
    far.close()
    return outcome, found, log


def error(text: str, state: str = "28P01") -> bytes:
    return message(b"E", b"SFATAL\0C%b\0M%b\0\0" % (state.encode(), text.encode()))
