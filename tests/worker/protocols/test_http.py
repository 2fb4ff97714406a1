"""What a website sees of a request, and what a client sees of its answer, through a session."""

import asyncio
import base64
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from sdm.contract.endings import Ending
from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.transport.streams import Stream
from sdm.worker.protocols import http
from sdm.worker.sessions.lease import Lease, Person, Target
from sdm.worker.sessions.session import Client, Session
from sdm.worker.spool import SpoolUnavailable
from sdm.worker.upstream import Unreachable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PATIENCE = 20.0


@dataclass
class Log:
    """What a session writes down."""

    requests: int = 0
    texts: list[bytes] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    is_full: bool = False

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


@pytest.mark.parametrize(
    ("kind", "authorization"),
    [
        ("httpNoAuth", None),
        ("httpBasicAuth", "Basic " + base64.b64encode(b"svc:geheim").decode()),
        ("httpAuth", "Bearer t0ken"),
    ],
)
def test_the_stored_credentials_are_put_in_and_the_person_s_are_not_passed_on(
    kind: str, authorization: str | None
):
    async def use(client: Tool) -> None:
        await client.ask(
            "GET /a?b=c HTTP/1.1", "Authorization: Bearer mine", "Cookie: sdm-console-session=x; own=1"
        )
        status, _, body = await client.answer()
        seen = json.loads(body)
        assert status == 200
        assert seen["line"] == "GET /a?b=c HTTP/1.1"
        assert seen["fields"].get("authorization") == authorization
        assert seen["fields"]["cookie"] == "own=1"
        assert seen["fields"]["host"].startswith("127.0.0.1:")
        assert client.log.texts == [b"GET /a?b=c"]

    through(lambda port: target(port, kind), echo, use)


def test_host_and_additional_headers_are_the_resource_s():
    async def use(client: Tool) -> None:
        await client.ask("GET / HTTP/1.1", "X-Environment: other")
        fields = json.loads((await client.answer())[2])["fields"]
        assert (fields["host"], fields["x-environment"]) == ("wiki.example.com", "production")

    through(
        lambda port: target(
            port, host_override="wiki.example.com", custom_headers="X-Environment: production"
        ),
        echo,
        use,
    )


def test_requests_follow_one_another_on_one_connection_and_pipelined_ones_too():
    async def use(client: Tool) -> None:
        await client.ask("GET /1 HTTP/1.1", body=b"GET /2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for number in (1, 2):
            assert json.loads((await client.answer())[2])["line"] == f"GET /{number} HTTP/1.1"
        await client.ask("HEAD /3 HTTP/1.1")
        status, fields = await client.head()
        assert (status, fields["content-length"] != "0") == (200, True)
        await client.ask("GET /4 HTTP/1.1")
        assert json.loads((await client.answer())[2])["line"] == "GET /4 HTTP/1.1"
        client.writer.write_eof()
        outcome = await client.outcome()
        assert outcome.ending is Ending.CLIENT_LEFT
        assert [each["result"] for each in client.log.results] == ["200"] * 4
        assert outcome.sent == sum(each["bytes_sent"] for each in client.log.results) > 0

    through(target, echo, use)


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_arrive_as_they_were_sent(chunked: bool):
    content = bytes(range(32, 127)) * 5_000

    async def use(client: Tool) -> None:
        if chunked:
            pieces = [content[at : at + 10_000] for at in range(0, len(content), 10_000)]
            body = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            await client.ask(
                "POST / HTTP/1.1", "Transfer-Encoding: chunked", body=body + b"0\r\nT: x\r\n\r\n"
            )
        else:
            await client.ask("POST / HTTP/1.1", f"Content-Length: {len(content)}", body=content)
        assert json.loads((await client.answer())[2])["body"].encode() == content
        await client.ask("GET /after HTTP/1.1")
        assert json.loads((await client.answer())[2])["line"] == "GET /after HTTP/1.1"

    through(target, echo, use)


def test_an_answer_without_a_length_is_sent_in_chunks_and_the_client_may_ask_again():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    async def use(client: Tool) -> None:
        for _ in range(2):
            await client.ask("GET / HTTP/1.1")
            status, fields, body = await client.answer()
            assert (status, fields["transfer-encoding"], body) == (200, "chunked", b"all of it")

    through(target, serve, use)


def test_a_site_that_closed_a_kept_connection_is_asked_again_on_another():
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"\r\n\r\n")
        served += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def use(client: Tool) -> None:
        for _ in range(3):
            await client.ask("GET / HTTP/1.1")
            assert (await client.answer())[2] == b"ok"
        assert served == 3

    through(target, serve, use)


