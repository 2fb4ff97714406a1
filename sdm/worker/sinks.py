"""Where lines go: each takes whole lines, and raises OSError when it cannot.

Whoever waits may give up: the lines are then written again, and what comes after begins a line of its own.
"""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sdm.worker.destination import Destination, Kind

# Local use 0, informational.
_PRIORITY = "<134>"
_NAME = "sdm-worker"
# What fits into one datagram of a network, and of this machine.
_MAX_UDP, _MAX_LOCAL = 8_000, 64_000
_CUT = "…"


class Sink(Protocol):
    async def write(self, lines: Sequence[str]) -> None: ...
    def close(self) -> None: ...


def sink_for(destination: Destination, beside_spool: Path, host_name: str) -> Sink:
    match destination.kind:
        case Kind.STDOUT:
            return Output(1)
        case Kind.FILE:
            return File(destination.path or beside_spool)
        case Kind.SYSLOG:
            return Syslog(destination, host_name)
        case Kind.TCP | Kind.SOCKET:
            return Stream(destination)


def _joined(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


class File:
    """Opened for each portion: who moves it away gets all that follows in a new one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def write(self, lines: Sequence[str]) -> None:
        await asyncio.to_thread(self._append, _joined(lines))

    def _append(self, data: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb", buffering=0) as file:
            while data:
                data = data[file.write(data) :]

    def close(self) -> None:
        pass


class Output:
    """Standard output, without ever waiting for its reader: it may be one with whom others share it."""

    def __init__(self, descriptor: int) -> None:
        self._socket: socket.socket | None = None
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            self._socket = socket.socket(fileno=os.dup(descriptor))
            self._descriptor = self._socket.fileno()
        else:
            # Opened anew: what is set on it concerns nobody else who has the same pipe.
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(f"/proc/self/fd/{descriptor}", flags)
        # Of a line that was begun.
        self._rest = b""

    async def write(self, lines: Sequence[str]) -> None:
        data = whole = self._rest + _joined(lines)
        try:
            while data:
                try:
                    data = data[self._send(data) :]
                except BlockingIOError:
                    await self._room()
        finally:
            self._rest = _rest_of_line(whole, data, begun=len(self._rest))

    def _send(self, data: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        return os.write(self._descriptor, data)

    async def _room(self) -> None:
        loop, writable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_writer(self._descriptor, writable.set)
        try:
            await writable.wait()
        finally:
            loop.remove_writer(self._descriptor)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._descriptor)


def _rest_of_line(whole: bytes, left: bytes, *, begun: int) -> bytes:
    """Of the line in which writing ended, if it did in one. The first `begun` bytes are the rest of another."""
    written = len(whole) - len(left)
    is_at_border = not left or (written >= begun and whole[:written].endswith(b"\n")) or written == begun == 0
    return b"" if is_at_border else left[: left.index(b"\n") + 1]


class Stream:
    """A connection over TCP, or to a socket of this machine; a new one after each failure."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def write(self, lines: Sequence[str]) -> None:
        try:
            # What is written to a connection that the other side has closed is lost without a word.
            if self._writer is None or self._reader is None or self._reader.at_eof():
                self.close()
                self._writer = await self._connect()
            self._writer.write(_joined(lines))
            await self._writer.drain()
        except BaseException:
            self.close()
            raise

    async def _connect(self) -> asyncio.StreamWriter:
        where = self._destination
        if where.path is not None:
            self._reader, writer = await asyncio.open_unix_connection(str(where.path))
        else:
            self._reader, writer = await asyncio.open_connection(where.host, where.port)
        # Nothing more than a portion waits in this process.
        writer.transport.set_write_buffer_limits(high=0)
        return writer

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None


class Syslog:
    """Datagrams: RFC 5424 over the network, and the older form for this machine's own."""

    def __init__(self, destination: Destination, host_name: str) -> None:
        self._destination = destination
        self._host_name = host_name
        self._socket: socket.socket | None = None

    async def write(self, lines: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        try:
            sock = self._socket = self._socket or await self._connect(loop)
            for line in lines:
                await loop.sock_sendall(sock, self._datagram(line))
        except BaseException:
            self.close()
            raise

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        where = self._destination
        if where.path is not None:
            family, address = socket.AF_UNIX, str(where.path)
        else:
            found = await loop.getaddrinfo(where.host, where.port, type=socket.SOCK_DGRAM)
            family, address = found[0][0], found[0][4]  # type: ignore[assignment]  # of its family
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return sock

    def _datagram(self, line: str) -> bytes:
        if self._destination.path is not None:
            return _cut(f"{_PRIORITY}{_NAME}: {line}", _MAX_LOCAL)
        return _cut(f"{_PRIORITY}1 - {self._host_name} {_NAME} - - - {line}", _MAX_UDP)

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def _cut(text: str, length: int) -> bytes:
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= length:
        return data
    return data[:length].decode("utf-8", "ignore").encode() + _CUT.encode()
