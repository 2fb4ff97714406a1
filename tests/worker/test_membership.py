"""The control link, with real processes on one side and the real protocol on the other."""

import hashlib
import signal
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sdm.contract.keys import SecretKey
from sdm.contract.reasons import Reason, Then
from sdm.contract.v1 import workers_pb2 as pb
from sdm.exit_codes import ExitCode
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane
from tests.worker.processes import is_the_answer, request

pytestmark = pytest.mark.process

ENDING = [reason for reason in Reason if reason.then is Then.END]


def test_a_worker_joins_and_says_who_it_is(start: StartWorker, plane: ControlPlane):
    worker = start()
    worker.port()
    worker.until(lambda: any(report.state == pb.WORKER_STATE_STARTED for report in plane.reports))
    assert plane.registrations[0].host_name
    assert plane.registrations[0].version == "0.1.0"
    assert "Joined cluster keen-coffee as w-" in worker.log
    assert plane.secret_key.reveal() not in worker.log


@pytest.mark.parametrize("call", ["GetChallenge", "Register", "Watch", "Heartbeat"])
def test_a_final_refusal_of_any_call_ends_it(call: str, start: StartWorker, plane: ControlPlane):
    plane.refusals[call] = (Reason.KEY_DELETED, "")
    worker = start()
    assert worker.ends() == ExitCode.REFUSED
    assert worker.last_line.endswith("error Ended: " + Reason.KEY_DELETED.sentence + " (key-deleted)")
    # A report that crosses a refusal of the stream makes gRPC forget it: it is then heard the second time.
    assert plane.calls.count(call) <= (2 if call == "Watch" else 1)


@pytest.mark.parametrize("reason", ENDING)
def test_each_final_reason_is_the_last_line_within_two_seconds(
    reason: Reason, start: StartWorker, plane: ControlPlane
):
    plane.refusals["Register"] = (reason, "")
    began = time.monotonic()
    worker = start(SDM_WORKERS="1")
    assert worker.ends() == ExitCode.REFUSED
    assert time.monotonic() - began < 4, "two seconds, and the start of Python"
    assert reason.sentence in worker.last_line
    assert plane.calls == ["GetChallenge", "Register"]


def test_another_secret_key_is_refused(start: StartWorker, plane: ControlPlane):
    worker = start(SDM_PROXY_CLUSTER_SECRET_KEY=SecretKey.generate().reveal())
    assert worker.ends() == ExitCode.REFUSED
    assert "(wrong-secret)" in worker.last_line


@pytest.mark.parametrize(
    "reason", [Reason.KEY_DELETED, Reason.DISCONNECTED, Reason.CLUSTER_DELETED, "of-tomorrow"]
)
def test_told_to_stop_it_stops_and_says_why(reason: str, start: StartWorker, plane: ControlPlane):
    worker = start()
    worker.port()
    worker.until(lambda: "Connected" in worker.log)
    began = time.monotonic()
    plane.tell(pb.Instruction(stop=pb.Stop(reason=reason, message="Alice deleted the key.\x1b[31m\nforged")))
    assert worker.ends() == ExitCode.REFUSED
    assert time.monotonic() - began < 5
    assert "Ended: Alice deleted the key.\\x1b[31m\\nforged" in worker.last_line


def test_a_wrong_clock_is_named_and_tried_again(start: StartWorker, plane: ControlPlane):
    plane.refusals["Register"] = (Reason.CLOCK, "This machine's clock is 10 minutes behind.")
    worker = start()
    worker.until(lambda: "clock is 10 minutes behind. Trying again in" in worker.log)
    del plane.refusals["Register"]
    worker.port()


def test_it_keeps_serving_while_the_control_plane_is_away_and_comes_back(
    start: StartWorker, plane: ControlPlane
):
    worker = start()
    port = worker.port()
    worker.until(lambda: "Connected" in worker.log)
    plane.down()
    worker.until(lambda: "Trying again in" in worker.log)
    for _ in range(5):
        assert is_the_answer(request(port))
        time.sleep(0.3)
    assert worker.metric("sdm_worker_control_link_up") == 0
    plane.up()
    worker.until(lambda: worker.log.count("Connected") == 2)
    assert plane.calls.count("Register") == 1
    assert " error " not in worker.log


def test_a_worker_that_is_forgotten_joins_again(start: StartWorker, plane: ControlPlane):
    worker = start()
    worker.port()
    worker.until(lambda: "Connected" in worker.log)
    plane.refusals["Heartbeat"] = (Reason.WORKER_UNKNOWN, "")
    worker.until(lambda: plane.calls.count("Register") == 2)
    del plane.refusals["Heartbeat"]
    worker.until(lambda: worker.log.count("Connected") >= 2)


def test_a_refusal_for_now_is_no_storm(start: StartWorker, plane: ControlPlane):
    plane.refusals["GetChallenge"] = (Reason.TOO_MANY, "")
    worker = start()
    worker.until(lambda: "GetChallenge" in plane.calls)
    time.sleep(3)
    assert plane.calls.count("GetChallenge") <= 7


def test_asked_to_restart_it_waits_for_its_connections_and_then_ends(start: StartWorker, plane: ControlPlane):
    worker = start()
    worker.port()
    worker.until(lambda: "Connected" in worker.log)
    instruction = pb.Instruction(restart=pb.Restart())
    instruction.restart.force_at.FromSeconds(int(time.time()) + 3600)
    plane.tell(instruction)
    assert worker.ends() == ExitCode.RESTART
    states = [report.state for report in plane.reports]
    assert pb.WORKER_STATE_AWAITING_RESTART in states
    assert states[-1] == pb.WORKER_STATE_RESTARTING


def test_a_pinned_authority_is_believed_and_no_other(start: StartWorker, plane: ControlPlane, tmp_path: Path):
    plane.down()
    leaf, key = plane.workers.host(tmp_path)
    authority = plane.workers.certificate
    chain = leaf.read_bytes() + authority.public_bytes(Encoding.PEM)
    plane.tls = (key.read_bytes(), chain)
    plane.up()
    pin = hashlib.sha256(authority.public_bytes(Encoding.DER)).hexdigest()
    worker = start(SDM_APP_CA_PIN=f"sha256:{pin}")
    worker.port()
    wrong = start(SDM_APP_CA_PIN=f"sha256:{'0' * 64}")
    wrong.until(lambda: "SDM_APP_CA_PIN is in no certificate" in wrong.log)
    assert pin in wrong.log
    wrong.signal(signal.SIGTERM)
    assert wrong.ends() == ExitCode.OK
