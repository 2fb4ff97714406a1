"""Small HTTP servers for orchestrators and Prometheus, on listeners of their own."""

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from sdm.worker.http import Exchange

log = logging.getLogger(__name__)

_TIMEOUT = 5.0
_CHUNK = 16 * 1024
# Probes come one at a time; more is somebody's mistake.
_MOST_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    reason: str
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


NOT_FOUND = Answer(404, "Not Found", b"404 Not Found\n")
Pages = dict[str, Callable[[], Answer]]


async def serve(sock: socket.socket, pages: Pages) -> asyncio.Server:
    open_now = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        try:
            if open_now <= _MOST_AT_ONCE:
                async with asyncio.timeout(_TIMEOUT):
                    await _answer(reader, writer, pages)
        except (OSError, TimeoutError):
            log.debug("A probe broke off.")
        finally:
            open_now -= 1
            writer.close()

    return await asyncio.start_server(handle, sock=sock, limit=_CHUNK)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pages: Pages) -> None:
    exchange = Exchange()
    while data := await reader.read(_CHUNK):
        request = exchange.feed(data)
        if request is None:
            continue
        page = pages.get(request.target.partition("?")[0]) if request.method in ("GET", "HEAD") else None
        answer = page() if page else NOT_FOUND
        writer.write(exchange.answer(answer.status, answer.reason, answer.body, answer.content_type))
        await writer.drain()
        return
