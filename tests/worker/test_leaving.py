"""A worker that is on its way out: it sees through what is there, unless it is told that it may not go on at all."""

import os
import signal
import time

import pytest

from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as pb
from sdm.exit_codes import ExitCode
from tests.worker.clients import Person
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane
from tests.worker.processes import Worker
from tests.worker.tunnels import ends, says_back, started

pytestmark = pytest.mark.process


def leaves(worker: Worker, plane: ControlPlane, how: str) -> None:
    """From now on it sees through what is there."""
    if how == "stop":
        worker.signal(signal.SIGTERM)
    else:
        plane.tell(pb.Instruction(restart=pb.Restart(cut_connections=True)))
    worker.until(lambda: "stopping" in worker.probe("/readiness")[1])


def test_a_worker_that_stops_lets_sessions_go_on_until_its_deadline(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane, SDM_SHUTDOWN_NOTICE="1", SDM_SHUTDOWN_TIMEOUT="2")
    with alice.tunnel(port, resource) as sock:
        worker.signal(signal.SIGTERM)
        worker.until(lambda: worker.probe("/readiness")[0] == 503)
        # Not ready, and still open: balancers need a moment.
        assert says_back(alice.tunnel(port, resource))
        time.sleep(1.5)
        assert says_back(sock)
        assert ends(sock, 5)
    assert worker.ends() == 0
    assert plane.reports[-1].session_ids == []


def test_a_worker_ends_when_its_last_session_does(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane, SDM_SHUTDOWN_TIMEOUT="600")
    sock = alice.tunnel(port, resource)
    worker.signal(signal.SIGTERM)
    time.sleep(1)
    assert says_back(sock)
    sock.close()
    assert worker.ends(10) == 0


@pytest.mark.parametrize("notice", ["0", "60"])
@pytest.mark.parametrize("how", ["stop", "restart"])
def test_told_to_stop_it_cuts_what_it_would_have_seen_through(
    how: str, notice: str, start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(
        start, plane, SDM_WORKERS="2", SDM_SHUTDOWN_NOTICE=notice, SDM_SHUTDOWN_TIMEOUT="600"
    )
    socks = [alice.tunnel(port, resource) for _ in range(8)]
    leaves(worker, plane, how)
    assert all(says_back(sock) for sock in socks)
    began = time.monotonic()
    plane.stop_workers(Reason.KEY_DELETED, "Alice deleted the key.")
    assert all(ends(sock) for sock in socks)
    assert time.monotonic() - began < 2
    assert worker.ends() == ExitCode.REFUSED
    assert worker.last_line.endswith("Ended: Alice deleted the key. (key-deleted)")
    assert "Starting anew." not in worker.log


@pytest.mark.parametrize("how", ["stop", "restart"])
def test_what_was_said_while_it_was_away_it_hears_also_on_its_way_out(
    how: str, start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane, SDM_SHUTDOWN_TIMEOUT="600")
    with alice.tunnel(port, resource) as sock:
        leaves(worker, plane, how)
        plane.down()
        worker.until(lambda: "Trying again" in worker.log)
        assert says_back(sock)
        plane.refusals["Watch"] = (Reason.KEY_DELETED, "")
        plane.up()
        assert ends(sock, 30)
    assert worker.ends() == ExitCode.REFUSED


def test_a_link_that_died_on_the_way_out_is_started_again(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane, SDM_SHUTDOWN_TIMEOUT="600")
    with alice.tunnel(port, resource) as sock:
        leaves(worker, plane, "stop")
        os.kill(sorted(worker.children())[0], signal.SIGKILL)
        worker.until(lambda: worker.log.count("Connected") == 2)
        assert says_back(sock)
        plane.stop_workers(Reason.KEY_DELETED)
        assert ends(sock)
    assert worker.ends() == ExitCode.REFUSED
