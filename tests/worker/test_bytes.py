"""What passes through a session, and how the end of one side reaches the other."""

import socket
import ssl
import struct
import time
from pathlib import Path

import pytest

from tests.worker import echo
from tests.worker.clients import Person, raw_target
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane
from tests.worker.processes import read_all, until
from tests.worker.tunnels import ends, started

pytestmark = pytest.mark.process


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
