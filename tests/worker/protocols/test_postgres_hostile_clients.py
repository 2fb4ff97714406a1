"""Clients that cheat: what the server gets to see of it, and what they are told."""

import asyncio

import pytest

from sdm.contract.endings import Ending
from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.wire.postgres import startup
from tests.wire.postgres.server import KEY, OK, READY, VERSION
from tests.worker.protocols.databases import (
    HELLO,
    opened,
    says,
    server,
    target,
)


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
