"""What somebody types, and what works on their local ports because of it."""

import datetime as dt
import json
import os
import re
import signal
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from sdm.contract.reasons import Reason
from sdm.contract.v1 import clients_pb2 as pb
from sdm.exit_codes import ExitCode
from sdm.pki.names import Kind
from tests.client.conftest import Offer, Sdm
from tests.client.control_plane import TOKEN, Plane
from tests.worker.control_plane import Authority
from tests.worker.processes import Worker, fetch, until

pytestmark = pytest.mark.process


def dialled(sdm: Sdm, name: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", sdm.port(name)), timeout=20)


def said_back(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    found = b""
    while len(found) < len(data) and (more := sock.recv(1 << 16)):
        found += more
    return found


# --- Logging in ---


def test_a_person_compares_a_code_and_is_logged_in(plane: Plane, sdm: Sdm):
    login = sdm.begin("login", "--no-browser", "--json")
    assert login.stdout is not None
    assert json.loads(login.stdout.readline()) == {
        "event": "code",
        "code": "KDWP-7XQM",
        "url": "http://console.example.com/login",
    }
    until(lambda: plane.people.calls.count("FinishLogin") > 0)
    plane.people.state = pb.LOGIN_STATE_APPROVED
    outcome = json.loads(login.stdout.readline())
    login.stdout.close()
    assert login.wait(20) == 0
    assert outcome["account"]["email"] == "alice@example.com"
    assert stat.S_IMODE((sdm.home / "identity.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(sdm.home.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("state", "words"), [(pb.LOGIN_STATE_DENIED, "denied"), (pb.LOGIN_STATE_EXPIRED, "in time")]
)
def test_without_an_approval_nobody_is_logged_in(
    plane: Plane, sdm: Sdm, state: pb.LoginState.ValueType, words: str
):
    plane.people.state = state
    done = sdm.finish("login", "--no-browser")
    assert done.returncode == ExitCode.REFUSED
    assert words in done.stderr
    assert not (sdm.home / "identity.json").exists()


def test_a_service_logs_in_with_its_token_and_without_anybody(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders")
    sdm.listen(SDM_SERVICE_TOKEN=TOKEN)
    assert sdm.resource("orders")["status"] == "not connected"


def test_a_wrong_token_is_refused_in_words(plane: Plane, sdm: Sdm):
    done = sdm.finish("login", SDM_SERVICE_TOKEN="another")
    assert done.returncode == ExitCode.REFUSED
    assert "no service account with this token" in done.stderr


def test_a_control_plane_that_is_not_there_is_named(plane: Plane, sdm: Sdm):
    plane.down()
    done = sdm.finish("login", "--no-browser")
    assert done.returncode == ExitCode.UNAVAILABLE
    assert plane.address in done.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"SDM_APP_DOMAIN": ""}, "--app-domain"),
        ({"SDM_APP_DOMAIN": "a b"}, "not a name or an address"),
        ({"SDM_APP_CA_PIN": "x"}, "SDM_APP_CA_PIN"),
    ],
)
def test_wrong_settings_are_named(sdm: Sdm, environment: dict[str, str], words: str):
    done = sdm.run("login", **environment)
    assert done.returncode == ExitCode.CONFIGURATION
    assert words in done.stderr


def test_without_a_login_every_command_says_so_and_starts_nothing(sdm: Sdm):
    for words in (("status",), ("connect", "orders"), ("status", "--watch")):
        done = sdm.run(*words)
        assert done.returncode == ExitCode.REFUSED
        assert done.stderr == "You are not authenticated. Please login again.\n"
    assert readiness(sdm, ExitCode.REFUSED)["problem"] == "You are not authenticated. Please login again."
    assert not (sdm.home / "agent.sock").exists()


def readiness(sdm: Sdm, code: ExitCode) -> dict[str, object]:
    done = sdm.run("ready")
    assert done.returncode == code
    assert not done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    assert told.keys() == {"is_linked", "listener_running", "account", "problem"}
    assert told["is_linked"] is (code == ExitCode.OK)
    return told


def test_whether_it_is_ready_is_told_in_json_whatever_is_wrong(plane: Plane, sdm: Sdm):
    sdm.home.mkdir(mode=0o755)
    assert "chmod 700" in str(readiness(sdm, ExitCode.CONFIGURATION)["problem"])
    sdm.home.chmod(0o700)
    sdm.login(plane)
    assert "sdm listen" in str(readiness(sdm, ExitCode.UNAVAILABLE)["problem"])
    sdm.listen()
    told = readiness(sdm, ExitCode.OK)
    assert (told["listener_running"], told["problem"]) == (True, "")
    plane.down()
    until(lambda: bool(sdm.status()["problem"]))
    assert plane.address in str(readiness(sdm, ExitCode.UNAVAILABLE)["problem"])


