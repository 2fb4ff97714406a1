"""What somebody types to listen and to connect, and what works on their local ports because of it."""

import json
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from sdm.contract.v1 import clients_pb2 as pb
from sdm.exit_codes import ExitCode
from tests.client.conftest import Offer, Sdm
from tests.client.control_plane import Plane
from tests.client.ports import dialled, said_back
from tests.worker.processes import Worker, until

pytestmark = pytest.mark.process


def test_what_is_connected_answers_on_its_port(plane: Plane, sdm: Sdm, worker: Worker, offer: Offer):
    offer("orders")
    sdm.login(plane)
    sdm.listen()
    done = sdm.run("connect", "orders")
    assert "orders: connect successful, 127.0.0.1:" in done.stdout
    assert "already connected" in sdm.run("connect", "orders").stdout
    data = os.urandom(300_000)
    with dialled(sdm, "orders") as sock:
        assert said_back(sock, data) == data
        assert sdm.resource("orders")["connections"] == 1
        # One half is closed, and the other goes on until everything has come.
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: sock.recv(1000), b"")) == b"last words"
    until(lambda: sdm.resource("orders")["connections"] == 0)
    assert plane.people.calls.count("GetTicket") == 1


def test_a_cluster_that_has_an_address_of_ipv6_alone_is_reached(
    plane: Plane, sdm: Sdm, offer: Offer, tmp_path: Path
):
    plane.host = "::1"
    environment = plane.environment() | {"SDM_WORKERS": "1", "SDM_BIND_ADDRESS": "[::1]:0"}
    worker = Worker(environment, tmp_path / "worker.log")
    try:
        plane.people.address = f"[::1]:{worker.port()}"
        offer("orders")
        sdm.login(plane)
        sdm.listen()
        sdm.run("connect", "orders")
        with dialled(sdm, "orders") as sock:
            assert said_back(sock, b"hello") == b"hello"
    finally:
        worker.kill()


