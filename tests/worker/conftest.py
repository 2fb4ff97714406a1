from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
