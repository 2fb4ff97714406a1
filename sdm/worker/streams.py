"""Non-blocking sockets, with or without TLS, for coroutines.

`ssl.SSLSocket` on the descriptor itself: the event loop's own TLS transports take ten times the memory.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_LINGER_BYTES = 64 * 1024


class Stream:
    """Bytes from and to one peer. Deadlines are the caller's."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock

    async def peek(self, limit: int) -> bytes:
        """What has arrived, up to `limit`, and stays there. Before TLS begins."""
        return await self._retry(lambda: self._socket.recv(limit, socket.MSG_PEEK), writes=False)

    async def receive(self, limit: int) -> bytes:
        """At least a byte, or nothing at the end."""
        return await self._retry(lambda: self._socket.recv(limit), writes=False)

    async def send(self, data: bytes) -> None:
        while data:
            sent = await self._retry(lambda rest=data: self._socket.send(rest), writes=True)  # type: ignore[misc]
            data = data[sent:]

    async def start_tls(self, context: ssl.SSLContext) -> bool:
        """Shake hands; whether an earlier session was resumed."""
        wrapped = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = wrapped
        await self._retry(wrapped.do_handshake, writes=False)
        return wrapped.session_reused or False

    async def finish(self) -> None:
        """Say goodbye, and read what the peer still sends: closing on unread bytes would destroy our answer."""
        if isinstance(self._socket, ssl.SSLSocket):
            self._send_close_notify(self._socket)
        self._socket.shutdown(socket.SHUT_WR)
        left = _LINGER_BYTES
        while left > 0 and (data := await self._retry(self._receive_raw, writes=False)):
            left -= len(data)

    def close(self) -> None:
        self._socket.close()

    def _receive_raw(self) -> bytes:
        return socket.socket.recv(self._socket, 16 * 1024)

    @staticmethod
    def _send_close_notify(wrapped: ssl.SSLSocket) -> None:
        # What the peer has on its way makes OpenSSL complain; we leave anyway.
        with contextlib.suppress(ssl.SSLError, OSError):
            wrapped._sslobj.shutdown()  # type: ignore[attr-defined]

    async def _retry(self, operation: Callable[[], T], *, writes: bool) -> T:
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                await self._ready(writes=False)
            except ssl.SSLWantWriteError:
                await self._ready(writes=True)
            except BlockingIOError:
                await self._ready(writes=writes)

    async def _ready(self, *, writes: bool) -> None:
        add, remove = (
            (self._loop.add_writer, self._loop.remove_writer)
            if writes
            else (self._loop.add_reader, self._loop.remove_reader)
        )
        descriptor = self._socket.fileno()
        ready = self._loop.create_future()
        add(descriptor, _set, ready)
        try:
            await ready
        finally:
            remove(descriptor)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
