"""When a website may change the protocol, and what becomes of the session then."""

import asyncio
import base64
import hashlib
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sdm.contract.endings import Ending
from sdm.transport.relay.ends import End
from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.transport.relay.loop import Relay
from sdm.worker.protocols.http.goodbyes import Goodbyes
from tests.worker.processes import read_all, until
from tests.worker.protocols.websites import Tool, target, through

HELLO = b"\x81\x05hello"
ROLE = "Your role ended."


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
        assert isinstance(handoff.framer, Goodbyes)
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


# --- Why it is cut, between two frames of the server ---


class Socket:
    """A WebSocket that is relayed: both ends of it, and how it went."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self.relay, self.client, self.server = relay, client, server
        self.outcomes: list[Outcome] = []

    def cut(self, ending: Ending = Ending.ACCESS_REMOVED, message: str = ROLE) -> None:
        self.relay.cut("s-1", ending, message)

    def outcome(self) -> Outcome:
        until(lambda: bool(self.outcomes))
        return self.outcomes[0]


@contextmanager
def relayed(*, early: bytes = b"") -> Iterator[Socket]:
    relay = Relay()
    relay.start()
    with ExitStack() as stack:
        stack.callback(relay.stop)
        client, ours = socket.socketpair()
        upstream, server = socket.socketpair()
        for sock in (client, server):
            stack.enter_context(sock)
            sock.settimeout(10)
        for sock in (ours, upstream):
            sock.setblocking(False)
        pair = Socket(relay, client, server)
        handoff = HandOff(End(upstream), Goodbyes(), from_upstream=early)
        relay.begin("s-1", End(ours), handoff, pair.outcomes.append)
        yield pair


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (Ending.ACCESS_REMOVED, 1008),
        (Ending.SUSPENDED, 1008),
        (Ending.ENDED_BY_ADMINISTRATOR, 1008),
        (Ending.WORKER_STOPPED, 1001),
        (Ending.OFFLINE, 1001),
    ],
)
def test_a_websocket_that_is_cut_is_told_why(ending: Ending, code: int):
    with relayed(early=HELLO) as pair:
        assert pair.client.recv(100) == HELLO
        pair.cut(ending)
        assert read_all(pair.client) == b"\x88\x12" + code.to_bytes(2) + ROLE.encode()
        assert pair.outcome().ending is ending


def test_a_cut_within_a_frame_waits_for_the_end_of_it():
    with relayed(early=HELLO[:3]) as pair:
        assert pair.client.recv(100) == HELLO[:3]
        pair.cut()
        pair.server.sendall(HELLO[3:])
        assert read_all(pair.client) == HELLO[3:] + b"\x88\x12\x03\xf0" + ROLE.encode()
        assert pair.outcome().message == ROLE


@pytest.mark.parametrize(
    "sent",
    [HELLO[:3], b"\x88\x02\x03\xe8", b"no WebSocket at all"],
    ids=["a frame without an end", "its own goodbye", "another protocol"],
)
def test_where_there_is_no_place_for_words_it_is_cut_without(sent: bytes):
    with relayed(early=sent) as pair:
        assert pair.client.recv(100) == sent
        pair.cut()
        assert read_all(pair.client) == b""
        assert pair.outcome().ending is Ending.ACCESS_REMOVED


def test_a_site_that_is_lost_is_a_server_that_went_away():
    with relayed(early=HELLO) as pair:
        assert pair.client.recv(100) == HELLO
        pair.cut(Ending.RESOURCE_LOST, Ending.RESOURCE_LOST.sentence)
        assert read_all(pair.client)[2:] == (1001).to_bytes(2) + Ending.RESOURCE_LOST.sentence.encode()


def test_a_message_that_nobody_reads_keeps_no_cut_from_ending():
    with relayed() as pair:
        pair.server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            while True:
                pair.server.sendall(b"\x82\x7e\xff\xff" + bytes(0xFFFF))
        pair.cut()
        assert pair.outcome().message == ROLE
