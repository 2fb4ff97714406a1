"""What a website sees of a request that a client makes through a session."""

import asyncio
import base64
import json

import pytest

from sdm.contract.endings import Ending
from tests.worker.protocols.websites import Tool, echo, target, through


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


@pytest.mark.parametrize(
    "half",
    [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf",
        b"GET / HTTP/1.1\r\nHost: local",
    ],
    ids=["length", "chunked", "head"],
)
def test_a_client_that_stops_in_the_midst_of_a_request_is_told_that_it_took_too_long(
    half: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sdm.worker.protocols.http.visitor.WITHIN", 0.2)
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    async def use(client: Tool) -> None:
        client.writer.write(half)
        status, _, body = await client.answer()
        assert (status, Ending.IDLE.sentence in body.decode()) == (408, True)
        assert (await client.outcome()).ending is Ending.IDLE
        if b"POST" in half:
            await gone.wait()

    through(target, serve, use)


def test_a_head_that_comes_a_byte_at_a_time_has_no_more_time_than_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sdm.worker.protocols.http.visitor.WITHIN", 0.3)

    async def use(client: Tool) -> None:
        client.writer.write(b"GET / HTTP/1.1\r\nX: ")
        dripping = asyncio.create_task(drip(client))
        assert (await client.answer())[0] == 408
        dripping.cancel()

    async def drip(client: Tool) -> None:
        while True:
            client.writer.write(b"x")
            await asyncio.sleep(0.1)

    through(target, echo, use)


def test_a_client_that_asks_nothing_more_is_left_without_a_word(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sdm.worker.protocols.http.visitor.IDLE", 0.2)

    async def use(client: Tool) -> None:
        await client.ask("GET / HTTP/1.1", body=b"\r\n")
        assert (await client.answer())[0] == 200
        assert await client.reader.read() == b""
        assert (await client.outcome()).ending is Ending.IDLE

    through(target, echo, use)


@pytest.mark.parametrize(
    "data",
    [bytes.fromhex("16030100ca010000c60303") + bytes(50), b"GET / HTTP/1.1\nHost: localhost\n\n"],
    ids=["TLS", "bare LF"],
)
def test_what_becomes_no_request_is_answered_without_waiting_for_more(data: bytes):
    async def use(client: Tool) -> None:
        client.writer.write(data)
        status, fields, _ = await client.answer()
        assert (status, fields["connection"]) == (400, "close")
        assert (await client.outcome()).ending is Ending.PROTOCOL

    through(target, echo, use)


@pytest.mark.parametrize(
    "body",
    [b"ZZ\r\n", b"5\r\nhelloXX", b"5\r\nhello\r\nZZ\r\n", b"0\r\n" + b"x: y\r\n" * 5_000],
    ids=["size", "too long", "second", "trailers"],
)
def test_a_malformed_chunk_is_the_clients_fault(body: bytes, caplog: pytest.LogCaptureFixture):
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert b"0\r\n\r\n" not in await reader.read()
        ended.set()

    async def use(client: Tool) -> None:
        await client.ask("POST /up HTTP/1.1", "Transfer-Encoding: chunked", body=body)
        status, fields, said = await client.answer()
        assert (status in (400, 431), fields["connection"]) == (True, "close")
        outcome = await client.outcome()
        assert outcome.ending is Ending.PROTOCOL
        assert outcome.message in said.decode()
        assert [(each["result"], each["error"]) for each in client.log.results] == [
            (str(status), outcome.message)
        ]
        await ended.wait()

    through(target, serve, use)
    assert not caplog.records


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
