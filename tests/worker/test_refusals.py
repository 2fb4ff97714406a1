"""Whom a worker refuses by itself is in its log: with the reason, the address, and the person where that is proven."""

import datetime as dt
from pathlib import Path

import pytest

from sdm.contract.reasons import Reason
from sdm.contract.v1.records_pb2 import SessionRefused
from sdm.pki.names import Kind
from sdm.worker.sessions.attempts import FEW, Attempt, Attempts
from sdm.worker.sessions.refusals import unauthorized
from sdm.worker.sessions.request import TunnelRequest
from tests.worker.clients import Person
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import Authority, ControlPlane
from tests.worker.processes import Worker, request, until

pytestmark = pytest.mark.process


@pytest.fixture
def worker(start: StartWorker) -> Worker:
    worker = start(SDM_WORKERS="1", SDM_SHUTDOWN_TIMEOUT="1", SDM_MAX_SESSIONS_PER_PERSON="1")
    worker.port()
    worker.until(lambda: "Connected" in worker.log)
    return worker


def refusals(plane: ControlPlane) -> list[SessionRefused]:
    return [record.session_refused for record in plane.records if record.HasField("session_refused")]


def test_each_refusal_says_why_from_where_and_who_it_was_if_that_is_proven(
    worker: Worker, plane: ControlPlane, alice: Person, resource: str, tmp_path: Path
):
    port = worker.port()
    alice.refusal(port, resource, token="")
    stranger = Person.of(plane, tmp_path, authority=Authority(Kind.CLIENT))
    stranger.refusal(port, resource)
    # Without any certificate.
    assert b" 401 " in request(port, data=alice.request(resource))
    alice.tunnel(port, resource)
    alice.refusal(port, resource)
    until(lambda: len(refusals(plane)) == 4)
    told = {(each.reason, each.account_id) for each in refusals(plane)}
    assert told == {
        (Reason.BAD_TICKET, alice.account_id),
        (Reason.NOT_LOGGED_IN, ""),
        (Reason.TOO_MANY, alice.account_id),
    }
    for each in refusals(plane):
        assert (each.resource_id, each.client_address, each.left_out) == (resource, "127.0.0.1", 0)
        assert each.message
        assert each.worker_id.startswith("w-")


def test_what_the_control_plane_refuses_or_nobody_asked_for_is_not_the_workers_to_tell(
    worker: Worker, plane: ControlPlane, alice: Person, resource: str
):
    port = worker.port()
    alice.refusal(port, "rs-0123456789abcdef")
    request(port)
    request(port, data=b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n")
    # In one order with what comes after them.
    alice.refusal(port, resource, token="garbage")
    until(lambda: bool(refusals(plane)))
    assert [each.reason for each in refusals(plane)] == [Reason.BAD_TICKET]


def test_a_proof_that_is_used_again_is_told(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker = start(SDM_WORKERS="1", SDM_TLS_CERT_SOURCE="none", SDM_TLS_CLIENT_AUTH="none")
    port = worker.port()
    worker.until(lambda: "Connected" in worker.log)
    token = alice.ticket(resource)
    proved = alice.proof(resource, token)
    alice.connect(port, resource, plain=True, token=token, proved=proved)
    _, answer = alice.connect(port, resource, plain=True, token=token, proved=proved)
    assert answer.status == 401
    until(lambda: bool(refusals(plane)))
    (told,) = refusals(plane)
    assert (told.reason, told.account_id) == (Reason.NOT_LOGGED_IN, alice.account_id)
    assert "was made before" in told.message


def test_a_flood_is_a_few_lines_and_a_number(
    worker: Worker, plane: ControlPlane, alice: Person, resource: str
):
    for _ in range(50):
        alice.refusal(worker.port(), resource, token="garbage")
    worker.signal(15)
    assert worker.ends() == 0
    found = refusals(plane)
    assert len(found) == FEW + 1
    assert [each.left_out for each in found] == [0] * FEW + [50 - FEW - 1]


def test_after_a_minute_it_begins_anew(monkeypatch: pytest.MonkeyPatch):
    clock = dt.timedelta()
    monkeypatch.setattr("time.monotonic", lambda: clock.total_seconds())
    asked = TunnelRequest("rs-1", "", "", "", b"")
    attempt = Attempt(unauthorized(Reason.CLOCK, "It is late."), asked, None, "192.0.2.7")
    found = Attempts()
    assert [found.take(attempt) for _ in range(10)] == [True] * FEW + [False] * (10 - FEW)
    assert not list(found.left_out())
    clock += dt.timedelta(seconds=60)
    assert list(found.left_out()) == [(attempt, 10 - FEW - 1)]
    assert not list(found.left_out())
    assert found.take(attempt)
