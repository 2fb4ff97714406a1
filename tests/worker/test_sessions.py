"""Sessions through a worker: who gets one, what passes, and how it ends."""

import contextlib
import datetime as dt
import os
import signal
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from sdm.pki.chain import serial_of
from sdm.pki.names import Kind
from tests.worker import echo
from tests.worker.clients import Answer, Person, raw_target
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import Authority, ControlPlane, client_context, now
from tests.worker.processes import Worker, is_the_answer, read_all, request, until

pytestmark = pytest.mark.process


def started(start: StartWorker, plane: ControlPlane, **settings: str) -> tuple[Worker, int]:
    worker = start(**{"SDM_WORKERS": "1", **settings})
    port = worker.port()
    worker.until(lambda: "Connected" in worker.log)
    return worker, port


def says_back(sock: socket.socket, data: bytes = b"hello") -> bool:
    sock.sendall(data)
    found = b""
    while len(found) < len(data):
        more = sock.recv(1 << 16)
        if not more:
            return False
        found += more
    return found == data


def ends(sock: socket.socket, seconds: float = 3) -> bool:
    """Whether it is closed within that time."""
    sock.settimeout(seconds)
    try:
        while sock.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


# --- Who gets one ---


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


# --- The end of a worker ---


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


# --- Bytes ---


def test_the_clients_end_reaches_the_resource_and_its_answer_comes_back(
    start: StartWorker, plane: ControlPlane, alice: Person
):
    def answer_at_the_end(sock: socket.socket) -> None:
        found = read_all(sock)
        time.sleep(0.3)
        sock.sendall(b"%d bytes" % len(found))

    _, port = started(start, plane, SDM_TLS_CERT_SOURCE="none", SDM_TLS_CLIENT_AUTH="none")
    with echo.server(answer_at_the_end) as there:
        sock = alice.tunnel(port, raw_target(plane, there), plain=True)
        sock.sendall(b"x" * 300_000)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"300000 bytes"


def test_the_resources_end_reaches_the_client_which_may_go_on_sending(
    start: StartWorker, plane: ControlPlane, alice: Person
):
    found: list[bytes] = []

    def talk_first(sock: socket.socket) -> None:
        sock.sendall(b"that is all")
        sock.shutdown(socket.SHUT_WR)
        found.append(read_all(sock))

    _, port = started(start, plane)
    with echo.server(talk_first) as there:
        sock = alice.tunnel(port, raw_target(plane, there))
        assert isinstance(sock, ssl.SSLSocket)
        assert read_all(sock) == b"that is all"
        for _ in range(5):
            sock.sendall(b"more" * 1000)
            time.sleep(0.05)
        sock.unwrap().close()
        until(lambda: found == [b"more" * 5000])


def test_a_client_that_vanishes_takes_the_resources_side_with_it(
    start: StartWorker, plane: ControlPlane, alice: Person
):
    gone: list[bool] = []

    def watch(sock: socket.socket) -> None:
        try:
            read_all(sock)
        finally:
            gone.append(True)

    worker, port = started(start, plane)
    with echo.server(watch) as there:
        sock = alice.tunnel(port, raw_target(plane, there))
        sock.sendall(b"half a mess")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        until(lambda: gone == [True])
    worker.until(lambda: worker.metric('sdm_worker_sessions_ended_total{reason="client-lost"}') == 1)


def test_a_resource_that_breaks_off_is_told_from_one_that_ends(
    start: StartWorker, plane: ControlPlane, alice: Person
):
    def break_off(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"half a rep")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    worker, port = started(start, plane)
    with echo.server(break_off) as there:
        sock = alice.tunnel(port, raw_target(plane, there))
        sock.sendall(b"hello")
        assert ends(sock)
    worker.until(lambda: worker.metric('sdm_worker_sessions_ended_total{reason="resource-lost"}') == 1)


def test_a_client_that_never_reads_costs_little_memory(
    start: StartWorker, plane: ControlPlane, alice: Person
):
    def pour(sock: socket.socket) -> None:
        while True:
            sock.sendall(bytes(1 << 20))

    worker, port = started(start, plane)
    with echo.server(pour) as there:
        resource = raw_target(plane, there)
        warm = alice.tunnel(port, resource)
        assert warm.recv(1000)
        warm.close()
        before = resident(worker.fronts()[0])
        socks = [alice.tunnel(port, resource) for _ in range(40)]
        time.sleep(2)
        assert (resident(worker.fronts()[0]) - before) / 40 < 256 * 1024
        for sock in socks:
            sock.close()


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("it is gone")
