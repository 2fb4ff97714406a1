"""What somebody is told whose session with a website is cut: an answer, as long as there is none of the site's."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sdm.contract.endings import Ending
from tests.worker.protocols.websites import Tool, echo, target, through

ROLE = "Your role ended."


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def turns() -> None:
    """What was written is there at once, and read within a few turns of the loop."""
    for _ in range(20):
        await asyncio.sleep(0)


async def pending(client: Tool) -> None:
    await client.ask("GET /slow HTTP/1.1")


async def uploading(client: Tool) -> None:
    await client.ask("POST /up HTTP/1.1", "Content-Length: 1000000", body=b"x" * 10_000)


async def uploaded(client: Tool) -> None:
    await client.ask("POST /up HTTP/1.1", "Content-Length: 5", body=b"hello")


async def asking(client: Tool) -> None:
    client.writer.write(b"GET /slow HTTP/1.1\r\nHost: ")


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (Ending.ACCESS_REMOVED, 403),
        (Ending.ACCESS_OVER, 403),
        (Ending.SUSPENDED, 403),
        (Ending.LOGGED_OUT, 403),
        (Ending.ENDED_BY_ADMINISTRATOR, 403),
        (Ending.RESOURCE_GONE, 403),
        (Ending.WORKER_STOPPED, 503),
        (Ending.OFFLINE, 503),
    ],
)
def test_who_waits_for_an_answer_is_told_why_there_is_none(ending: Ending, status: int):
    async def use(client: Tool) -> None:
        await pending(client)
        await turns()
        client.session.cut(ending, ROLE)
        found, fields, body = await client.answer()
        assert (found, fields["connection"]) == (status, "close")
        assert ROLE in body.decode()
        assert await client.reader.read() == b""
        outcome = await client.outcome()
        assert (outcome.ending, outcome.message) == (ending, ROLE)
        assert [each["error"] for each in client.log.results] == ["broken-off"]

    through(target, silent, use)


@pytest.mark.parametrize("ask", [uploading, uploaded, asking])
def test_so_is_who_is_not_done_asking(ask: Callable[[Tool], Awaitable[None]]):
    async def use(client: Tool) -> None:
        await ask(client)
        await turns()
        client.session.cut(Ending.ACCESS_REMOVED, ROLE)
        status, _, body = await client.answer()
        assert (status, ROLE in body.decode()) == (403, True)
        assert (await client.outcome()).ending is Ending.ACCESS_REMOVED

    through(target, silent, use)


def test_so_is_who_has_heard_that_an_answer_will_come():
    async def announce(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        await reader.read()

    async def use(client: Tool) -> None:
        await pending(client)
        assert (await client.head())[0] == 103
        client.session.cut(Ending.ACCESS_REMOVED, ROLE)
        assert (await client.answer())[0] == 403

    through(target, announce, use)


def test_within_an_answer_nothing_is_said_that_could_be_taken_for_a_part_of_it():
    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nso far")
        await reader.read()

    async def use(client: Tool) -> None:
        await pending(client)
        assert (await client.head())[0] == 200
        assert await client.reader.readexactly(6) == b"so far"
        client.session.cut(Ending.ACCESS_REMOVED, ROLE)
        assert await client.reader.read() == b""
        assert (await client.outcome()).ending is Ending.ACCESS_REMOVED

    through(target, begin, use)


def test_a_cut_between_two_requests_ends_the_conversation_without_an_answer_that_nobody_asked_for():
    async def use(client: Tool) -> None:
        await client.ask("GET / HTTP/1.1")
        await client.answer()
        client.session.cut(Ending.ACCESS_REMOVED, ROLE)
        outcome = await client.outcome()
        assert (outcome.ending, outcome.message) == (Ending.ACCESS_REMOVED, ROLE)
        assert await client.reader.read() == b""

    through(target, echo, use)


def test_a_client_that_does_not_read_its_answer_is_not_waited_for():
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async def use(client: Tool) -> None:
        await pending(client)
        assert (await client.head())[0] == 200
        await turns()
        client.session.cut(Ending.ACCESS_REMOVED, ROLE)
        outcome = await client.outcome()
        assert outcome.ending is Ending.ACCESS_REMOVED
        assert ROLE.encode() not in await client.reader.read()

    through(target, flood, use)
