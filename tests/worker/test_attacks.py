"""Who should get no session, and what nobody should be able to do with one; against real processes."""

import os
import re
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from sdm.contract.v1 import records_pb2 as records
from sdm.pki import csr, profiles
from sdm.pki.names import ClientName, Kind, WorkerName
from sdm.worker.segments import MAGIC, framed
from sdm.worker.spool import Run
from sdm.worker.unread import Unread
from tests.worker import echo
from tests.worker.clients import Person, raw_target
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import (
    DOMAIN,
    Authority,
    ControlPlane,
    client_context,
    key_pem,
    now,
    pem,
    written,
)
from tests.worker.processes import is_the_answer, request, until
from tests.worker.tunnels import ends, says_back, started

pytestmark = pytest.mark.process

PLAIN = {"SDM_TLS_CERT_SOURCE": "none", "SDM_TLS_CLIENT_AUTH": "none"}


# --- Certificates, each with a ticket that is bound to it and is good ---


def impostors(plane: ControlPlane, alice: Person, directory: Path) -> dict[str, Person]:
    """Whoever has one of these keys and certificates, and says to be Alice."""
    of_alice = ClientName(DOMAIN, alice.account_id)
    key = csr.new_key()

    def leaf(
        who: ClientName | WorkerName, issuer: x509.Certificate, hosts: list[str]
    ) -> x509.CertificateBuilder:
        return profiles.leaf(who, key=key.public_key(), issuer=issuer, at=now(), hosts=hosts)

    authority = plane.clients
    below = leaf(of_alice, alice.certificate, []).sign(alice.key, hashes.SHA256())
    worker = WorkerName(DOMAIN, plane.cluster_id, "w-0123456789abcdef")
    elsewhere = Authority(Kind.CLIENT)
    itself = profiles.authority(
        Kind.CLIENT, label="mine", trust_domain=DOMAIN, key=key.public_key(), at=now()
    )
    found = {
        "the authority's own": (authority.certificate, authority.key),
        "signed by a leaf": (below, key),
        "a worker's": (plane.workers.sign(leaf(worker, plane.workers.certificate, ["127.0.0.1"])), key),
        "an authority of one's own": (itself.sign(key, hashes.SHA256()), key),
        "of another authority with the same name": (
            elsewhere.sign(leaf(of_alice, authority.certificate, [])),
            key,
        ),
        "of another installation": (
            authority.sign(leaf(ClientName("evil.example.com", alice.account_id), authority.certificate, [])),
            key,
        ),
    }
    return {
        what: Person(
            plane, alice.account_id, *written(directory, pem(certificate), key_pem(own), f"{number}")
        )
        for number, (what, (certificate, own)) in enumerate(found.items())
    }


@pytest.mark.parametrize("plain", [False, True], ids=["direct", "by proof"])
def test_no_certificate_but_a_clients_own_opens_anything(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str, tmp_path: Path, plain: bool
):
    worker, port = started(start, plane, **(PLAIN if plain else {}))
    for what, impostor in impostors(plane, alice, tmp_path).items():
        answer = impostor.refusal(port, resource, plain=plain)
        assert (answer.status, answer.reason) == (401, Reason.NOT_LOGGED_IN), what
    assert plane.leases == []
    assert says_back(alice.tunnel(port, resource, plain=plain))
    assert "Traceback" not in worker.log


def test_a_certificate_that_is_only_shown_does_not_speak_for_who_proves_another(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str, tmp_path: Path
):
    """Session takeover: Bob's connection, and everything else Alice's."""
    _, port = started(start, plane)
    bob = Person.of(plane, tmp_path)
    token = alice.ticket(resource)
    answer = bob.refusal(port, resource, token=token, proved=alice.proof(resource, token))
    assert (answer.status, answer.reason) == (401, Reason.BAD_TICKET)
    both = bob.ticket(resource, account_id=alice.account_id)
    assert bob.refusal(port, resource, token=both).reason == Reason.BAD_TICKET
    assert plane.leases == []


def test_a_session_of_tls_is_resumed_at_no_other_worker(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    """Nor at the same one after it was started anew with another SDM_TLS_CLIENT_AUTH: its keys are gone."""
    (_, one), (_, other) = started(start, plane), started(start, plane)
    context, session = alice.context(), None
    for port, resumed in ((one, False), (one, True), (other, False)):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
            context.wrap_socket(sock, session=session) as tunnel,
        ):
            tunnel.sendall(alice.request(resource))
            assert tunnel.recv(12) == b"HTTP/1.1 101"
            assert tunnel.session_reused is resumed
            session = tunnel.session


