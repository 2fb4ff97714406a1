"""Servers that cheat, and clients that do: what the other side gets to see of it, and what the log says."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from sdm.contract.endings import Ending
from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.transport.streams import Stream
from sdm.wire.postgres import startup
from sdm.wire.postgres.messages import cstring, message
from sdm.wire.postgres.replies import MAX_ROWS
from sdm.wire.postgres.scram import MAX_ITERATIONS
from sdm.worker import upstream
from sdm.worker.protocols import postgres
from sdm.worker.protocols.postgres import server as upstream_server
from sdm.worker.protocols.postgres.framer import Framer
from sdm.worker.sessions.lease import Lease, Person, Target
from sdm.worker.sessions.session import Client, Session
from sdm.worker.upstream import Unreachable
from tests.wire.postgres.server import CLEARTEXT, KEY, MD5, OK, READY, VERSION, ScramServer, ask

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PASSWORD = "hunter2-of-orders"
PATIENCE = 20.0
HELLO = startup.startup_message([(b"user", b"nobody"), (b"database", b"x")])


class Log:
    """What a session writes down."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, list[bytes]]] = []
        self.told: list[dict[str, Any]] = []

    def request(self, text: bytes, *, parameters: list[bytes] = (), **_: object) -> int:  # type: ignore[assignment]
        self.asked.append((text, list(parameters)))
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


# --- Servers ---


@pytest.mark.parametrize(
    "words",
    {
        "clear text in the clear": [CLEARTEXT],
        "clear text after SCRAM was offered": [ask(10, b"SCRAM-SHA-256\0\0"), CLEARTEXT],
        "another mechanism": [ask(10, b"PLAIN\0\0")],
        "iterations without end": [
            ask(10, b"SCRAM-SHA-256\0\0"),
            ask(11, b"r=x,s=QQ==,i=%d" % (MAX_ITERATIONS + 1)),
        ],
        "an error with the password": [error(f'no user "app" with {PASSWORD}')],
        "an error with the password in hexadecimal": [error(PASSWORD.encode().hex())],
        "notices without end": [message(b"N", b"SNOTICE\0C00000\0Mhello\0\0") * 100],
        "parameters without end": [
            OK,
            b"".join(message(b"S", b"p%d\0x\0" % n) for n in range(1000)),
        ],
        "a message of 2 GB": [b"R\x7f\xff\xff\xff"],
        "a message of no length": [b"R\0\0\0\0"],
        "HTTP": [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        "TLS": [b"\x15\x03\x01\x00\x02\x02\x46"],
        "noise": [bytes(range(256)) * 200],
        "ready before it asked": [READY],
        "rows before it asked": [message(b"D", b"\0\0")],
        "a copy": [OK, message(b"G", b"\0\0\0")],
    }.items(),
    ids=lambda item: item[0].replace(" ", "-"),
)
def test_a_server_that_cheats_gets_no_password_and_the_client_is_told(words: tuple[str, list[bytes]]):
    seen = bytearray()

    async def scene() -> None:
        async with server(says(*words[1]), seen) as port:
            outcome, heard, log = await opened(target(port))
            assert isinstance(outcome, Outcome)
            assert outcome.ending in (Ending.RESOURCE_REFUSED, Ending.RESOURCE_UNREACHABLE)
            assert heard[:1] == b"E"
            for shown in (heard, outcome.message.encode()):
                assert PASSWORD.encode() not in shown and PASSWORD.encode().hex().encode() not in shown
            assert log.asked == []
            with pytest.raises(Unreachable) as failed:
                await postgres.check(target(port))
            assert PASSWORD not in str(failed.value)

    asyncio.run(scene())
    assert PASSWORD.encode() not in seen


@pytest.mark.parametrize(
    "answer", [b"N", b"SS", b"S" + OK, b"", b"E" + bytes(4), b"S\x15\x03\x01\x00\x02\x02\x46", b"G"]
)
def test_a_server_without_tls_gets_nothing_where_tls_is_wanted(answer: bytes):
    seen = bytearray()

    async def scene() -> None:
        async with server(says(answer, and_waits=False), seen) as port:
            outcome, heard, _ = await opened(target(port, tls_required=True))
            assert isinstance(outcome, Outcome) and outcome.ending is Ending.RESOURCE_UNREACHABLE
            assert heard[:1] == b"E"

    asyncio.run(scene())
    assert bytes(seen[:8]) == startup.SSL_REQUEST
    assert b"app" not in seen and PASSWORD.encode() not in seen


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upstream_server, "SIGN_IN_TIMEOUT", 0.2)

    async def scene() -> None:
        async with server(says()) as port:
            outcome, heard, _ = await opened(target(port))
            assert isinstance(outcome, Outcome) and outcome.ending is Ending.RESOURCE_UNREACHABLE
            assert b"takes longer" in heard

    asyncio.run(scene())


