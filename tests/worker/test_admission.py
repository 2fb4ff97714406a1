"""Who gets a session through a worker, and what everybody else is told."""

import datetime as dt
import socket
import time
from pathlib import Path

import pytest

from sdm.contract.reasons import Reason
from sdm.pki.chain import serial_of
from sdm.pki.names import Kind
from tests.worker.clients import Person, raw_target
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import Authority, ControlPlane, client_context, now
from tests.worker.processes import is_the_answer, request
from tests.worker.tunnels import says_back, started

pytestmark = pytest.mark.process


@pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "connect"])
def test_a_client_with_a_ticket_reaches_the_resource(
    upgrade: bool, start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane)
    with alice.tunnel(port, resource, upgrade=upgrade) as sock:
        assert says_back(sock)
        assert says_back(sock, b"x" * 1_000_000)
        worker.until(lambda: worker.metric("sdm_worker_sessions") == 1)
        assert [lease.client_address for lease in plane.leases] == ["127.0.0.1"]
    worker.until(lambda: worker.metric("sdm_worker_sessions") == 0)


def test_bytes_that_come_with_the_request_are_the_resources(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    _, port = started(start, plane)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
        alice.context().wrap_socket(sock) as tunnel,
    ):
        tunnel.sendall(alice.request(resource) + b"early")
        found = b""
        while not found.endswith(b"early"):
            more = tunnel.recv(4096)
            assert more
            found += more
        assert found.startswith(b"HTTP/1.1 101 ")


