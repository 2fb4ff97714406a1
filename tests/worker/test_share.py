"""How much of a worker one person may take."""

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdm.contract.reasons import Reason
from tests.worker.clients import Answer, Person
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane
from tests.worker.processes import Worker, fetch

pytestmark = pytest.mark.process

MOST = 4
REFUSED = f'sdm_worker_sessions_refused_total{{reason="{Reason.TOO_MANY}"}} 1.0'


@pytest.fixture
def worker(start: StartWorker) -> Worker:
    """With several processes, which hear of each other's sessions from the desk alone."""
    worker = start(SDM_WORKERS="3", SDM_MAX_SESSIONS_PER_PERSON=str(MOST))
    worker.port()
    worker.until(lambda: "Connected" in worker.log)
    return worker


def connect(person: Person, worker: Worker, resource: str) -> tuple[socket.socket, Answer]:
    return person.connect(worker.port(), resource)


def test_a_person_has_so_many_sessions_and_others_have_theirs(
    worker: Worker, plane: ControlPlane, alice: Person, resource: str, tmp_path: Path
):
    opened = [alice.tunnel(worker.port(), resource) for _ in range(MOST)]
    answer = alice.refusal(worker.port(), resource)
    assert (answer.status, answer.reason) == (429, Reason.TOO_MANY)
    assert f"{MOST} of your sessions run through this worker" in answer.body.decode()
    Person.of(plane, tmp_path).tunnel(worker.port(), resource)
    worker.until(lambda: REFUSED in fetch(f"http://127.0.0.1:{worker.metrics_port}/metrics")[1])
    opened.pop().close()
    worker.until(lambda: worker.metric("sdm_worker_sessions") == MOST)
    alice.tunnel(worker.port(), resource)


def test_those_who_ask_at_once_are_not_more(worker: Worker, alice: Person, resource: str):
    with ThreadPoolExecutor(5 * MOST) as threads:
        answers = [
            answer for _, answer in threads.map(lambda _: connect(alice, worker, resource), range(5 * MOST))
        ]
    assert sorted(answer.status for answer in answers) == [101] * MOST + [429] * 4 * MOST


def test_sessions_count_when_the_link_or_another_process_died_as_well(
    worker: Worker, alice: Person, resource: str
):
    for _ in range(MOST):
        alice.tunnel(worker.port(), resource)
    os.kill(sorted(worker.children())[0], signal.SIGKILL)
    worker.until(lambda: worker.log.count("Connected") == 2)
    assert alice.refusal(worker.port(), resource).status == 429
    for front in worker.fronts():
        os.kill(front, signal.SIGKILL)
    worker.until(lambda: worker.metric("sdm_worker_sessions") == 0)
    worker.until(lambda: connect(alice, worker, resource)[1].status == 101)
