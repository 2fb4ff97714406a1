"""How long a session goes on: its lease, its end, and the time without the control plane."""

import contextlib
import datetime as dt
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from tests.worker.clients import Answer, Person, raw_target
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane, now
from tests.worker.processes import until
from tests.worker.tunnels import ends, says_back, started

pytestmark = pytest.mark.process

# --- Leases ---


def test_a_lease_is_asked_for_once_while_it_is_good(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str, tmp_path: Path
):
    _, port = started(start, plane, SDM_WORKERS="2")
    for _ in range(6):
        assert says_back(alice.tunnel(port, resource))
    assert len(plane.leases) == 1
    assert says_back(Person.of(plane, tmp_path).tunnel(port, resource))
    assert len(plane.leases) == 2
    plane.recheck()
    until(lambda: says_back(alice.tunnel(port, resource)) and len(plane.leases) == 3)


def test_without_the_control_plane_a_cached_lease_opens_new_sessions_and_others_do_not(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str, tmp_path: Path
):
    worker, port = started(start, plane)
    with alice.tunnel(port, resource) as sock:
        plane.down()
        worker.until(lambda: "Trying again" in worker.log)
        assert says_back(sock)
        assert says_back(alice.tunnel(port, resource))
        answer = Person.of(plane, tmp_path).refusal(port, resource)
        assert (answer.status, answer.reason) == (503, Reason.UNAVAILABLE)
        plane.up()
        worker.until(lambda: worker.log.count("Connected") == 2)
        # After it was away, each is asked about.
        until(lambda: any(len(check.sessions) for check in plane.checks))
        assert says_back(sock)


def test_a_link_that_died_finds_the_sessions_again(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane)
    with alice.tunnel(port, resource) as sock:
        os.kill(sorted(worker.children())[0], signal.SIGKILL)
        worker.until(lambda: worker.log.count("Connected") == 2)
        assert says_back(sock)
        until(lambda: any(len(check.sessions) == 1 for check in plane.checks))
        plane.endings[resource] = (Ending.ACCESS_REMOVED, "The role was taken from you.")
        plane.recheck()
        assert ends(sock)


# --- Cuts ---


def test_a_session_that_may_not_go_on_is_cut_within_two_seconds(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane, SDM_WORKERS="2")
    socks = [alice.tunnel(port, resource) for _ in range(8)]
    assert all(says_back(sock) for sock in socks)
    plane.endings[resource] = (Ending.SUSPENDED, "Your account is suspended.")
    del plane.targets[resource]
    began = time.monotonic()
    plane.recheck()
    assert all(ends(sock) for sock in socks)
    assert time.monotonic() - began < 2
    assert alice.refusal(port, resource).status == 403
    worker.until(lambda: worker.metric('sdm_worker_sessions_ended_total{reason="suspended"}') == 8)


def test_a_session_that_is_ended_before_it_began_is_refused_with_the_reason(
    start: StartWorker, plane: ControlPlane, alice: Person
):
    _, port = started(start, plane)
    answers: list[Answer] = []
    with deaf() as silent:
        resource = raw_target(plane, silent)
        asking = threading.Thread(target=lambda: answers.append(alice.refusal(port, resource)))
        asking.start()
        until(lambda: bool(plane.leases))
        plane.endings[resource] = (Ending.ACCESS_REMOVED, "You left the role.")
        plane.recheck()
        # Somebody who does not answer is waited for ten seconds.
        asking.join(8)
    assert [(answer.status, answer.reason) for answer in answers] == [(403, Ending.ACCESS_REMOVED)]
    assert "You left the role." in answers[0].body.decode()
    until(lambda: len(plane.records) == 2)
    began, ended = plane.records
    assert began.session_started.resource_id == resource
    assert (ended.session_ended.reason, ended.session_ended.message) == (
        Ending.ACCESS_REMOVED,
        "You left the role.",
    )


@contextlib.contextmanager
def deaf() -> Iterator[int]:
    """A port where connections are neither taken nor refused: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, contextlib.ExitStack() as stack:
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def test_only_the_one_that_is_meant_ends(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane)
    one, other = alice.tunnel(port, resource), alice.tunnel(port, resource)
    assert says_back(one)
    assert says_back(other)
    worker.until(lambda: any(len(report.session_ids) == 2 for report in plane.reports))
    report = next(report for report in plane.reports if len(report.session_ids) == 2)
    plane.endings[report.session_ids[0]] = (Ending.ENDED_BY_ADMINISTRATOR, "")
    plane.recheck()
    assert ends(one)
    assert says_back(other)


def test_a_session_ends_with_the_access_also_without_the_control_plane(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane)
    plane.ends_at = now() + dt.timedelta(seconds=3)
    with alice.tunnel(port, resource) as sock:
        plane.down()
        assert says_back(sock)
        assert ends(sock, 6)
        assert now() >= plane.ends_at
    worker.until(lambda: worker.metric('sdm_worker_sessions_ended_total{reason="access-over"}') == 1)


def test_an_access_that_is_extended_goes_on(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    _, port = started(start, plane)
    plane.ends_at = now() + dt.timedelta(seconds=2)
    with alice.tunnel(port, resource) as sock:
        assert says_back(sock)
        plane.ends_at = None
        plane.recheck()
        time.sleep(2.5)
        assert says_back(sock)


def test_without_the_control_plane_sessions_go_on_until_the_grace_is_over(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane, SDM_OFFLINE_GRACE="4")
    with alice.tunnel(port, resource) as sock:
        plane.down()
        worker.until(lambda: "1 sessions go on for" in worker.log)
        assert says_back(sock)
        assert 0 < worker.metric("sdm_worker_offline_grace_seconds") < 4
        assert ends(sock, 8)
    worker.until(lambda: worker.metric('sdm_worker_sessions_ended_total{reason="offline"}') == 1)
