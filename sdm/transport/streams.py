"""Non-blocking sockets, with or without TLS, for coroutines.

OpenSSL on the descriptor itself: the event loop's own TLS transports take ten times the memory.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sdm.transport.half_close import Tls
from sdm.transport.readiness import READ, WRITE, readiness
from sdm.transport.relay.ends import End, TlsEnd
from sdm.transport.truncation import is_truncation

T = TypeVar("T")

# In the place of a socket that is somebody else's. It can be closed once more.
_GIVEN_AWAY = socket.socket(socket.AF_UNIX)
_GIVEN_AWAY.close()

_LINGER_BYTES = 64 * 1024
_CHUNK = 16 * 1024
# A ClientHello has a few hundred bytes, or somewhat more than a thousand with a ticket.
_AHEAD = 2048


class Stream:
    """Bytes from and to one peer. Deadlines are the caller's."""

    __slots__ = ("_readiness", "_socket", "_tls", "_watched")

    def __init__(self, sock: socket.socket) -> None:
        self._readiness = readiness()
        self._socket = sock
        self._tls: Tls | None = None
        # For what: whoever has waited once waits again.
        self._watched = 0

    def peek(self, limit: int) -> Awaitable[bytes]:
        """What has arrived, up to `limit`, and stays there. Before TLS begins."""
        return self._retry(self._socket.recv, limit, socket.MSG_PEEK)

    async def arrived(self, count: int) -> bytes:
        """The first `count` bytes or more, which stay there; fewer when no more will come. Before TLS begins.

        It is the kernel that waits until they are complete: nobody is woken for a byte.
        """
        ahead = max(count, _AHEAD)
        with contextlib.suppress(BlockingIOError):
            data = self._socket.recv(ahead, socket.MSG_PEEK)
            if not data or len(data) >= count:
                return data
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
        try:
            # Asked for anew: the end may have been announced together with what was there.
            self._watch(READ)
            await self._readiness.wait(self._socket.fileno(), READ)
            return await self.peek(ahead)
        finally:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def receive(self, limit: int) -> Awaitable[bytes]:
        """At least a byte, or nothing at the end."""
        return self._retry(self._read, limit)

    def send_now(self, data: bytes) -> bytes:
        """What the peer does not take at once; it has to be sent next."""
        try:
            return data[self._write(data) :]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return data

    async def send(self, data: bytes) -> None:
        while data:
            data = data[await self._retry(self._write, data, writes=True) :]

    async def start_tls(self, context: ssl.SSLContext, *, server_hostname: str | None = None) -> bool:
        """Shake hands, as the server unless the server's name is given; whether an earlier session was resumed."""
        if server_hostname is None:
            # All of an `SSLSocket` that is needed here: the rest of it asks the kernel eight things about the socket.
            self._tls = context._wrap_socket(self._socket, True)  # type: ignore[attr-defined]
        else:
            wrapped = context.wrap_socket(
                self._socket, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self._socket, self._tls = wrapped, wrapped._sslobj  # type: ignore[attr-defined]
        tls = self._tls
        await self._retry(tls.do_handshake)
        return bool(tls.session_reused)

    def peer_address(self) -> str:
        # A listener for both families sees IPv4 peers in this form.
        return str(self._socket.getpeername()[0]).partition("%")[0].removeprefix("::ffff:")

    def certificate(self) -> bytes | None:
        """What the peer has shown, in DER, checked or not."""
        return self._tls.getpeercert(True) if self._tls is not None else None

    async def finish(self) -> None:
        """Say goodbye, and read what the peer still sends: closing on unread bytes would destroy our answer."""
        if self._tls is not None:
            # What the peer has on its way makes OpenSSL complain; we leave anyway.
            with contextlib.suppress(ssl.SSLError, OSError):
                self._tls.shutdown()
        self._socket.shutdown(socket.SHUT_WR)
        left = _LINGER_BYTES
        while left > 0 and (data := await self._retry(socket.socket.recv, self._socket, _CHUNK)):
            left -= len(data)

    def close(self) -> None:
        self._tls = None
        self._socket.close()

    def detach(self) -> End:
        """The socket, for a relay: this stream is over."""
        end = End(self._socket) if self._tls is None else TlsEnd(self._socket, self._tls)
        if self._watched:
            self._readiness.forget(end.descriptor)
            self._watched = 0
        self._socket, self._tls = _GIVEN_AWAY, None
        return end

    def _read(self, limit: int) -> bytes:
        if self._tls is None:
            return self._socket.recv(limit)
        try:
            data: bytes = self._tls.read(limit)
        except ssl.SSLError as error:
            if is_truncation(error):
                return b""  # the peer has closed without a word
            raise
        return data

    def _write(self, data: bytes) -> int:
        sent: int = self._socket.send(data) if self._tls is None else self._tls.write(data)
        return sent

    async def _retry(self, operation: Callable[..., T], *arguments: object, writes: bool = False) -> T:
        while True:
            try:
                return operation(*arguments)
            except ssl.SSLWantReadError:
                what = READ
            except ssl.SSLWantWriteError:
                what = WRITE
            except BlockingIOError:
                what = WRITE if writes else READ
            # Out here, or the exception would live as long as the peer is silent; and not in a coroutine of its own,
            # which ten thousand silent peers would each have.
            await self._wait(what)

    def _wait(self, what: int) -> asyncio.Future[None]:
        if not self._watched & what:
            self._watch(what)
        return self._readiness.wait(self._socket.fileno(), what)

    def _watch(self, what: int) -> None:
        self._watched = self._readiness.watch(self._socket.fileno(), self._watched, what)
