"""Much data through a worker: all that went in comes out, and next to nothing of it is held meanwhile.

200 MB each way; `HYPOTHESIS_PROFILE=deep` takes the ten gigabytes that are promised.
"""

import logging
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sdm.contract.endings import Ending
from tests.servers import postgres
from tests.worker import echo
from tests.worker.clients import Person, raw_target
from tests.worker.control_plane import ControlPlane
from tests.worker.databases import dsn, endings, target
from tests.worker.forwarding import forwarded
from tests.worker.processes import DEEP, MB, Worker, until

pytestmark = pytest.mark.process

log = logging.getLogger(__name__)

CHUNK = 1_000_000
CHUNKS = 10_000 if DEEP else 200
# Of all processes of the worker together, what they hold without any transfer included.
MOST = 128 * MB
# A gigabyte takes seconds; only a hang takes as long as this.
HANG = 600 if DEEP else 60

ROW = b"x" * 999 + b"\n"
ROWS = CHUNK // len(ROW)
# The sink keeps nothing: it is not the disk that is tried.
COPY_IN = "COPY sink FROM STDIN WHERE false"
MANY = f"repeat('x', {len(ROW) - 1}) FROM generate_series(1, {CHUNKS * ROWS})"
COPY_OUT = f"COPY (SELECT {MANY}) TO STDOUT"


@contextmanager
def watched(worker: Worker) -> Iterator[None]:
    """Its memory, all the time."""
    seen, over = [worker.resident()], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            seen.append(worker.resident())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
        seen.append(worker.resident())
    log.info(
        "%d MB: %.0f MiB before, %.0f at most, looked %d times",
        CHUNKS,
        seen[0] / MB,
        max(seen) / MB,
        len(seen),
    )
    assert len(seen) > 2
    assert max(seen) < MOST


def poured(sock: socket.socket) -> int:
    """How much comes until the other side has no more."""
    buffer, total = bytearray(CHUNK), 0
    while size := sock.recv_into(buffer):
        total += size
    return total


def pour(sock: socket.socket) -> None:
    data = bytes(CHUNK)
    for _ in range(CHUNKS):
        sock.sendall(data)


def test_what_is_sent_over_tcp_passes(worker: Worker, plane: ControlPlane, alice: Person):
    arrived: list[int] = []
    with (
        echo.server(lambda sock: arrived.append(poured(sock))) as there,
        alice.tunnel(worker.port(), raw_target(plane, there)) as tunnel,
        watched(worker),
    ):
        tunnel.settimeout(HANG)
        pour(tunnel)
        tunnel.close()
        until(lambda: bool(arrived), HANG)
    assert arrived == [CHUNKS * CHUNK]
    assert [ended.bytes_sent for ended in endings(plane)] == arrived


def test_what_is_received_over_tcp_passes(worker: Worker, plane: ControlPlane, alice: Person):
    with (
        echo.server(pour) as there,
        alice.tunnel(worker.port(), raw_target(plane, there)) as tunnel,
        watched(worker),
    ):
        tunnel.settimeout(HANG)
        assert poured(tunnel) == CHUNKS * CHUNK
    assert [ended.bytes_received for ended in endings(plane)] == [CHUNKS * CHUNK]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.server() as url:
        subprocess.run(
            ["psql", "-X", "-q", "-c", "CREATE TABLE sink (line text)", url], check=True, timeout=30
        )
        yield url


@contextmanager
def psql(port: int, text: str) -> "Iterator[subprocess.Popen[bytes]]":
    command = ["psql", "-X", "-c", text, dsn(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        alarm = threading.Timer(HANG, process.kill)
        alarm.start()
        try:
            yield process
        finally:
            alarm.cancel()
            process.kill()


def test_what_is_copied_in_passes(worker: Worker, plane: ControlPlane, alice: Person, database: str):
    data = ROW * ROWS
    with (
        forwarded(alice, worker.port(), target(plane, database)) as way,
        psql(way.port, COPY_IN) as copying,
        watched(worker),
    ):
        assert copying.stdin
        for _ in range(CHUNKS):
            copying.stdin.write(data)
        assert copying.communicate(timeout=HANG)[0] == b"COPY 0\n"
        (ended,) = endings(plane)
    assert ended.reason == Ending.CLIENT_LEFT
    assert ended.bytes_sent > CHUNKS * CHUNK


def test_what_is_copied_out_passes(worker: Worker, plane: ControlPlane, alice: Person, database: str):
    with (
        forwarded(alice, worker.port(), target(plane, database)) as way,
        psql(way.port, COPY_OUT) as copying,
        watched(worker),
    ):
        assert copying.stdout
        total = 0
        while data := copying.stdout.read(CHUNK):
            total += len(data)
        assert total == CHUNKS * CHUNK
        assert copying.wait(HANG) == 0
        (ended,) = endings(plane)
    assert ended.reason == Ending.CLIENT_LEFT
    assert ended.bytes_received > CHUNKS * CHUNK