def test_what_is_no_request_for_a_resource_is_answered_as_everybody(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    _, port = started(start, plane)
    for data in (
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        alice.request(resource).replace(b"sdm-tunnel", b"websocket"),
        alice.request(resource).replace(b"GET", b"POST"),
        alice.request(resource + "0"),
        alice.request("../" + resource),
        b"\x00\xff" * 100 + b"\r\n\r\n",
        alice.request(resource, extra="X: " + "a" * 60_000 + "\r\n"),
    ):
        assert is_the_answer(request(port, context=alice.context(), data=data))


def test_each_wrong_ticket_is_refused_with_a_reason(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str, tmp_path: Path
):
    _, port = started(start, plane)
    good = alice.ticket(resource)
    head, body, signature = good.split(".")
    wrong = {
        "none": "",
        "garbage": "garbage",
        "cut off": good[:-10],
        "another signature": f"{head}.{body}.{alice.ticket(resource).split('.')[2]}",
        "another algorithm": f"eyJhbGciOiJub25lIn0.{body}.{signature}",
        "another resource": alice.ticket("rs-0123456789abcdef"),
        "another cluster": alice.ticket(resource, cluster_id="n-0123456789abcdef"),
        "another certificate": alice.ticket(resource, thumbprint="0" * 64),
        "another account": alice.ticket(resource, account_id="a-0123456789abcdef"),
        "expired": alice.ticket(resource, expires_at=now() - dt.timedelta(minutes=2)),
        "somebody else's": Person.of(plane, tmp_path).ticket(resource),
    }
    for what, token in wrong.items():
        answer = alice.refusal(port, resource, token=token)
        assert (answer.status, answer.reason) == (401, Reason.BAD_TICKET), what
        assert "application/problem+json" in answer.headers
    assert plane.leases == []
    twice = alice.request(resource, extra=f"Proxy-Authorization: Bearer {good}\r\n")
    assert b"401" in request(port, context=alice.context(), data=twice)[:20]


def test_each_wrong_certificate_is_refused_with_a_reason(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str, tmp_path: Path
):
    _, port = started(start, plane)
    others = {
        "another authority": Person.of(plane, tmp_path, authority=Authority(Kind.CLIENT)),
        "expired": Person.of(plane, tmp_path, at=now() - dt.timedelta(days=1)),
        "not yet valid": Person.of(plane, tmp_path, at=now() + dt.timedelta(days=1)),
    }
    for what, person in others.items():
        answer = person.refusal(port, resource)
        assert (answer.status, answer.reason) == (401, Reason.NOT_LOGGED_IN), what
    swapped = others["expired"].ticket(resource)
    assert alice.refusal(port, resource, token=swapped).reason == Reason.BAD_TICKET
    without = request(port, context=client_context(), data=alice.request(resource))
    assert b"not-logged-in" in without
    assert says_back(alice.tunnel(port, resource))


def test_a_revoked_certificate_opens_nothing_from_then_on(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane)
    assert says_back(alice.tunnel(port, resource))
    plane.revoked = [serial_of(alice.certificate)]
    plane.reconfigure()
    worker.until(lambda: alice.connect(port, resource)[1].status == 401)
    assert "revoked" in alice.refusal(port, resource).body.decode()


def test_a_resumed_handshake_is_judged_like_a_full_one(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    _, port = started(start, plane)
    context = alice.context()
    session = None
    for resumed in (False, True, True):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
            context.wrap_socket(sock, session=session) as tunnel,
        ):
            tunnel.sendall(alice.request(resource))
            assert tunnel.recv(12) == (b"HTTP/1.1 101" if not plane.revoked else b"HTTP/1.1 401")
            assert tunnel.session_reused is resumed
            session = tunnel.session
        if resumed:
            plane.revoked = [serial_of(alice.certificate)]
            plane.reconfigure()
            time.sleep(0.5)


def test_the_control_planes_refusal_reaches_the_client_in_its_words(
    start: StartWorker, plane: ControlPlane, alice: Person
):
    _, port = started(start, plane)
    answer = alice.refusal(port, "rs-0123456789abcdef")
    assert (answer.status, answer.reason) == (403, Reason.NO_ACCESS)
    assert "Nobody gave you access to this." in answer.body.decode()
    plane.refusals["GetLease"] = (Reason.TOO_MANY, "")
    assert alice.refusal(port, "rs-0123456789abcdef").status == 429


def test_a_resource_that_cannot_be_reached_is_said_so_and_logged(
    start: StartWorker, plane: ControlPlane, alice: Person
):
    worker, port = started(start, plane)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = raw_target(plane, taken.getsockname()[1])
        answer = alice.refusal(port, nobody)
    assert (answer.status, answer.reason) == (502, "resource-unreachable")
    assert "cannot be reached: connection refused" in answer.body.decode()
    unnamed = raw_target(plane, 80, "no-such-host.invalid")
    assert "cannot be resolved" in alice.refusal(port, unnamed).body.decode()
    metadata = raw_target(plane, 80, "169.254.169.254")
    assert "may not be connected to" in alice.refusal(port, metadata).body.decode()
    worker.until(lambda: worker.metric("sdm_worker_sessions") == 0)


# --- Without client authentication by TLS ---


def test_behind_a_balancer_that_ends_tls_the_proof_proves_it(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str, tmp_path: Path
):
    _, port = started(start, plane, SDM_TLS_CERT_SOURCE="none", SDM_TLS_CLIENT_AUTH="none")
    assert says_back(alice.tunnel(port, resource, plain=True))
    token = alice.ticket(resource)
    bob = Person.of(plane, tmp_path)
    wrong = {
        "none": "",
        "garbage": "garbage",
        "somebody else's": bob.proof(resource, token),
        "for another ticket": alice.proof(resource, alice.ticket(resource)),
        "for another resource": alice.proof("rs-0123456789abcdef", token),
        "old": alice.proof(resource, token, now() - dt.timedelta(minutes=6)),
        "of tomorrow": alice.proof(resource, token, now() + dt.timedelta(minutes=6)),
    }
    for what, proved in wrong.items():
        answer = alice.refusal(port, resource, plain=True, token=token, proved=proved)
        assert answer.status == 401, what
        assert answer.reason in (Reason.NOT_LOGGED_IN, Reason.BAD_TICKET, Reason.CLOCK), what
    proved = alice.proof(resource, token)
    alice.tunnel(port, resource, plain=True, token=token, proved=proved).close()
    assert (
        "was made before"
        in alice.refusal(port, resource, plain=True, token=token, proved=proved).body.decode()
    )


def test_a_proof_is_good_once_in_all_processes(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    _, port = started(start, plane, SDM_TLS_CERT_SOURCE="none", SDM_TLS_CLIENT_AUTH="none", SDM_WORKERS="2")
    token = alice.ticket(resource)
    proved = alice.proof(resource, token)
    found = [
        alice.connect(port, resource, plain=True, token=token, proved=proved)[1].status for _ in range(12)
    ]
    assert sorted(found) == [101] + [401] * 11


def test_the_balancers_client_is_the_one_in_the_log(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    _, port = started(start, plane, SDM_PROXY_PROTOCOL_TRUSTED="127.0.0.0/8")
    header = b"PROXY TCP4 192.0.2.77 192.0.2.2 1000 443\r\n"
    assert says_back(alice.tunnel(port, resource, before=header))
    assert plane.leases[-1].client_address == "192.0.2.77"
