"""Who speaks to an agent: its own person, in lines of JSON, and nobody else."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sdm.client import control
from sdm.client.control import Message

asked: list[Message] = []


async def answer(request: Message) -> AsyncIterator[Message]:
    asked.append(request)
    yield {"secret": "where everything is"}


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    asked.clear()


def at(directory: Path, scene: Callable[[Path], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(20), control.serving(directory / "agent.sock", answer):
            await scene(directory / "agent.sock")

    asyncio.run(whole())


async def said(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def test_the_socket_is_for_its_owner_alone(tmp_path: Path):
    async def scene(path: Path) -> None:
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert b"where everything is" in await said(path, b'{"verb": "status"}\n')

    at(tmp_path, scene)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to be somebody else")
def test_another_user_is_not_answered_even_where_somebody_opened_the_way(tmp_path: Path):
    program = (
        "import os, socket\n"
        "os.setgroups([]); os.setuid(65534)\n"
        "sock = socket.socket(socket.AF_UNIX)\n"
        "sock.connect('agent.sock')\n"
        "sock.settimeout(5)\n"
        "try:\n"
        '    sock.sendall(b\'{"verb": "status"}\\n\')\n'
        "    found = sock.recv(100)\n"
        "except ConnectionError:\n"
        "    found = b''\n"
        "raise SystemExit(len(found))\n"
    )

    async def scene(path: Path) -> None:
        for opened, mode in ((path, 0o666), (tmp_path, 0o755)):
            os.chmod(opened, mode)
        process = await asyncio.create_subprocess_exec("/usr/bin/env", "python3", "-c", program, cwd=tmp_path)
        assert await process.wait() == 0
        assert asked == []

    at(tmp_path, scene)


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"[]\n",
        b"null\n",
        b'"status"\n',
        b"\xff\xfe\n",
        b"[" * 200_000 + b"\n",
        b'{"a":' * 200_000 + b"\n",
        b"x" * (2 << 20),
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
    ids=["empty", "list", "null", "text", "bytes", "nested", "nested more", "long", "HTTP"],
)
def test_what_is_no_request_is_no_order_and_no_fault(
    data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async def scene(path: Path) -> None:
        assert await said(path, data) == b""
        assert asked == []
        assert json.loads(await said(path, b'{"verb": "status"}\n'))

    at(tmp_path, scene)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_who_says_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "_REQUEST_TIMEOUT", 0.1)

    async def scene(path: Path) -> None:
        assert await said(path, b"") == b""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(os.fspath(path))
        assert await asyncio.to_thread(sock.recv, 10) == b""
        sock.close()

    at(tmp_path, scene)


def test_what_fails_over_an_answer_is_told_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async def failing(_: Message) -> AsyncIterator[Message]:
        yield {"first": True}
        raise OSError(28, "No space left on device")

    async def scene() -> None:
        path = tmp_path / "agent.sock"
        async with asyncio.timeout(20), control.serving(path, failing):
            first, second = (await said(path, b'{"verb": "status"}\n')).splitlines()
        assert json.loads(first) == {"first": True}
        assert "No space left on device" in json.loads(second)["error"]

    asyncio.run(scene())
    assert [record.levelname for record in caplog.records] == ["ERROR"]
