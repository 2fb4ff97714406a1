"""Servers that cheat: what they see, what the client is told, and what the console and the log say."""

import asyncio
import os
import socket
import time
from typing import Any

import pytest

from sdm.contract.endings import Ending
from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.wire.postgres import startup
from sdm.wire.postgres.messages import message
from sdm.wire.postgres.scram import MAX_ITERATIONS
from sdm.worker import upstream
from sdm.worker.protocols import postgres
from sdm.worker.protocols.postgres import server as upstream_server
from sdm.worker.sessions.lease import Target
from sdm.worker.upstream import Unreachable
from tests.wire.postgres.server import CLEARTEXT, KEY, MD5, OK, READY, VERSION, ScramServer, ask
from tests.worker.protocols.databases import (
    PASSWORD,
    error,
    opened,
    says,
    server,
    start_of,
    target,
    word_of,
)


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