def test_md5_shows_no_password_but_what_is_made_of_it():
    seen = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await start_of(reader)
        writer.write(MD5)
        assert (await word_of(reader))[:3] == b"md5"
        writer.write(OK + VERSION + KEY + READY)
        await reader.read()

    async def scene() -> None:
        async with server(serve, seen) as port:
            outcome, heard, _ = await opened(target(port))
            assert isinstance(outcome, HandOff) and heard[:1] == b"R"
            # The server's cancel key is not the client's.
            assert KEY not in heard

    asyncio.run(scene())
    assert PASSWORD.encode() not in seen


def test_while_one_server_has_us_calculate_others_are_served():
    """A hostile one may choose another salt each time: nothing that was calculated helps."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scram = ScramServer("another password", iterations=10)
        scram._iterations, scram._salt = MAX_ITERATIONS, os.urandom(16)
        await start_of(reader)
        writer.write(ask(10, b"SCRAM-SHA-256\0\0"))
        _, _, first = (await word_of(reader)).partition(b"\0")
        writer.write(ask(11, scram.challenge(first[4:])))
        await reader.read()

    async def scene() -> None:
        stalls: list[float] = []

        async def watch() -> None:
            while True:
                began = time.thread_time()
                await asyncio.sleep(0.005)
                stalls.append(time.thread_time() - began)

        async with server(serve) as port:
            watching = asyncio.create_task(watch())
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(upstream_server, "SIGN_IN_TIMEOUT", 1.0)
                await asyncio.gather(*[opened(target(port)) for _ in range(4)])
            watching.cancel()
        # One calculation alone is a third of a second of this thread's time.
        assert max(stalls) < 0.15

    asyncio.run(scene())


def test_a_server_that_shows_the_password_after_signing_in_is_not_repeated_to_the_console():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await start_of(reader)
        writer.write(OK + VERSION + KEY + READY)
        await word_of(reader)
        writer.write(error(f"cannot SELECT 1 with {PASSWORD}", "XX000"))
        await reader.read()

    async def scene() -> None:
        async with server(serve) as port:
            with pytest.raises(Unreachable) as failed:
                await postgres.check(target(port))
            assert PASSWORD not in str(failed.value)
            assert "withheld" in str(failed.value)

    asyncio.run(scene())


def test_a_name_that_leads_elsewhere_when_it_is_connected_to_is_refused(monkeypatch: pytest.MonkeyPatch):
    """DNS rebinding: whatever the console was told, the resolved address is judged, and it is the one that is used."""
    answers = iter(["169.254.169.254", "fe80::1%lo", "fd00:ec2::254", "0.0.0.0"])

    async def scene() -> None:
        loop = asyncio.get_running_loop()

        async def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
            assert host == "db.example.com"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

        async def connect(*_: object) -> None:
            raise AssertionError("it was connected to")

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(loop, "sock_connect", connect)
        where = Target("rs-1", "orders", "postgres", "db.example.com", 5432, "app", {}, {})
        for _ in range(4):
            with pytest.raises(Unreachable, match="may not be connected to"):
                await upstream.connect(where)

    asyncio.run(scene())


# --- Clients ---


@pytest.mark.parametrize(
    "first",
    [
        startup.SSL_REQUEST + HELLO,
        startup.SSL_REQUEST + startup.SSL_REQUEST,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0\0\0\x03\0\0\0",
        b"\x7f\xff\xff\xff" + HELLO,
        HELLO[:-1] + b"x",
        startup.startup_message([(b"user", b"a"), (b"user", b"b")]),
        startup.startup_message([(b"user", b"a"), (b"replication", b"true")]),
        startup.startup_message([(b"user", b"a"), (b"replication", b"database")]),
        startup.startup_message([(b"user", b"a"), (b"x\r\ny", b"b")]),
        (9).to_bytes(4) + (2 << 16).to_bytes(4) + b"\0",
    ],
    ids=[
        "data behind SSLRequest",
        "SSLRequest twice",
        "direct TLS",
        "HTTP",
        "length 3",
        "length 2^31-1",
        "no NUL at the end",
        "user twice",
        "replication",
        "logical replication",
        "name",
        "version 2",
    ],
)
def test_a_client_that_begins_otherwise_reaches_no_server(first: bytes):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("the server was reached")

    async def scene() -> None:
        async with server(serve) as port:
            outcome, heard, log = await opened(target(port), first)
            assert isinstance(outcome, Outcome)
            assert outcome.ending in (Ending.PROTOCOL, Ending.NOT_ALLOWED)
            assert b"E\0\0\0" in heard
            assert log.asked == []

    asyncio.run(scene())


def test_whatever_a_client_asks_for_the_server_hears_the_resources_user():
    seen = bytearray()
    asked = startup.startup_message(
        [(b"user", b"postgres"), (b"database", b"template1"), (b"options", b"-c role=postgres")]
    )

    async def scene() -> None:
        async with server(says(OK, VERSION, KEY, READY), seen) as port:
            outcome, _, _ = await opened(target(port, database="orders"), asked)
            assert isinstance(outcome, HandOff)

    asyncio.run(scene())
    assert b"user\0app\0database\0orders\0" in seen
    assert b"template1" not in seen and seen.count(b"user\0") == 1


# --- What passes ---


def framer(*, values: bool = False) -> tuple[Framer, Log]:
    log = Log()
    return Framer(log, values=values), log  # type: ignore[arg-type]  # in its shape


def complete(tag: str) -> bytes:
    return message(b"C", cstring(tag.encode()))


def test_rows_without_measure_are_as_many_as_can_be():
    passing, log = framer()
    passing.client_bytes(memoryview(message(b"Q", cstring(b"SELECT 1; SELECT 2; SELECT 3"))))
    passing.server_bytes(memoryview(complete("SELECT " + "9" * 19) * 3 + READY))
    assert log.told[0]["rows"] == MAX_ROWS


def test_an_empty_value_is_told_from_none():
    def value(data: bytes | None) -> bytes:
        return b"\xff\xff\xff\xff" if data is None else len(data).to_bytes(4) + data

    passing, log = framer(values=True)
    bound = b"\0\0" + b"\0\0" + b"\0\3" + value(b"") + value(None) + value(b"x") + b"\0\0"
    passing.client_bytes(
        memoryview(
            message(b"P", b"\0SELECT $1\0\0\0") + message(b"B", bound) + message(b"E", b"\0" + bytes(4))
        )
    )
    assert log.asked == [(b"SELECT $1", [b"", b"NULL", b"x"])]


def test_a_flood_of_what_nobody_asked_for_changes_no_result():
    passing, log = framer()
    flood = (
        message(b"N", b"SNOTICE\0Mx\0\0") * 1000 + complete("DROP DATABASE") * 100 + error("x", "XX000") * 100
    )
    passing.server_bytes(memoryview(flood))
    passing.client_bytes(memoryview(message(b"Q", cstring(b"SELECT 1"))))
    passing.server_bytes(memoryview(READY + complete("SELECT 1") + READY))
    assert len(log.told) == 1