def test_http_2_is_not_spoken_and_its_resets_cost_nothing(
    start: StartWorker, plane: ControlPlane, alice: Person
):
    _, port = started(start, plane)
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
        context.wrap_socket(sock) as tunnel,
    ):
        assert tunnel.selected_alpn_protocol() != "h2"
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
        reset = b"\0\0\4\3\0\0\0\0\1\0\0\0\x08"
        tunnel.sendall(preface + reset * 1000)
        assert tunnel.recv(9) in (b"HTTP/1.1 ", b"")


def test_before_it_knows_whom_to_trust_it_lets_nobody_in(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    plane.generation = 0
    _, port = started(start, plane)
    answer = alice.refusal(port, resource)
    assert (answer.status, plane.leases) == (503, [])
    assert is_the_answer(request(port))


def test_a_kind_that_this_worker_does_not_speak_is_refused_in_words(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane)
    plane.targets[resource].kind = "teletype"
    answer = alice.refusal(port, resource)
    assert answer.status == 503 and "teletype" in answer.body.decode()
    worker.until(lambda: worker.metric("sdm_worker_sessions") == 0)
    plane.recheck()
    until(lambda: "CheckSessions" in plane.calls or not plane.checks)
    assert all(not check.sessions for check in plane.checks)


def test_what_only_looks_whether_somebody_is_there_is_no_session_and_no_error(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    """A balancer that connects and closes, with TLS and without; and one that is refused by a certificate's lack."""
    worker, port = started(start, plane)
    for _ in range(5):
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            client_context().wrap_socket(sock).close()
    assert says_back(alice.tunnel(port, resource))
    until(lambda: any(record.HasField("session_started") for record in plane.records))
    assert len({record.session_id for record in plane.records}) == 1
    assert not re.search(r" (?:error|warning) ", worker.log)


# --- The moment of a change ---


def test_who_comes_in_the_moment_of_a_change_does_not_stay(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    """Sessions begin all the time while access is taken away: afterwards none is left, and none begins."""
    worker, port = started(start, plane, SDM_WORKERS="2")
    target = plane.targets[resource]
    for _ in range(4):
        over = threading.Event()
        opened: list[socket.socket] = []

        def come(over: threading.Event = over, opened: list[socket.socket] = opened) -> None:
            while not over.is_set():
                sock, answer = alice.connect(port, resource)
                if answer.status == 101:
                    opened.append(sock)
                else:
                    sock.close()

        comers = [threading.Thread(target=come) for _ in range(4)]
        for comer in comers:
            comer.start()
        time.sleep(0.3)
        del plane.targets[resource]
        plane.endings[resource] = (Ending.ACCESS_REMOVED, "The role was taken from you.")
        plane.recheck()
        time.sleep(0.3)
        over.set()
        for comer in comers:
            comer.join(10)
        assert opened
        assert all(ends(sock, 10) for sock in opened)
        worker.until(lambda: worker.metric("sdm_worker_sessions") == 0)
        plane.endings.clear()
        plane.targets[resource] = target
        plane.recheck()
        until(lambda: alice.connect(port, resource)[1].status == 101)
        worker.until(lambda: worker.metric("sdm_worker_sessions") >= 1)
        for sock in plane.opened:
            sock.close()
        worker.until(lambda: worker.metric("sdm_worker_sessions") == 0)


def test_access_that_was_taken_while_the_control_plane_was_away_opens_nothing_when_it_is_back(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    """The lease is still good by its time, and nobody was there to announce the change."""
    worker, port = started(start, plane)
    assert says_back(alice.tunnel(port, resource))
    plane.down()
    worker.until(lambda: "Trying again" in worker.log)
    del plane.targets[resource]
    plane.up()
    worker.until(lambda: worker.log.count("Connected") == 2)
    assert alice.refusal(port, resource).status == 403


def test_an_access_that_is_over_already_opens_nothing_for_long(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    """As where this machine's clock is ahead of the control plane's."""
    worker, port = started(start, plane)
    plane.ends_at = now()
    sock, answer = alice.connect(port, resource)
    assert answer.status in (101, 403)
    assert ends(sock)
    worker.until(lambda: worker.metric("sdm_worker_sessions") == 0)


# --- What it costs ---


def test_those_who_may_and_then_say_nothing_keep_nobody_waiting(
    start: StartWorker, plane: ControlPlane, alice: Person, tmp_path: Path
):
    """Somebody with a ticket opens hundreds of sessions to a database, and never says a word in any."""
    _, port = started(start, plane)
    with echo.server() as there:
        silent = raw_target(plane, there)
        plane.targets[silent].kind = "postgres"
        good = raw_target(plane, there)
        held = [alice.tunnel(port, silent) for _ in range(300)]
        began = time.monotonic()
        assert says_back(Person.of(plane, tmp_path).tunnel(port, good))
        assert is_the_answer(request(port))
        assert time.monotonic() - began < 5
        assert len(held) == 300


def test_who_breaks_off_in_every_moment_leaves_nothing_behind(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str
):
    worker, port = started(start, plane)
    wanted = alice.request(resource)
    for cut in (1, 10, len(wanted) // 2, len(wanted) - 1, len(wanted)):
        for _ in range(5):
            sock = socket.create_connection(("127.0.0.1", port), timeout=10)
            tunnel = alice.context().wrap_socket(sock)
            tunnel.sendall(wanted[:cut])
            tunnel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            tunnel.close()
    worker.until(lambda: worker.metric("sdm_worker_sessions") == 0)
    worker.until(lambda: worker.metric("sdm_worker_connections") == 0)
    assert "Traceback" not in worker.log
    assert says_back(alice.tunnel(port, resource))


# --- What is written down ---


def test_what_a_client_sends_is_no_line_of_the_log_and_no_secret_is_one(
    start: StartWorker, plane: ControlPlane, alice: Person, resource: str, tmp_path: Path
):
    worker, port = started(start, plane, SDM_VERBOSE="true", SDM_LOG_FORMAT="text")
    orders = raw_target(plane, 1, "127.0.0.1")
    plane.targets[orders].credentials["password"] = b"hunter2-of-orders"
    hostile = "\x1b[2J\x1b]0;owned\x07\x0b\x0c\x85 2026-01-01T00:00:00.000+00:00 error forged"
    for data in (
        b"GET /\x1b[2J HTTP/1.1\r\n\r\n",
        alice.request(resource, token=hostile, proved=hostile),
        alice.request(resource, extra=f"X-Forwarded-For: {hostile}\r\n"),
        alice.request(orders),
    ):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
            alice.context().wrap_socket(sock) as tunnel,
        ):
            tunnel.sendall(data)
            assert tunnel.recv(9) == b"HTTP/1.1 "
    plane.targets[resource].name = hostile
    plane.endings[resource] = (Ending.ACCESS_REMOVED, hostile)
    plane.recheck()
    worker.until(lambda: worker.metric("sdm_worker_sessions") == 0)
    worker.process.terminate()
    worker.ends()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", worker.log)
    assert not re.search(r"^2026-01-01T00:00:00.000\+00:00 error", worker.log, re.MULTILINE)
    for secret in ("hunter2-of-orders", "eyJ", plane.secret_key.reveal(), "PRIVATE KEY", "of this cluster"):
        assert secret not in worker.log


def test_a_record_that_nobody_can_read_does_not_keep_back_the_others(
    start: StartWorker, plane: ControlPlane, tmp_path: Path
):
    """With a checksum that is right: from a disk that lies, a version that erred, or somebody who could write there."""
    spool = tmp_path / "worker0.spool"
    run = Run.begin(spool)
    Unread(run, ["delivery"]).belongs_to(plane.cluster_id)
    good = records.Record(session_id="s-0123456789abcdef")
    good.session_ended.reason = Ending.CLIENT_LEFT
    garbage = framed(b"\xff" * 100)
    whole = framed(good.SerializeToString())
    (run.path / "00000001-0.log").write_bytes(MAGIC + garbage + whole + garbage + whole)
    os.close(run.lock)
    worker, _ = started(start, plane, SDM_RELAY_LOG_STORAGE="stdout")
    until(lambda: len(plane.records) == 2)
    assert "2 of 4 records of the request log cannot be read, and are left out" in worker.log
    assert worker.metric("sdm_worker_process_restarts_total") == 0