@pytest.mark.parametrize(
    ("words", "environment", "code", "reason"),
    [
        (("status",), {}, ExitCode.REFUSED, "not-logged-in"),
        (("status", "--watch"), {}, ExitCode.REFUSED, "not-logged-in"),
        (("connect", "orders"), {}, ExitCode.REFUSED, "not-logged-in"),
        (("login",), {"SDM_APP_DOMAIN": ""}, ExitCode.CONFIGURATION, "configuration"),
        (("connect",), {}, ExitCode.USAGE, "usage"),
        (("status", "--colour"), {}, ExitCode.USAGE, "usage"),
    ],
)
def test_a_script_is_told_of_a_failure_in_json(
    sdm: Sdm, words: tuple[str, ...], environment: dict[str, str], code: ExitCode, reason: str
):
    done = sdm.run(*words, "--json", **environment)
    assert done.returncode == code
    told = json.loads(done.stdout)
    assert told.pop("error")
    assert told == {"code": code, "reason": reason}
    assert done.stderr == ""


def test_a_directory_that_others_can_read_is_refused(sdm: Sdm):
    sdm.home.mkdir(mode=0o755)
    done = sdm.run("status")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "chmod 700" in done.stderr


def test_logging_out_ends_what_is_connected_and_forgets_the_certificate(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer
):
    offer("orders")
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "orders")
    with dialled(sdm, "orders") as sock:
        assert said_back(sock, b"hello") == b"hello"
        assert sdm.run("logout").returncode == 0
        assert sock.recv(1) == b""
    assert "Logout" in plane.people.calls
    assert not (sdm.home / "identity.json").exists()
    assert sdm.run("status").returncode == ExitCode.REFUSED


def test_logging_out_works_here_when_the_control_plane_is_away(plane: Plane, sdm: Sdm):
    sdm.login(plane)
    sdm.listen()
    plane.people.refusals["Logout"] = (Reason.UNAVAILABLE, "The control plane restarts.")
    done = sdm.run("logout")
    assert done.returncode == 0
    assert "The control plane restarts." in done.stderr
    assert not (sdm.home / "identity.json").exists()


@pytest.mark.parametrize("runs", [True, False])
def test_logging_out_says_that_a_control_plane_that_is_away_lists_this_machine_still(
    plane: Plane, sdm: Sdm, runs: bool
):
    sdm.login(plane)
    if runs:
        sdm.listen()
    plane.down()
    if runs:
        until(lambda: bool(sdm.status()["problem"]))
    done = sdm.finish("logout", "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["logged_out"] is True
    assert told["problem"].startswith("The console could not be told: ")
    assert "lists this machine until the login ends, 20" in told["problem"]
    assert plane.address in told["problem"]
    assert "ipv4:" not in told["problem"]
    assert not (sdm.home / "identity.json").exists()


# --- Connecting ---


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
    done = sdm.run("connect", "orders")
    assert done.returncode == 0
    assert "orders: connect successful, 127.0.0.1:" in done.stdout
    said = "    The cluster's address 127.0.0.1:1 cannot be reached: Connection refused.\n"
    assert said in done.stdout
    shown = sdm.run("status").stdout
    assert shown.count(said) == 1  # nobody has asked for the other


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
    said = "    Workers do not serve resources of the kind redis yet.\n"
    assert done.stdout.endswith(said)
    assert "nc 127.0.0.1" not in done.stdout
    assert said in sdm.run("status").stdout
    assert "do not serve" not in sdm.run("connect", "orders").stdout


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
    done = sdm.run("listen")
    assert done.returncode == ExitCode.ADDRESS
    assert "runs already" in done.stderr


# --- While it runs ---


def test_what_is_taken_away_is_closed_and_what_is_given_appears(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer
):
    orders = offer("orders")
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "orders")
    with sdm.watching("status", "--watch", "--json") as watching:
        told = (json.loads(line)["resources"] for line in watching.stdout or ())
        assert [each["name"] for each in next(told)] == ["orders"]
        with dialled(sdm, "orders") as sock:
            assert said_back(sock, b"hello") == b"hello"
            plane.people.take_away(orders)
            assert sock.recv(1) == b""
        assert any(not seen for seen in told)
        offer("wiki")
        seen = next(seen for seen in told if seen)
        assert [each["name"] for each in seen] == ["wiki"]
    said = "orders: You no longer have access to this resource, or it was deleted.\n"
    assert said in sdm.run("status").stdout
    assert said in sdm.log()


def test_what_was_lost_is_in_order_and_says_when_it_was_the_time_that_was_over(
    plane: Plane, sdm: Sdm, offer: Offer
):
    now = dt.datetime.now(dt.UTC)
    ends = {"wiki": now, "orders": now + dt.timedelta(hours=1), "Books": None}
    offered = [offer(name, ends_at=at) for name, at in ends.items()]
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "--all")
    for resource_id in offered:
        plane.people.take_away(resource_id)
    until(lambda: len(sdm.status()["lost"]) == 3)
    removed, over = (
        "You no longer have access to this resource, or it was deleted.",
        "The time of your access is over.",
    )
    told = [(each["name"], each["problem"]) for each in sdm.status()["lost"]]
    assert told == [("Books", removed), ("orders", removed), ("wiki", over)]
    assert f"wiki: {over}\n" in sdm.log()