def test_a_cluster_that_does_not_answer_is_named_when_one_connects(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders")
    offer("wiki")
    sdm.login(plane)
    sdm.listen()
    said = "The cluster's address 127.0.0.1:1 cannot be reached: Connection refused."
    for _ in range(2):  # that it was connected already is no better
        done = sdm.run("connect", "orders")
        assert done.returncode == 0
        first, second = done.stdout.splitlines()
        assert first == f"orders: not reachable. {said}"
        assert second == f"    127.0.0.1:{sdm.port('orders')} is open, and works as soon as this is mended."
    (told,) = sdm.json("connect", "orders")
    assert (told["status"], told["works"], told["problem"]) == ("connected", False, said)
    shown = sdm.run("status").stdout
    assert shown.count(f"    {said}\n") == 1  # nobody has asked for the other


def test_a_kind_that_no_worker_serves_yet_is_said_when_one_connects(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer
):
    offer("cache", kind="redis", unserved=True)
    offer("orders")
    sdm.login(plane)
    sdm.listen()
    assert not sdm.resource("cache")["problem"]
    done = sdm.run("connect", "cache")
    assert done.returncode == 0
    said = "Workers do not serve resources of the kind redis yet.\n"
    assert done.stdout.startswith(f"cache: not reachable. {said}")
    assert "successful" not in done.stdout and "nc 127.0.0.1" not in done.stdout
    assert f"    {said}" in sdm.run("status").stdout
    assert "do not serve" not in sdm.run("connect", "orders").stdout


def test_a_website_is_shown_by_a_name_of_its_own_where_it_is_connected(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer
):
    offer("wiki", kind="httpNoAuth", category="website", path="/start")
    sdm.login(plane)
    sdm.listen()
    assert "localhost" not in sdm.run("status").stdout
    done = sdm.run("connect", "wiki")
    port = sdm.port("wiki")
    assert done.stdout.splitlines() == [
        f"wiki: connect successful, 127.0.0.1:{port}",
        f"    http://wiki.localhost:{port}/start",
        f"    curl http://127.0.0.1:{port}/start",
    ]
    assert f"    http://wiki.localhost:{port}/start\n" in sdm.run("status").stdout


def test_thousands_of_resources_are_shown_and_filtered(plane: Plane, sdm: Sdm):
    for number in range(2_000):
        tags = {"Environment": "test" if number % 2 else "production", "Team": "blue sky" * 20}
        entry = pb.CatalogEntry(
            resource_id=f"rs-{number:016x}", name=f"orders-{number:04}", kind="postgres", tags=tags
        )
        plane.people.entries[entry.resource_id] = entry
    sdm.login(plane)
    sdm.listen()
    assert len(sdm.json("status")["resources"]) == 2_000
    lines = sdm.run("status", "--filter", "orders-000 tags:Environment=test").stdout.splitlines()
    assert len([line for line in lines if line.startswith("orders-")]) == 5
    assert lines[-1] == "5 of 2000 match the filter."
    done = sdm.run("status", "--filter", "colour:blue")
    assert done.returncode == ExitCode.USAGE
    assert "There is no filter colour:" in done.stderr


def test_an_agent_in_the_background_keeps_its_log_small(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders")
    sdm.login(plane)
    sdm.home.mkdir(exist_ok=True)
    (sdm.home / "agent.log").write_bytes(b"x" * (1 << 20))
    assert sdm.finish("connect", "orders").returncode == 0
    with dialled(sdm, "orders") as sock:
        assert sock.recv(1) == b""
    until(lambda: "cannot be reached" in (sdm.home / "agent.log").read_text())
    assert (sdm.home / "agent.log").stat().st_size < 10_000
    assert {stat.S_IMODE(path.stat().st_mode) for path in sdm.home.glob("agent.log*")} <= {0o600, 0o644}
    assert sdm.run("logout").returncode == 0


def test_many_connections_at_once_need_one_ticket(plane: Plane, sdm: Sdm, worker: Worker, offer: Offer):
    offer("orders")
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "orders")
    socks = [dialled(sdm, "orders") for _ in range(20)]
    for number, sock in enumerate(socks):
        assert said_back(sock, b"%d" % number) == b"%d" % number
        sock.close()
    assert plane.people.calls.count("GetTicket") == 1


def test_names_are_found_by_a_part_that_is_in_no_other(plane: Plane, sdm: Sdm, offer: Offer):
    for name in ("orders-eu", "orders-us", "wiki"):
        offer(name)
    sdm.login(plane)
    sdm.listen()
    assert sdm.json("connect", "WIK")[0]["name"] == "wiki"
    for words, said in (("orders", "orders-eu, orders-us"), ("nothing", "Cannot find datasource")):
        done = sdm.run("connect", words)
        assert done.returncode == ExitCode.NOT_FOUND
        assert said in done.stderr
    assert json.loads(sdm.run("connect", "nothing", "--json").stdout)["reason"] == "not-found"
    assert {each["name"] for each in sdm.json("connect", "--all")} == {"orders-eu", "orders-us", "wiki"}
    assert all(each["status"] == "connected" for each in sdm.json("status")["resources"])
    assert sdm.run("disconnect", "wiki").stdout == "wiki: disconnect successful\n"
    assert sdm.resource("wiki")["status"] == "not connected"
    assert sdm.run("connect").returncode == ExitCode.USAGE


def test_what_was_connected_is_so_again_after_a_restart_of_the_agent(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders")
    sdm.login(plane)
    agent = sdm.listen()
    before = sdm.json("connect", "orders")[0]["address"]
    agent.send_signal(signal.SIGKILL)
    agent.wait(20)
    sdm.listen()
    assert sdm.resource("orders")["status"] == "connected"
    assert sdm.resource("orders")["address"] == before


def test_a_port_that_is_taken_is_said(plane: Plane, sdm: Sdm, offer: Offer):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offer("orders", local_port=taken.getsockname()[1])
        sdm.login(plane)
        sdm.listen()
        done = sdm.run("connect", "orders")
        assert done.returncode == ExitCode.ADDRESS
        assert "is taken by another program" in done.stdout
        for _ in range(2):
            assert json.loads(sdm.run("connect", "orders", "--json").stdout)[0]["already"] is False


def test_one_directory_has_one_agent(plane: Plane, sdm: Sdm):
    sdm.login(plane)
    sdm.listen()
    done = sdm.finish("listen")
    assert done.returncode == ExitCode.ADDRESS
    assert "runs already" in done.stderr


def test_listening_is_told_in_json(plane: Plane, sdm: Sdm):
    sdm.login(plane)
    agent = sdm.begin("listen", "--json")
    assert agent.stdout is not None
    assert json.loads(agent.stdout.readline()) == {
        "event": "listening",
        "socket": str(sdm.home / "agent.sock"),
    }
    agent.terminate()
    agent.communicate(timeout=20)
