"""What everybody gets who is no client of ours, over real sockets: `404 Not Found`."""

import os
import signal
import socket
import ssl
import struct
import subprocess
import time
from pathlib import Path

import pytest

from sdm.contract.v1 import workers_pb2 as pb
from sdm.pki.names import Kind
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import Authority, ControlPlane, client_context
from tests.worker.processes import is_the_answer, request, until

pytestmark = pytest.mark.process


def curl(port: int, *options: str) -> str:
    command = ["curl", "-k", "-sS", "--max-time", "10", *options, f"https://127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr


def test_curl_is_told_404_with_and_without_a_certificate(
    start: StartWorker, plane: ControlPlane, tmp_path: Path
):
    port = start().port()
    assert curl(port) == "404 Not Found\n"
    assert curl(port, "-o", os.devnull, "-w", "%{http_code}") == "404"
    assert curl(port, "--head").startswith("HTTP/1.1 404 Not Found")
    assert curl(port, "--data", "x" * 100_000) == "404 Not Found\n"
    cert, key = plane.clients.client(tmp_path)
    assert curl(port, "--cert", str(cert), "--key", str(key)) == "404 Not Found\n"
    cert, key = Authority(Kind.CLIENT).client(tmp_path)
    assert curl(port, "--cert", str(cert), "--key", str(key)) == "404 Not Found\n"


@pytest.mark.parametrize(
    "data",
    [
        b"CONNECT rs-0123456789abcdef:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: sdm-tunnel\r\n\r\n",
        b"OPTIONS * HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"\x00\xff\r\n\r\n" * 10,
        b"*1\r\n$4\r\nPING\r\n\r\n",
    ],
    ids=["connect", "upgrade", "options", "long", "bytes", "redis"],
)
def test_every_request_has_one_answer(start: StartWorker, data: bytes):
    assert is_the_answer(request(start(SDM_WORKERS="1").port(), data=data))


def test_old_tls_is_refused_and_tickets_are_good_in_every_process(start: StartWorker):
    worker = start()
    port = worker.port()
    assert is_the_answer(request(port, context=client_context(version=ssl.TLSVersion.TLSv1_2)))
    assert is_the_answer(request(port, context=client_context(version=ssl.TLSVersion.TLSv1_3)))
    with pytest.warns(DeprecationWarning):
        old = client_context(version=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        request(port, context=old)
    context, session = client_context(), None
    for turn in range(12):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as sock,
            context.wrap_socket(sock, session=session) as wrapped,
        ):
            wrapped.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while wrapped.recv(4096):
                pass
            assert wrapped.session_reused == (turn > 0)
            session = wrapped.session
    worker.until(lambda: worker.metric('sdm_worker_tls_handshakes_total{kind="resumed"}') == 11)


def test_silence_ends_after_its_time(start: StartWorker):
    port = start().port()
    with socket.create_connection(("127.0.0.1", port), timeout=15) as sock:
        began = time.monotonic()
        assert sock.recv(1) == b""
        assert 8 < time.monotonic() - began < 13


def test_a_killed_process_is_replaced(start: StartWorker):
    worker = start()
    port = worker.port()
    worker.until(lambda: len(worker.children()) == 3)
    victim = worker.fronts()[0]
    os.kill(victim, signal.SIGKILL)
    worker.until(lambda: len(worker.children()) == 3 and victim not in worker.children())
    assert "was killed by SIGKILL; it is started again" in worker.log
    until(lambda: all(is_the_answer(request(port)) for _ in range(10)))


def test_a_killed_link_comes_back_as_the_same_worker(start: StartWorker, plane: ControlPlane):
    worker = start()
    port = worker.port()
    os.kill(min(worker.children()), signal.SIGKILL)
    worker.until(lambda: plane.calls.count("Watch") == 2)
    worker.until(lambda: worker.probe("/readiness") == (200, "ready\n"))
    assert plane.reports[-1].state == pb.WORKER_STATE_STARTED
    assert plane.calls.count("Register") == 1
    assert is_the_answer(request(port))


def test_a_peer_that_is_answered_and_leaves_rudely_was_answered(start: StartWorker):
    worker = start(SDM_WORKERS="1")
    with socket.create_connection(("127.0.0.1", worker.port()), timeout=10) as sock:
        wrapped = client_context().wrap_socket(sock, do_handshake_on_connect=True)
        wrapped.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wrapped.recv(4096).startswith(b"HTTP/1.1 404")
        # Without waiting, and without a goodbye: the connection is reset.
        wrapped.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wrapped.close()
    ended = 'sdm_worker_connections_ended_total{{result="{}"}}'
    worker.until(lambda: worker.metric(ended.format("answered")) == 1)
    assert worker.metric(ended.format("broken_off")) == 0
