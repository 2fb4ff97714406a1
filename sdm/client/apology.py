"""Why there is no connection, said in the words of the protocol that the person's tool speaks.

A tool whose connection is just closed shows something about a network. A database client is told with an error of its
protocol, a browser with a page; where no words are known, closing is all there is, and `sdm status` says the rest.
"""

import asyncio
import html

from sdm.transport.streams import Stream
from sdm.wire.postgres.errors import CONNECTION_REJECTED, PostgresError, Report
from sdm.wire.postgres.startup import Startup

# What the tool may take to say what it wants.
_TIMEOUT = 5.0
_CHUNK = 16 * 1024


async def send(local: Stream, kind: str, message: str) -> None:
    async with asyncio.timeout(_TIMEOUT):
        if kind == "postgres":
            await _postgres(local, message)
        elif kind.startswith("http"):
            await _http(local, message)
        await local.finish()


async def _postgres(local: Stream, message: str) -> None:
    """After its first message: libpq takes an error before that for one of a server without TLS, and asks again."""
    startup = Startup()
    while data := await local.receive(_CHUNK):
        try:
            asked = startup.feed(data)
        except PostgresError as error:
            await local.send(error.report.to_bytes())
            return
        await local.send(startup.data_to_send())
        if asked is not None:
            await local.send(Report(CONNECTION_REJECTED, f"sdm: {message}").to_bytes())
            return


async def _http(local: Stream, message: str) -> None:
    await local.receive(_CHUNK)
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not connected</title>'
        f"<h1>Not connected</h1><p>{html.escape(message)}</p></html>\n"
    ).encode()
    head = (
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    await local.send(head.encode() + body)
