"""Random bytes to the API's port. `HYPOTHESIS_PROFILE=deep` sends them for a minute."""

import asyncio
import os
import random
import secrets
import socket
from contextlib import suppress

import pytest

from tests.api.conftest import Ground

pytestmark = pytest.mark.process

SECONDS = 60 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 2
BEGUN = (
    b"",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    b"\x16\x03\x01",
)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def disturb(port: int, draw: random.Random) -> None:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(draw.choice(BEGUN) + draw.randbytes(draw.randrange(3_000)))
        if draw.random() < 0.5:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_random_bytes_to_the_api_leave_nothing_behind(ground: Ground, caplog):
    seed = secrets.randbits(32)
    draw = random.Random(seed)  # noqa: S311  # noise that can be made again

    async def disturb_for(seconds: float) -> int:
        loop, number = asyncio.get_running_loop(), 0
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.to_thread(disturb, ground.port, draw)
            number += 1
        return number

    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        await disturb_for(SECONDS / 4)  # what is made once, is made
        before = descriptors()
        assert await disturb_for(SECONDS) > 20
        async with asyncio.timeout(20):
            while descriptors() > before:  # noqa: ASYNC110  # nobody tells when a connection is gone
                await asyncio.sleep(0.1)
        await worker.heartbeat()

    ground.run(scene, SECONDS * 2 + 60)
    assert "Traceback" not in caplog.text, f"seed {seed}"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
