"""What a client sees of a website's answer, and health checks of it."""

import asyncio

import pytest

from sdm.contract.endings import Ending
from sdm.worker.protocols import http
from sdm.worker.upstream import Unreachable
from tests.worker.protocols.websites import Tool, echo, site, target, through, tool


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


@pytest.mark.parametrize("at_once", [True, False])
def test_a_malformed_chunk_of_the_site_is_told_as_long_as_there_is_a_place_for_words(at_once: bool):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    heard = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + (b"ZZ\r\n" if at_once else b""))
        await heard.wait()
        writer.write(b"ZZ\r\n")
        await reader.read()

    async def use(client: Tool) -> None:
        await client.ask("GET / HTTP/1.1")
        if at_once:
            status, _, body = await client.answer()
            assert (status, b"The site is lost" in body) == (502, True)
            heard.set()
        else:
            assert (await client.head())[0] == 200
            heard.set()
            assert await client.reader.read() == b"5\r\nhello\r\n"
        outcome = await client.outcome()
        assert (outcome.ending, "A chunk" in outcome.message) == (Ending.RESOURCE_LOST, True)
        assert [each["result"] for each in client.log.results] == ["502" if at_once else ""]

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
