"""A website, and a client that reaches it through a session."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.transport.streams import Stream
from sdm.worker.protocols import http
from sdm.worker.sessions.lease import Lease, Person, Target
from sdm.worker.sessions.session import Client, Session
from sdm.worker.spool import SpoolUnavailable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PATIENCE = 20.0


@dataclass
class Log:
    """What a session writes down."""

    requests: int = 0
    texts: list[bytes] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    is_full: bool = False
    pause: float = 0.0

    def request(self, text: bytes, **more: object) -> int:
        if self.is_full:
            raise SpoolUnavailable("The spool is full.")
        self.texts.append(text)
        return len(self.texts)

    def completed(self, number: int, **result: Any) -> None:
        self.results.append({"number": number, **result})


@dataclass
class Tool:
    """A client that is connected through a session."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    session: Session
    log: Log
    running: "asyncio.Task[HandOff | Outcome]"

    async def ask(self, *lines: str, body: bytes = b"") -> None:
        head = "\r\n".join([lines[0], "Host: 127.0.0.1:10001", *lines[1:], "", ""])
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *fields = raw.strip().split("\r\n")
        return int(status.split()[1]), dict(line.split(": ", 1) for line in fields)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, fields = await self.head()
        if fields.get("transfer-encoding") == "chunked":
            return status, fields, await self._chunks()
        if "content-length" in fields:
            return status, fields, await self.reader.readexactly(int(fields["content-length"]))
        return status, fields, await self.reader.read()

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return body

    async def outcome(self) -> Outcome:
        self.writer.write_eof()  # nobody has to wait for our goodbye
        found = await self.running
        assert isinstance(found, Outcome)
        return found


@asynccontextmanager
async def site(serve: Serve) -> AsyncIterator[int]:
    """A website; each connection is served by `serve`."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has gone
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def target(port: int, kind: str = "httpNoAuth", **config: object) -> Target:
    credentials = {"httpBasicAuth": {"password": b"geheim"}, "httpAuth": {"auth_header": b"Bearer t0ken"}}
    fields = {"url": f"http://127.0.0.1:{port}", **config}
    return Target("rs-1", "wiki", kind, "127.0.0.1", port, "svc", fields, credentials.get(kind, {}))


@asynccontextmanager
async def tool(where: Target) -> AsyncIterator[Tool]:
    near, far = socket.socketpair()
    far.setblocking(False)
    log = Log()

    async def accept(session: Session) -> None:
        pass

    session = Session(
        "s-1",
        Lease(Person("a-1", "alice@example.com", "Alice"), where, None),
        client=Client(Stream(far)),
        client_address="127.0.0.1",
        log=log,  # type: ignore[arg-type]  # in its shape
        accept=accept,
    )
    running = asyncio.create_task(http.open(session))
    reader, writer = await asyncio.open_connection(sock=near)
    try:
        async with asyncio.timeout(PATIENCE):
            yield Tool(reader, writer, session, log, running)
    finally:
        writer.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        far.close()


def through(where: Callable[[int], Target], serve: Serve, use: Callable[[Tool], Awaitable[None]]) -> None:
    async def run() -> None:
        async with site(serve) as port, tool(where(port)) as client:
            await use(client)

    asyncio.run(run())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with what it was asked, for as long as it is asked."""
    while True:
        raw = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = raw.strip().split("\r\n")
        named = {name.lower(): value for name, value in (each.split(": ", 1) for each in fields)}
        body = await reader.readexactly(int(named.get("content-length", 0)))
        if named.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        told = json.dumps({"line": line, "fields": named, "body": body.decode("latin-1")}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(told)}\r\n\r\n"
        writer.write(head.encode() + (b"" if line.startswith("HEAD") else told))
        await writer.drain()