def test_an_answer_that_comes_before_the_end_of_the_body_is_the_last_one():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
        await writer.drain()
        await reader.read()

    async def use(client: Tool) -> None:
        await client.ask("POST / HTTP/1.1", "Content-Length: 1000000", body=b"x" * 1000)
        status, fields, body = await client.answer()
        assert (status, fields["connection"], body) == (413, "close", b"no!")
        assert await client.reader.read() == b""
        assert client.log.results[0]["error"] == "413"

    through(target, serve, use)


def test_an_announcement_is_passed_on_before_the_answer():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"100-continue" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(4) == b"body"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def use(client: Tool) -> None:
        await client.ask("PUT / HTTP/1.1", "Expect: 100-continue", "Content-Length: 4")
        assert (await client.head())[0] == 100
        client.writer.write(b"body")
        assert (await client.head())[0] == 200

    through(target, serve, use)


def test_a_websocket_is_handed_to_the_relay_with_what_came_already():
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    proof = base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324  # RFC 6455

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b"upgrade: websocket" in head
        assert b"connection: upgrade" in head
        switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(switch + b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n\x81\x02hi")
        await writer.drain()
        await reader.read()

    async def use(client: Tool) -> None:
        await client.ask(
            "GET /live HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {key}"
        )
        status, fields = await client.head()
        assert (status, fields["upgrade"], fields["connection"]) == (101, "websocket", "Upgrade")
        assert fields["sec-websocket-accept"] == proof.decode()
        handoff = await client.running
        assert isinstance(handoff, HandOff)
        assert handoff.from_upstream == b"\x81\x02hi"
        assert client.log.results == [
            {
                "number": 1,
                "bytes_sent": client.log.results[0]["bytes_sent"],
                "bytes_received": 0,
                "result": "101",
                "error": "",
            }
        ]
        handoff.upstream.close()

    through(target, serve, use)


def test_a_site_that_changes_the_protocol_unasked_is_not_followed():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")

    async def use(client: Tool) -> None:
        await client.ask("GET / HTTP/1.1")
        assert (await client.answer())[0] == 502

    through(target, serve, use)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"220 ready\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_site_that_does_not_answer_in_http_is_a_bad_gateway(answer: bytes):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async def use(client: Tool) -> None:
        await client.ask("GET / HTTP/1.1")
        status, _, body = await client.answer()
        assert status == 502
        assert b"The site is lost" in body
        assert (await client.outcome()).ending is Ending.RESOURCE_LOST
        assert client.log.results[0]["result"] == "502"
        assert len(client.log.results) == 1

    through(target, serve, use)


def test_a_site_that_stops_within_an_answer_ends_the_connection_without_pretending():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    async def use(client: Tool) -> None:
        await client.ask("GET / HTTP/1.1")
        with pytest.raises(asyncio.IncompleteReadError):
            await client.answer()
        assert (await client.outcome()).ending is Ending.RESOURCE_LOST
        assert client.log.results[0]["error"] == "broken-off"

    through(target, serve, use)


def test_a_site_that_is_not_there_is_a_bad_gateway():
    async def run() -> None:
        async with site(echo) as port:
            pass
        async with tool(target(port)) as client:
            await client.ask("GET / HTTP/1.1")
            status, _, body = await client.answer()
            assert status == 502
            assert b"cannot be reached" in body

    asyncio.run(run())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    ],
)
def test_what_could_be_read_in_two_ways_reaches_no_site(request_: bytes, status: int):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("the site was asked")

    async def use(client: Tool) -> None:
        client.writer.write(request_)
        assert (await client.head())[0] == status
        assert (await client.outcome()).ending is Ending.PROTOCOL
        assert client.log.texts == []

    through(target, serve, use)


