"""When a website may change the protocol, and what becomes of the session then."""

import asyncio
import base64
import hashlib

from sdm.transport.relay.handoff import HandOff
from tests.worker.protocols.websites import Tool, target, through


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
