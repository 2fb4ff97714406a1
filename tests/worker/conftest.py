from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.worker import echo
from tests.worker.clients import Person, raw_target
from tests.worker.control_plane import ControlPlane
from tests.worker.processes import Worker

StartWorker = Callable[..., Worker]


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    plane = ControlPlane()
    plane.begin()
    yield plane
    plane.end()


@pytest.fixture
def start(plane: ControlPlane, tmp_path: Path) -> Iterator[StartWorker]:
    """Start a worker of `plane`'s cluster, with settings as keywords."""
    started: list[Worker] = []

    def start_one(**settings: str) -> Worker:
        worker = Worker(plane.environment() | settings, tmp_path / f"worker{len(started)}.log")
        started.append(worker)
        return worker

    yield start_one
    for worker in started:
        worker.kill()


@pytest.fixture
def alice(plane: ControlPlane, tmp_path: Path) -> Person:
    return Person.of(plane, tmp_path)


@pytest.fixture
def resource(plane: ControlPlane) -> Iterator[str]:
    """What says back what it is told."""
    with echo.server() as port:
        yield raw_target(plane, port)


@pytest.fixture
def worker(start: StartWorker, plane: ControlPlane) -> Worker:
    """One that has joined, with two processes that serve."""
    worker = start(SDM_WORKERS="2")
    worker.port()
    worker.until(lambda: "Connected" in worker.log)
    return worker
