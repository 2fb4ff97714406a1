"""What changes while the agent runs: access, sessions, health, and whether the control plane is there."""

import datetime as dt
import json
import signal
import socket
import subprocess

import pytest

from sdm.exit_codes import ExitCode
from tests.client.conftest import Offer, Sdm
from tests.client.control_plane import Plane
from tests.client.ports import dialled, said_back
from tests.house.checkout import free_port
from tests.worker.processes import Worker, until

pytestmark = pytest.mark.process

# A resource that was detached is gone from the catalog as one without access is, and only the worker knows.
TAKEN_AWAY = (
    "You no longer have access to this resource, or it was deleted or detached from its proxy cluster."
)


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
    said = f"orders: {TAKEN_AWAY}\n"
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
    over = "The time of your access is over."
    told = [(each["name"], each["problem"]) for each in sdm.status()["lost"]]
    assert told == [("Books", TAKEN_AWAY), ("orders", TAKEN_AWAY), ("wiki", over)]
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


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_who_watches_is_told_that_the_agent_ended(plane: Plane, sdm: Sdm, ending: signal.Signals):
    sdm.login(plane)
    agent = sdm.listen()
    with sdm.watching("status", "--watch") as people, sdm.watching("status", "--watch", "--json") as script:
        for each in (people, script):
            assert each.stdout is not None
            each.stdout.readline()
        agent.send_signal(ending)
        assert (people.wait(20), script.wait(20)) == (ExitCode.UNAVAILABLE, ExitCode.UNAVAILABLE)
        assert "The agent ended." in last_line(people)
        told = json.loads(last_line(script))
    assert (told["code"], told["reason"]) == (ExitCode.UNAVAILABLE, "unavailable")


def test_who_watches_is_told_of_a_logout(plane: Plane, sdm: Sdm):
    sdm.login(plane)
    sdm.listen()
    with sdm.watching("status", "--watch") as people, sdm.watching("status", "--watch", "--json") as script:
        for each in (people, script):
            assert each.stdout is not None
            each.stdout.readline()
        assert sdm.run("logout").returncode == 0
        assert (people.wait(20), script.wait(20)) == (ExitCode.REFUSED, ExitCode.REFUSED)
        assert last_line(people) == "You are not authenticated. Please login again.\n"
        told = json.loads(last_line(script))
    assert (told["code"], told["reason"]) == (ExitCode.REFUSED, "not-logged-in")


def last_line(process: "subprocess.Popen[str]") -> str:
    return list(process.stdout or ())[-1]


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
    # Nothing is wrong with what comes next.
    assert sdm.run("connect", "orders").stdout.startswith("orders: already connected, 127.0.0.1:")
    assert sdm.json("connect", "orders")[0]["works"] is True
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


def test_another_port_takes_new_connections_and_ends_none(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer
):
    orders = offer("orders")
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "orders")
    before, after = sdm.port("orders"), free_port()
    with dialled(sdm, "orders") as sock:
        assert said_back(sock, b"hello") == b"hello"
        plane.people.entries[orders].local_port = after
        plane.people.change()
        until(lambda: sdm.port("orders") == after)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", before), timeout=20)
        with dialled(sdm, "orders") as another:
            assert said_back(another, b"on the other port") == b"on the other port"
            assert sdm.resource("orders")["connections"] == 2
        until(lambda: sdm.resource("orders")["connections"] == 1)
        assert said_back(sock, b"still here") == b"still here"
        assert f"orders: it moves from 127.0.0.1:{before} to 127.0.0.1:{after}.\n" in sdm.log()
        # It is as much of the resource as any: who disconnects ends it.
        sdm.run("disconnect", "orders")
        assert sock.recv(1) == b""


def test_what_is_open_goes_on_where_the_other_port_is_taken(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer
):
    orders = offer("orders")
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "orders")
    with dialled(sdm, "orders") as sock, socket.create_server(("127.0.0.1", 0)) as other:
        assert said_back(sock, b"hello") == b"hello"
        taken = other.getsockname()[1]
        plane.people.entries[orders].local_port = taken
        plane.people.change()
        until(lambda: not sdm.is_connected("orders"))
        assert sdm.resource("orders")["problem"] == f"127.0.0.1:{taken} is taken by another program."
        assert "is taken by another program" in sdm.run("connect", "orders").stdout
        assert said_back(sock, b"still here") == b"still here"
        other.close()
        assert sdm.json("connect", "orders")[0]["works"] is True
        with dialled(sdm, "orders") as another:
            assert said_back(another, b"hello") == b"hello"
        assert said_back(sock, b"still here") == b"still here"