def test_watching_prints_nothing_twice(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders")
    sdm.login(plane)
    sdm.listen()
    words = ("status", "--watch", "--json", "--filter", "orders")
    with sdm.watching(*words) as watching:
        lines = iter(watching.stdout or ())
        told = [next(lines)]
        wiki = offer("wiki")  # which the filter hides
        until(lambda: sdm.resource("wiki") is not None)
        plane.people.take_away(wiki)
        until(lambda: sdm.resource("wiki") is None)
        sdm.run("connect", "orders")
        while json.loads(told[-1])["resources"][0]["status"] != "connected":
            told.append(next(lines))
    assert len(told) == 2


@pytest.mark.parametrize("kind", ["rawTCP", "postgres"])
def test_that_an_administrator_ended_the_session_is_shown_until_the_next_connection(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer, kind: str
):
    orders = offer("orders", kind=kind)
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "orders")
    with dialled(sdm, "orders") as sock:
        assert said_back(sock, b"hello") == b"hello"
        plane.people.entries[orders].cut_session_id = "se-1"
        plane.people.change()
        until(lambda: bool(sdm.resource("orders")["problem"]))
    said = "An administrator ended this session."
    assert f"    {said}\n" in sdm.run("status").stdout
    assert f"orders: {said}\n" in sdm.log()
    with dialled(sdm, "orders") as sock:
        assert said_back(sock, b"hello") == b"hello"
        assert sdm.resource("orders")["problem"] == ""
    sdm.run("disconnect", "orders")
    assert said not in sdm.run("connect", "orders").stdout
    assert sdm.resource("orders")["problem"] == ""


def test_what_workers_found_wrong_with_a_resource_is_shown_and_logged(plane: Plane, sdm: Sdm, offer: Offer):
    """To psql a worker says it itself, in bytes that the agent does not read."""
    found = "db.internal:5432 cannot be reached: Connection refused."
    orders = offer("orders", kind="postgres", healthy=True)
    sdm.login(plane)
    (sdm.home / "connections.json").write_text(json.dumps({"resources": [orders]}))
    sdm.listen()
    entry = plane.people.entries[orders]
    entry.healthy, entry.health_problem = False, found
    plane.people.change()
    until(lambda: sdm.resource("orders")["health_problem"] == found)
    assert f"    At the last check: {found}\n" in sdm.run("status").stdout
    assert f"orders: at the last check: {found}\n" in sdm.log()


def test_nothing_is_left_of_an_outage_of_the_control_plane_when_it_is_over(
    plane: Plane, sdm: Sdm, offer: Offer
):
    offer("orders")
    sdm.login(plane)
    sdm.listen()
    plane.down()
    until(lambda: bool(sdm.status()["problem"]))
    sdm.run("connect", "orders")
    problem = sdm.status()["problem"]
    assert plane.address in problem
    assert sdm.resource("orders")["problem"]
    assert sdm.run("status").stdout.count(problem) == 1
    plane.up()
    until(sdm.ready, 40)
    until(lambda: not sdm.resource("orders")["problem"])


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


def test_a_control_plane_that_is_away_ends_nothing_and_is_found_again(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer
):
    offer("orders")
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "orders")
    with dialled(sdm, "orders") as sock:
        assert said_back(sock, b"hello") == b"hello"
        plane.down()
        until(lambda: bool(sdm.status()["problem"]))
        assert not sdm.ready()
        assert said_back(sock, b"still here") == b"still here"
        with dialled(sdm, "orders") as another:
            assert said_back(another, b"with the same ticket") == b"with the same ticket"
        plane.up()
        until(sdm.ready, 40)


def test_the_certificate_is_renewed_before_it_ends(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders")
    plane.people.life = dt.timedelta(seconds=6)
    sdm.login(plane)
    before = (sdm.home / "identity.json").read_text()
    sdm.listen()
    until(lambda: "Renew" in plane.people.calls)
    until(lambda: (sdm.home / "identity.json").read_text() != before)
    assert sdm.ready()


def test_a_login_that_was_ended_over_there_is_over_here(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders")
    sdm.login(plane)
    plane.people.refusals["WatchCatalog"] = (Reason.NOT_LOGGED_IN, "")
    agent = sdm.begin("listen")
    until(lambda: (sdm.home / "agent.sock").exists())
    done = sdm.run("status")
    assert done.returncode == ExitCode.REFUSED
    assert "You are not authenticated" in done.stderr
    assert readiness(sdm, ExitCode.REFUSED)["listener_running"] is True
    agent.terminate()
    agent.communicate(timeout=20)


# --- What the tool is told ---


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
