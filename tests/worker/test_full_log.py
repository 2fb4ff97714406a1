"""What can happen to the request log's place on the disk: little room, none, and somebody who deletes it."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sdm.contract.reasons import Reason
from tests.servers import postgres
from tests.worker.clients import Person
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane
from tests.worker.databases import dsn, endings, target
from tests.worker.forwarding import Forwarding, forwarded
from tests.worker.processes import Worker, until

pytestmark = pytest.mark.process

# The least that may be set, and what is written to it by one query.
SPOOL = 16 << 20
LONG = f"SELECT length('{'x' * 60_000}')"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def worker(start: StartWorker, spool: Path) -> Worker:
    worker = start(SDM_WORKERS="1", SDM_SPOOL_BYTES=str(SPOOL), SDM_SPOOL_DIRECTORY=str(spool))
    worker.port()
    worker.until(lambda: "Connected" in worker.log)
    return worker


@pytest.fixture
def way(worker: Worker, plane: ControlPlane, alice: Person, database: str) -> Iterator[Forwarding]:
    with forwarded(alice, worker.port(), target(plane, database)) as way:
        yield way


def ask_until_refused(port: int) -> None:
    with pytest.raises(psycopg.Error), psycopg.connect(dsn(port), autocommit=True) as connection:
        for _ in range(1_000):
            connection.execute(LONG)


def fill(port: int) -> None:
    """Many at once: each by itself is slowed down."""
    threads = [threading.Thread(target=ask_until_refused, args=(port,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def begun(plane: ControlPlane) -> list[int]:
    """The numbers of the requests that arrived."""
    return [record.request_started.number for record in plane.records if record.HasField("request_started")]


def test_a_burst_that_is_more_than_the_log_holds_is_slowed_down_and_nobody_is_refused(
    way: Forwarding, worker: Worker, plane: ControlPlane
):
    queries = 4 * SPOOL // len(LONG)
    with psycopg.connect(dsn(way.port), autocommit=True, prepare_threshold=None) as greedy, greedy.pipeline():
        for number in range(queries):
            greedy.execute(LONG)
            if not number % 100:
                psycopg.connect(dsn(way.port)).close()
    assert "cannot be written" not in worker.log
    # A piece of the stream may end between a statement and its execution: then both are in the log.
    until(lambda: bool(endings(plane)) and len(begun(plane)) >= queries, 15)
    assert begun(plane) == list(range(1, len(begun(plane)) + 1))


def test_a_log_that_was_full_is_written_again_as_soon_as_there_is_room(
    way: Forwarding, worker: Worker, plane: ControlPlane
):
    plane.refusals["DeliverRecords"] = (Reason.UNAVAILABLE, "")
    fill(way.port)
    assert "wait there for the control plane (SDM_SPOOL_BYTES). Sessions are refused." in worker.log
    plane.refusals.clear()
    worker.until(lambda: "The request log can be written again." in worker.log)
    with psycopg.connect(dsn(way.port)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def asked(plane: ControlPlane, text: bytes) -> bool:
    return any(record.request_started.text == text for record in plane.records)


def test_what_somebody_deletes_is_missed_and_the_log_goes_on(
    way: Forwarding, worker: Worker, plane: ControlPlane, spool: Path
):
    with psycopg.connect(dsn(way.port), autocommit=True) as connection:
        connection.execute("SELECT 1")
        until(lambda: asked(plane, b"SELECT 1"))
        for path in spool.glob("run-*/*.log"):
            path.unlink()
        time.sleep(0.3)
        connection.execute("SELECT 2")
        until(lambda: asked(plane, b"SELECT 2"))
    assert "Somebody deleted files of the request log" in worker.log
    for path in spool.glob("run-*"):
        shutil.rmtree(path)
    worker.until(lambda: "Somebody removed" in worker.log)
    with psycopg.connect(dsn(way.port), autocommit=True) as connection:
        connection.execute("SELECT 3")
    until(lambda: asked(plane, b"SELECT 3"))
