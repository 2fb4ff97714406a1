"""How commands speak to the agent: lines of JSON over a Unix socket in the agent's directory.

A request is one line, `{"verb": …}`; each answer is one line, and the end of the stream is the end of the answers.
"""

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# Of a request; an answer may list thousands of resources.
_MAX_REQUEST = 1 << 20
_REQUEST_TIMEOUT = 5.0
# Signing out waits for the control plane.
_ANSWER_TIMEOUT = 30.0
_CREDENTIALS = struct.Struct("3i")

Message = dict[str, Any]
Answer = Callable[[Message], AsyncIterator[Message]]


class NoAgent(Exception):
    """Nobody listens there."""


def ask(path: Path, request: Message) -> Message:
    """The one answer to a request."""
    for message in follow(path, request):
        return message
    raise NoAgent


def follow(path: Path, request: Message, *, forever: bool = False) -> Iterator[Message]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_ANSWER_TIMEOUT)
        try:
            with _shortened(path) as name:
                sock.connect(name)
            sock.sendall(json.dumps(request).encode() + b"\n")
            if forever:
                sock.settimeout(None)
            with sock.makefile("rb") as lines:
                while line := lines.readline():
                    yield json.loads(line)
        except (OSError, ValueError):
            raise NoAgent from None


@asynccontextmanager
async def serving(path: Path, answer: Answer) -> AsyncIterator[None]:
    _remove(path)  # of an agent that was killed: whoever calls this holds the lock
    connections: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_serve(reader, writer, answer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    with _shortened(path) as name:
        server = await asyncio.start_unix_server(begin, name, limit=_MAX_REQUEST)
    os.chmod(path, 0o600)
    try:
        yield
    finally:
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        _remove(path)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    try:
        if not _is_me(writer.get_extra_info("socket")):
            return
        async with asyncio.timeout(_REQUEST_TIMEOUT):
            request = json.loads(await reader.readline())
        if not isinstance(request, dict):
            return
        # Whoever has gone does not have to be told any more.
        async for message in _in_words(answer(request)):
            if reader.at_eof():
                return
            writer.write(json.dumps(message).encode() + b"\n")
            await writer.drain()
    except (OSError, ValueError, RecursionError, TimeoutError):
        return  # it is no request, or nobody waits for the answer
    finally:
        writer.close()


async def _in_words(answers: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """What fails over an answer is no failure of the line: who asked hears of it, and does not take us for ended."""
    try:
        async for message in answers:
            yield message
    except Exception as error:
        log.exception("A command failed.")
        yield {"error": f"The agent failed: {error}"}


@contextmanager
def _shortened(path: Path) -> Iterator[str]:
    """The same place by a path that a socket can have, which ends at 107 bytes; people's directories do not."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _is_me(sock: socket.socket) -> bool:
    """The directory keeps others out; this does where somebody opened it to them."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return bool(uid == os.getuid())