def test_what_cannot_be_logged_is_not_asked():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("the site was asked")

    async def use(client: Tool) -> None:
        client.log.is_full = True
        await client.ask("GET / HTTP/1.1")
        assert (await client.answer())[0] == 503
        assert (await client.outcome()).ending is Ending.LOG_UNAVAILABLE

    through(target, serve, use)


def test_a_cut_between_two_requests_ends_the_conversation_with_its_reason():
    async def use(client: Tool) -> None:
        await client.ask("GET / HTTP/1.1")
        await client.answer()
        client.session.cut(Ending.ACCESS_REMOVED, "Your role ended.")
        outcome = await client.outcome()
        assert (outcome.ending, outcome.message) == (Ending.ACCESS_REMOVED, "Your role ended.")
        assert await client.reader.read() == b""

    through(target, echo, use)


@pytest.mark.parametrize(
    ("status", "problem"), [(200, ""), (302, ""), (401, "credentials"), (500, "status 500")]
)
def test_health_is_an_answer_below_400_with_the_stored_credentials(status: int, problem: str):
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status)

    async def run() -> None:
        async with site(serve) as port:
            where = target(port, "httpAuth", healthcheck_path="/health")
            if not problem:
                await http.check(where)
            else:
                with pytest.raises(Unreachable, match=problem) as failed:
                    await http.check(where)
                assert "t0ken" not in str(failed.value)
        assert asked[0].startswith(b"GET /health ")
        assert b"authorization: Bearer t0ken" in asked[0]

    asyncio.run(run())


@pytest.mark.parametrize(
    "half",
    [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf",
        b"GET / HTTP/1.1\r\nHost: local",
    ],
    ids=["length", "chunked", "head"],
)
def test_a_client_that_stops_in_the_midst_of_a_request_is_not_waited_for(
    half: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sdm.worker.protocols.http.conversation.WITHIN", 0.2)
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    async def use(client: Tool) -> None:
        client.writer.write(half)
        assert await client.reader.read() == b""
        await client.running
        if b"POST" in half:
            await gone.wait()

    through(target, serve, use)


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "//evil.example/x", "/%2e%2e/x", "/a%2fb;c=d", "/a//b/./c", "/a?b=http://evil.example"],
)
def test_a_path_is_what_the_client_said_on_the_way_and_in_the_log(path: str):
    """Nothing is judged by it here, so nothing may be made of it: the site reads the same as the log."""

    async def use(client: Tool) -> None:
        for asked in (path, f"http://evil.example{path}"):
            await client.ask(f"GET {asked} HTTP/1.1")
            seen = json.loads((await client.answer())[2])
            assert seen["line"] == f"GET {path} HTTP/1.1"
            assert "evil.example" not in seen["fields"]["host"]
        assert client.log.texts == [f"GET {path}".encode()] * 2

    through(target, echo, use)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 20\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie : a=b\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
    ],
)
def test_an_answer_that_could_be_read_in_two_ways_reaches_no_browser(answer: bytes):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        await reader.read()

    async def use(client: Tool) -> None:
        await client.ask("GET / HTTP/1.1")
        status, fields, _ = await client.answer()
        assert (status, fields["connection"]) == (502, "close")
        assert await client.reader.read() == b""

    through(target, serve, use)


def test_an_answer_that_nobody_asked_for_is_given_to_nobody():
    """Response smuggling: what stands behind an answer is not the answer to the next request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readuntil(b"\r\n\r\n")
        own = line.split(b" ")[1]
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(own)
        writer.write(head + own + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        await writer.drain()
        await reader.read()

    async def use(client: Tool) -> None:
        for path in ("/1", "/2"):
            await client.ask(f"GET {path} HTTP/1.1")
            assert (await client.answer())[2].decode() == path

    through(target, serve, use)
