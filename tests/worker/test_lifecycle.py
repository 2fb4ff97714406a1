"""Starting, stopping, and what is read from files, with real processes."""

import datetime as dt
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509

from sdm.contract.v1 import workers_pb2 as pb
from sdm.exit_codes import ExitCode
from sdm.pki import profiles
from sdm.pki.names import Kind
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane, client_context, host_pair
from tests.worker.processes import client_hello, is_the_answer, read_all, request

pytestmark = pytest.mark.process

YEAR_AGO = dt.datetime.now(dt.UTC) - dt.timedelta(days=365)


def shown(port: int) -> bytes:
    """The certificate that is shown there, in DER."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
        client_context().wrap_socket(sock) as wrapped,
    ):
        found = wrapped.getpeercert(binary_form=True)
        assert found is not None
        return found


def test_probes_say_when_it_is_ready_and_when_not_any_more(start: StartWorker, plane: ControlPlane):
    plane.down()
    worker = start(SDM_SHUTDOWN_NOTICE="2")
    worker.until(lambda: worker.probe("/liveness") == (200, "alive\n"))
    assert worker.probe("/readiness") == (503, "not ready: not joined yet\n")
    assert worker.probe("/")[0] == 404
    plane.up()
    port = worker.port()
    worker.until(lambda: worker.probe("/readiness") == (200, "ready\n"))
    worker.signal(signal.SIGTERM)
    worker.until(lambda: worker.probe("/readiness") == (503, "not ready: stopping\n"), 1)
    assert is_the_answer(request(port)), "it serves until balancers had time to see it"
    assert worker.ends() == ExitCode.OK
    assert worker.last_line.endswith("info Stopped.")
    assert plane.reports[-1].state == pb.WORKER_STATE_STOPPED


def test_sigterm_lets_live_connections_finish_and_refuses_new_ones(start: StartWorker):
    worker = start(SDM_SHUTDOWN_TIMEOUT="8")
    port = worker.port()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
        client_context().wrap_socket(sock) as live,
    ):
        worker.signal(signal.SIGTERM)

        def refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except ConnectionRefusedError:
                return True
            return False

        worker.until(refused, 5)
        live.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert live.recv(4096).startswith(b"HTTP/1.1 404")
    assert worker.ends() == ExitCode.OK


def test_one_that_never_finishes_is_cut_after_the_time_for_it(start: StartWorker):
    worker = start(SDM_SHUTDOWN_TIMEOUT="1")
    with socket.create_connection(("127.0.0.1", worker.port()), timeout=10):
        began = time.monotonic()
        worker.signal(signal.SIGTERM)
        assert worker.ends() == ExitCode.OK
        assert time.monotonic() - began < 5


def test_a_second_sigterm_ends_at_once(start: StartWorker):
    worker = start(SDM_SHUTDOWN_NOTICE="60")
    worker.port()
    worker.signal(signal.SIGTERM)
    worker.until(lambda: "Stopping" in worker.log)
    worker.signal(signal.SIGTERM)
    worker.ends(3)


@dataclass
class Load:
    """What became of connections that were made one after the other, four at once."""

    answered: int = 0
    broken: list[Exception] = field(default_factory=list)


@contextmanager
def load_on(port: int) -> Iterator[Load]:
    load, over = Load(), threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                assert is_the_answer(request(port))
                load.answered += 1
            except ConnectionRefusedError:
                return
            except (OSError, AssertionError) as error:
                load.broken.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        over.set()
        for thread in threads:
            thread.join(15)


def test_no_connection_is_lost_when_it_stops_under_load(start: StartWorker):
    """Every connection is answered or refused; none that was accepted is reset."""
    worker = start()
    with load_on(worker.port()) as load:
        worker.until(lambda: load.answered > 50)
        worker.signal(signal.SIGTERM)
        worker.ends()
    assert load.broken == []


def test_renewal_under_load_drops_nothing(start: StartWorker, plane: ControlPlane):
    plane.life = dt.timedelta(seconds=6)
    worker = start()
    port = worker.port()
    first = shown(port)
    with load_on(port) as load:
        worker.until(lambda: plane.calls.count("Renew") >= 2, 30)
        worker.until(lambda: shown(port) != first)
    assert load.answered > 50
    assert load.broken == []
    assert "Traceback" not in worker.log


@pytest.mark.parametrize("spoil", ["garbage", "half", "other key", "missing", "expired"])
def test_a_bad_pair_keeps_the_one_before_and_is_reported(
    spoil: str, start: StartWorker, plane: ControlPlane, tmp_path: Path
):
    cert, key = host_pair(tmp_path)
    _, other_key = host_pair(tmp_path, "other")
    worker = start(
        SDM_TLS_CERT_SOURCE="file", SDM_TLS_CERT_FILE=str(cert), SDM_TLS_KEY_FILE=str(key), SDM_WORKERS="1"
    )
    port = worker.port()
    before, good = shown(port), cert.read_bytes()
    match spoil:
        case "garbage":
            cert.write_bytes(b"\0garbage" * 100)
        case "half":
            cert.write_bytes(good[: len(good) // 2])
        case "other key":
            key.write_bytes(other_key.read_bytes())
        case "missing":
            cert.unlink()
        case "expired":
            host_pair(tmp_path, at=YEAR_AGO)
    worker.signal(signal.SIGHUP)
    worker.until(lambda: worker.metric("sdm_worker_problems") == 1)
    worker.until(lambda: any(report.problems for report in plane.reports))
    assert "The pair read before stays in use." in worker.log
    assert shown(port) == before
    new_cert, new_key = host_pair(tmp_path, "new", at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    key.write_bytes(new_key.read_bytes())
    cert.write_bytes(new_cert.read_bytes())
    # Without a signal: that they have changed is seen.
    worker.until(lambda: shown(port) != before)
    worker.until(lambda: worker.metric("sdm_worker_problems") == 0)
    worker.signal(signal.SIGHUP)
    worker.until(lambda: "files were read again, and the same one stays in use." in worker.log)
    ends = x509.load_der_x509_certificate(shown(port)).not_valid_after_utc.timestamp()
    assert worker.metric("sdm_worker_certificate_expiry_timestamp_seconds") == ends
    assert worker.metric("sdm_worker_identity_expiry_timestamp_seconds") != ends


def test_a_bad_pair_at_the_start_ends_it(start: StartWorker, tmp_path: Path):
    cert, _ = host_pair(tmp_path)
    _, key = host_pair(tmp_path, "other")
    worker = start(SDM_TLS_CERT_SOURCE="file", SDM_TLS_CERT_FILE=str(cert), SDM_TLS_KEY_FILE=str(key))
    assert worker.ends() == ExitCode.CONFIGURATION
    assert "the key is not the certificate's" in worker.last_line


def test_a_certificate_that_ends_in_use_is_reported(start: StartWorker, tmp_path: Path):
    profile = profiles.PROFILES[Kind.WORKER]
    begun = dt.datetime.now(dt.UTC) - profile.lifetime + dt.timedelta(seconds=12)
    cert, key = host_pair(tmp_path, at=begun)
    worker = start(
        SDM_TLS_CERT_SOURCE="file", SDM_TLS_CERT_FILE=str(cert), SDM_TLS_KEY_FILE=str(key), SDM_WORKERS="1"
    )
    before = shown(worker.port())
    worker.until(lambda: worker.metric("sdm_worker_problems") == 1, 30)
    assert f"the certificate in {cert} expired at" in worker.log
    assert shown(worker.port()) == before


def test_without_tls_of_its_own_it_answers_in_the_clear(start: StartWorker):
    port = start(SDM_TLS_CERT_SOURCE="none", SDM_TLS_CLIENT_AUTH="none").port()
    assert is_the_answer(request(port, plain=True))
    assert breaks(port, PROXY_V1 + b"GET / HTTP/1.1\r\n\r\n")


PROXY_V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n"
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)


def breaks(port: int, data: bytes) -> bool:
    """Whether nobody shakes hands or answers, when this is what comes first."""
    with socket.create_connection(("127.0.0.1", port), timeout=12) as sock:
        try:
            sock.sendall(data)
            return read_all(sock)[:1] not in (b"\x16", b"H")
        except ConnectionError:
            return True


def test_a_trusted_balancer_speaks_for_its_clients(start: StartWorker):
    worker = start(SDM_PROXY_PROTOCOL_TRUSTED="127.0.0.0/8", SDM_WORKERS="1")
    port = worker.port()
    for header in (PROXY_V1, PROXY_V2, b"PROXY UNKNOWN\r\n"):
        assert is_the_answer(request(port, before=header))
    for wrong in (b"", PROXY_V1 * 2, PROXY_V2 * 2, PROXY_V1 + PROXY_V2, PROXY_V2[:15] + b"\x03" + bytes(3)):
        assert breaks(port, wrong + client_hello())
    assert worker.log.count("127.0.0.1 is in SDM_PROXY_PROTOCOL_TRUSTED, sends no PROXY header") == 1


def test_nobody_else_does(start: StartWorker):
    worker = start(SDM_PROXY_PROTOCOL_TRUSTED="10.0.0.0/8")
    port = worker.port()
    assert is_the_answer(request(port))
    assert breaks(port, PROXY_V1 + client_hello())
    assert breaks(port, PROXY_V2 + client_hello())
    worker.until(lambda: worker.metric('sdm_worker_connections_ended_total{result="proxy_header"}') == 2)
    assert "127.0.0.1 sends a PROXY header, is not in SDM_PROXY_PROTOCOL_TRUSTED" in worker.log
    assert worker.log.count("PROXY header") <= 2, "one for each process"


def test_a_taken_address_is_named(start: StartWorker):
    port = start().port()
    worker = start(SDM_BIND_ADDRESS=f"127.0.0.1:{port}")
    assert worker.ends() == ExitCode.ADDRESS
    assert f"SDM_BIND_ADDRESS='127.0.0.1:{port}'" in worker.last_line


def test_every_address_of_both_families_when_none_is_given(start: StartWorker):
    port = start(SDM_BIND_ADDRESS=":0").port()
    assert is_the_answer(request(port))
    with socket.create_connection(("::1", port), timeout=5):
        pass
