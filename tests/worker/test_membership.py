"""The control link, with real processes on one side and the real protocol on the other."""

import asyncio
import hashlib
import os
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sdm.contract.keys import SecretKey
from sdm.contract.reasons import Reason, Then
from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane import connection, where
from sdm.control_plane.refusals import ControlError
from sdm.exit_codes import ExitCode
from sdm.pki.names import Kind
from sdm.worker.control.calls import Calls
from tests.house.checkout import free_port
from tests.worker.clients import Person
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import Authority, ControlPlane
from tests.worker.processes import is_the_answer, request, until

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
    assert plane.calls.count(call) == 1


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


def test_what_was_under_way_when_the_link_broke_is_asked_again(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    """gRPC cancels it, which is no reason for who asked to end: else nobody would deliver or check again."""
    worker = start(SDM_WORKERS="1")
    port = worker.port()
    worker.until(lambda: "Connected" in worker.log)
    plane.hanging = {"DeliverRecords", "ListTargets", "GetLease"}
    plane.tell(pb.Instruction(check_health=pb.CheckHealth()))
    refused = threading.Thread(target=alice.refusal, args=(port, resource))
    # Refused by the worker itself, for its log.
    alice.refusal(port, resource, token="")
    refused.start()
    until(lambda: plane.hanging <= set(plane.calls))
    before = Counter(plane.calls)
    plane.refusals["Heartbeat"] = (Reason.UNAVAILABLE, "")
    worker.until(lambda: "Trying again in" in worker.log)
    plane.refusals.clear()
    plane.hanging.clear()
    refused.join(20)
    assert not refused.is_alive()
    worker.until(lambda: plane.records != [])
    alice.tunnel(port, resource)
    plane.tell(pb.Instruction(check_health=pb.CheckHealth()))
    worker.until(lambda: Counter(plane.calls)["ListTargets"] > before["ListTargets"] + 1)


def test_a_control_plane_that_accepts_and_says_nothing_is_left_and_tried_again(
    start: StartWorker, plane: ControlPlane
):
    worker = start(SDM_WORKERS="1")
    worker.until(lambda: "Connected" in worker.log)
    plane.down()
    with socket.create_server(("127.0.0.1", plane.port)):
        worker.until(lambda: worker.log.count("says nothing. Trying again") == 2, 60)
    plane.up()
    worker.until(lambda: worker.log.count("Connected") == 2, 60)


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


def test_why_it_cannot_join_is_said_in_words(start: StartWorker, plane: ControlPlane):
    plane.down()
    worker = start()
    worker.until(lambda: f"Nobody listens at 127.0.0.1:{plane.port}. Trying again in" in worker.log)
    # Its own metrics are a website like the console's.
    site = free_port()
    other = start(SDM_METRICS_LISTEN_ADDRESS=f"127.0.0.1:{site}", SDM_APP_DOMAIN=f"127.0.0.1:{site}")
    words = "answers, but not as a control plane's API: is this the console's own port? Trying again"
    other.until(lambda: f"127.0.0.1:{site} {words}" in other.log)
    for each in (worker, other):
        assert all(line[:4].isdigit() for line in each.log.splitlines()), "gRPC's own lines"


def test_each_attempt_is_one_connection(monkeypatch: pytest.MonkeyPatch):
    async def look_for_no_cause(_: where.ControlPlane) -> None: ...

    monkeypatch.setattr(connection, "explain", look_for_no_cause)
    asyncio.run(_attempts_that_fail(3))


async def _attempts_that_fail(count: int) -> None:
    connections = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await asyncio.sleep(0.1)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        name = "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        for attempt in range(1, count + 1):
            with pytest.raises(ControlError):
                async with connection.connect(where.parse(name, frozenset())) as channel:
                    await Calls(channel, name).challenge("gk-0123456789abcdef")
            await asyncio.sleep(0.5)
            assert connections == attempt


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


def test_asked_to_restart_it_starts_anew_in_the_same_process_as_the_same_worker(
    start: StartWorker, plane: ControlPlane
):
    worker = start(SDM_SHUTDOWN_NOTICE="1")
    port, pid = worker.port(), worker.process.pid
    worker.until(lambda: "Connected" in worker.log)
    plane.tell(pb.Instruction(restart=pb.Restart()))
    # Whoever comes meanwhile waits, and is not refused.
    while "Starting anew." not in worker.log or worker.log.count("Connected") < 2:
        assert is_the_answer(request(port))
    assert (worker.process.poll(), worker.process.pid) == (None, pid)
    assert plane.calls.count("Register") == 1
    states = [report.state for report in plane.reports]
    assert pb.WORKER_STATE_RESTARTING in states
    worker.until(lambda: bool(plane.reports) and plane.reports[-1].state == pb.WORKER_STATE_STARTED)
    worker.until(lambda: worker.probe("/readiness")[0] == 200)
    worker.signal(signal.SIGTERM)
    assert worker.ends() == ExitCode.OK
    assert plane.reports[-1].state == pb.WORKER_STATE_STOPPED


def test_a_restart_waits_for_connections_unless_it_may_cut_them(start: StartWorker, plane: ControlPlane):
    worker = start(SDM_WORKERS="1", SDM_SHUTDOWN_TIMEOUT="1")
    port = worker.port()
    worker.until(lambda: "Connected" in worker.log)
    with socket.create_connection(("127.0.0.1", port)):
        worker.until(lambda: bool(plane.reports) and plane.reports[-1].connections == 1)
        plane.tell(pb.Instruction(restart=pb.Restart()))
        time.sleep(1.5)
        assert "restart" not in worker.log
        plane.tell(pb.Instruction(restart=pb.Restart(cut_connections=True)))
        worker.until(lambda: worker.log.count("Connected") == 2)
    assert is_the_answer(request(port))


def test_told_to_stop_during_a_restart_it_stops(start: StartWorker, plane: ControlPlane):
    worker = start(SDM_SHUTDOWN_NOTICE="600")
    worker.port()
    worker.until(lambda: "Connected" in worker.log)
    plane.tell(pb.Instruction(restart=pb.Restart()))
    worker.until(lambda: "Restarting: not ready any more" in worker.log)
    worker.signal(signal.SIGTERM)
    worker.until(lambda: "ending instead" in worker.log)
    worker.signal(signal.SIGTERM)
    assert worker.ends() == ExitCode.OK
    assert "Starting anew" not in worker.log


def shown_by(authority: Authority, plane: ControlPlane, directory: Path) -> str:
    """From now on `plane` shows a certificate that `authority` signed; the authority's pin."""
    plane.down()
    leaf, key = authority.host(directory)
    plane.tls = (key.read_bytes(), leaf.read_bytes() + authority.certificate.public_bytes(Encoding.PEM))
    plane.up()
    return hashlib.sha256(authority.certificate.public_bytes(Encoding.DER)).hexdigest()


def test_whoever_is_believed_names_others_and_they_are_believed_too(
    start: StartWorker, plane: ControlPlane, tmp_path: Path
):
    first, second = Authority(Kind.WORKER), Authority(Kind.WORKER)
    pin = shown_by(first, plane, tmp_path)
    plane.pins = [pin, hashlib.sha256(second.certificate.public_bytes(Encoding.DER)).hexdigest()]
    worker = start(SDM_APP_CA_PIN=pin)
    worker.until(lambda: "Connected" in worker.log)
    shown_by(second, plane, tmp_path)
    worker.until(lambda: worker.log.count("Connected") == 2)
    # The link's process is another one then, and after a restart all are.
    link = min(worker.children())
    os.kill(link, signal.SIGKILL)
    worker.until(lambda: worker.log.count("Connected") == 3)
    plane.tell(pb.Instruction(restart=pb.Restart()))
    worker.until(lambda: worker.log.count("Connected") == 4)
    assert plane.calls.count("Register") == 1
    late = start(SDM_APP_CA_PIN=pin)
    late.until(lambda: "its authority was replaced" in late.log)


def test_a_name_that_the_certificate_is_not_for_is_said(
    start: StartWorker, plane: ControlPlane, tmp_path: Path
):
    pin = shown_by(plane.workers, plane, tmp_path)
    worker = start(SDM_APP_CA_PIN=pin, SDM_APP_DOMAIN=f"localhost:{plane.port}")
    worker.until(lambda: "certificate is for 127.0.0.1, and not for localhost." in worker.log)
    assert "Joined" not in worker.log


def test_a_pinned_authority_is_believed_and_no_other(start: StartWorker, plane: ControlPlane, tmp_path: Path):
    pin = shown_by(plane.workers, plane, tmp_path)
    worker = start(SDM_APP_CA_PIN=f"sha256:{pin}")
    worker.port()
    wrong = start(SDM_APP_CA_PIN=f"sha256:{'0' * 64}")
    wrong.until(lambda: "SDM_APP_CA_PIN names no certificate" in wrong.log)
    assert pin in wrong.log
    wrong.signal(signal.SIGTERM)
    assert wrong.ends() == ExitCode.OK
