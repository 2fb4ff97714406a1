"""Who is served at the desk: nobody who does not know the word, no other user, and no reader of a log."""

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from sdm.worker.desk import server
from sdm.worker.desk.messages import MAX_LINE, Granted, Hello, encode
from tests.worker.desk import SESSION, Room, ask, at_the_desk, until


@pytest.mark.parametrize(
    "line",
    [
        b'{"is": "Hello", "word": "guess"}\n',
        b'{"is": "Hello", "word": 5}\n',
        b'{"is": "Hello", "word": null}\n',
        b'{"is": "Hello", "word": "\\udc80"}\n',
        b'{"is": "Live", "session_id": "s", "account_id": "", "resource_id": "", "thumbprint": ""}\n',
        b'{"is": "Ask"}\n',
        b"[" * 100_000 + b"\n",
        b"x" * (2 * MAX_LINE),
        b"\xff\xfe\n",
        b"\n",
    ],
    ids=["guess", "number", "null", "surrogate", "unasked", "fields", "nested", "long", "bytes", "empty"],
)
def test_who_does_not_know_the_word_hears_nothing(line: bytes, caplog: pytest.LogCaptureFixture):
    async def scene(room: Room) -> None:
        room.desk.connected(True)
        reader, writer = await asyncio.open_connection(sock=room.place.where.connect())
        writer.write(line)
        writer.write(encode(ask()))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        assert not room.plane.asked
        front = await room.front()  # and whoever knows it is served as before
        front.write(encode(ask()))
        await until(lambda: room.plane.asked)
        front.close()

    at_the_desk(scene)
    assert room_word_is_nowhere(caplog.text)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def room_word_is_nowhere(text: str) -> bool:
    return "word=" not in text


def test_another_user_of_this_machine_is_not_even_listened_to(monkeypatch: pytest.MonkeyPatch):
    """Neither with the word, nor with a line that never ends: nothing of it is read."""
    monkeypatch.setattr(server, "is_ours", lambda sock: False)

    async def scene(room: Room) -> None:
        room.desk.connected(True)
        reader, writer = await asyncio.open_connection(sock=room.place.where.connect())
        # It says nothing, and is turned away at once: what it would say is of no interest.
        async with asyncio.timeout(server._HELLO_TIMEOUT / 2):
            assert await reader.read() == b""
        writer.close()

    at_the_desk(scene)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to be somebody else")
def test_a_process_of_another_user_is_turned_away(tmp_path: Path):
    async def scene(room: Room) -> None:
        where, word = room.place.where.name, room.place.where.word
        program = (
            "import os, socket, sys\n"
            "os.setuid(65534)\n"
            "sock = socket.socket(socket.AF_UNIX)\n"
            f"sock.connect({where!r})\n"
            "sock.settimeout(5)\n"
            "try:\n"
            f"    sock.sendall({encode(Hello(word))!r} + {encode(ask())!r})\n"
            "    found = sock.recv(100)\n"
            "except ConnectionError:\n"
            "    found = b''\n"
            "sys.exit(len(found))\n"
        )
        room.desk.connected(True)
        process = await asyncio.create_subprocess_exec("/usr/bin/env", "python3", "-c", program)
        assert await process.wait() == 0
        assert not room.plane.asked

    at_the_desk(scene)


def test_no_secret_is_in_what_a_message_looks_like():
    shown = repr([ask(), Granted(SESSION, "lease"), Hello("word")])
    assert "ticket" not in shown.replace("ticket=", "") and "'lease'" not in shown and "'word'" not in shown
    assert json.loads(encode(Hello("word")))["word"] == "word"
