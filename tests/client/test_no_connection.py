"""Why there is no connection: what the tool at the port is told, and whom the agent does not believe."""

import re
import socket
import ssl
import threading
from pathlib import Path

import pytest

from sdm.contract.reasons import Reason
from sdm.pki.names import Kind
from tests.client.conftest import Offer, Sdm
from tests.client.control_plane import Plane
from tests.client.ports import dialled
from tests.worker.control_plane import Authority
from tests.worker.processes import Worker, fetch, until

pytestmark = pytest.mark.process


def test_a_database_client_is_told_why_there_is_no_connection(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders", kind="postgres")
    sdm.login(plane)
    sdm.listen()
    plane.people.refusals["GetTicket"] = (Reason.NO_ACCESS, "Your access ended at noon.")
    assert "Your access ended at noon." in sdm.run("connect", "orders").stdout
    with dialled(sdm, "orders") as sock:
        sock.sendall((8).to_bytes(4) + (80877103).to_bytes(4))
        assert sock.recv(1) == b"N"
        body = (3 << 16).to_bytes(4) + b"user\0alice\0\0"
        sock.sendall((len(body) + 4).to_bytes(4) + body)
        said = b"".join(iter(lambda: sock.recv(1000), b""))
    assert said.startswith(b"E")
    assert b"Your access ended at noon." in said
    assert sdm.resource("orders")["problem"] == "Your access ended at noon."


def test_a_browser_is_told_why_there_is_no_connection(plane: Plane, sdm: Sdm, offer: Offer):
    offer("wiki", kind="httpNoAuth")
    sdm.login(plane)
    sdm.listen()
    plane.people.refusals["GetTicket"] = (Reason.NO_ACCESS, "Not for <you>.")
    assert "Not for <you>." in sdm.run("connect", "wiki").stdout
    with dialled(sdm, "wiki") as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = b"".join(iter(lambda: sock.recv(1000), b""))
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"Not for &lt;you&gt;." in said


def test_a_worker_that_refuses_is_quoted(plane: Plane, sdm: Sdm, worker: Worker, offer: Offer):
    orders = offer("orders")
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "orders")
    del plane.targets[orders]
    with dialled(sdm, "orders") as sock:
        assert sock.recv(1) == b""
    until(lambda: "Nobody gave you access" in sdm.resource("orders")["problem"])


def test_a_worker_of_another_cluster_on_the_same_host_is_not_believed(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer
):
    """It has a certificate of the same authority, for the same name."""
    offer("orders")
    plane.cluster_id = "n-0123456789abcdef"
    sdm.login(plane)
    sdm.listen()
    assert "is not a worker of this cluster" in sdm.run("connect", "orders").stdout
    with dialled(sdm, "orders") as sock:
        sock.sendall(b"a password, perhaps")
        assert sock.recv(1) == b""
    # It was told nothing: neither the ticket nor what was typed.
    assert not re.search(r"^sdm_worker_sessions_refused_total\{[^}]*\} [1-9]", metrics(worker), re.MULTILINE)


def metrics(worker: Worker) -> str:
    return fetch(f"http://127.0.0.1:{worker.metrics_port}/metrics")[1]


def test_somebody_else_at_the_clusters_address_is_not_believed(
    plane: Plane, sdm: Sdm, offer: Offer, tmp_path: Path
):
    chain, key = Authority(Kind.WORKER).host(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    heard: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(sock, server_side=True) as wrapped:
                    heard.append(wrapped.recv(1000))
            except OSError:
                continue

    offer("orders")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        plane.people.address = f"127.0.0.1:{listening.getsockname()[1]}"
        sdm.login(plane)
        sdm.listen()
        assert "is not a worker of this cluster" in sdm.run("connect", "orders").stdout
        with dialled(sdm, "orders") as sock:
            assert sock.recv(1) == b""
        listening.shutdown(socket.SHUT_RDWR)
    assert not any(heard)
