"""A process of a worker that is killed: its sessions end in the log, and nobody else's."""

import os
import signal

import pytest

from sdm.contract.endings import Ending
from sdm.contract.v1 import records_pb2 as pb
from tests.worker.clients import Person
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane
from tests.worker.processes import until
from tests.worker.tunnels import ends, says_back, started

pytestmark = pytest.mark.process


def ended(plane: ControlPlane) -> list[pb.Record]:
    return [record for record in plane.records if record.HasField("session_ended")]


def test_its_sessions_end_in_the_log_and_those_of_the_others_go_on(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane, SDM_WORKERS="2")
    socks = [alice.tunnel(port, resource) for _ in range(8)]
    assert all(says_back(sock) for sock in socks)
    os.kill(worker.fronts()[0], signal.SIGKILL)
    cut = [sock for sock in socks if ends(sock, 0.5)]
    until(lambda: len(ended(plane)) == len(cut))
    assert {record.session_ended.reason for record in ended(plane)} <= {Ending.WORKER_LOST}
    rest = [sock for sock in socks if sock not in cut]
    assert all(says_back(sock) for sock in rest)
    for sock in rest:
        sock.close()
    until(lambda: len(ended(plane)) == 8)
    assert len({record.session_id for record in ended(plane)}) == 8


def test_the_end_comes_after_the_beginning_when_both_had_to_wait(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane)
    with alice.tunnel(port, resource) as first:
        until(lambda: len(plane.records) == 1)
        plane.down()
        worker.until(lambda: "Trying again" in worker.log)
        with alice.tunnel(port, resource) as second:
            assert says_back(second)
            os.kill(worker.fronts()[0], signal.SIGKILL)
            assert ends(first)
            worker.until(lambda: "sessions ended with the process" in worker.log)
    plane.up()
    until(lambda: len(plane.records) == 4, 60)
    assert [record.WhichOneof("record") for record in plane.records[1:2]] == ["session_started"]
    assert {record.session_ended.reason for record in plane.records[2:]} == {Ending.WORKER_LOST}
