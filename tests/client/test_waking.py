"""A link to the control plane that was lost just now: who needs it waits for the next one, and not for long."""

import asyncio
import json
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sdm.client import session as sessions
from sdm.client.home import Home
from sdm.client.identity import Identity, Person
from sdm.client.session import Session
from sdm.control_plane import where
from sdm.control_plane.refusals import ControlError
from tests.client.conftest import Offer, Sdm
from tests.client.control_plane import Plane
from tests.client.ports import said_back
from tests.worker import processes
from tests.worker.processes import Worker

Scene = Callable[[Session], Awaitable[None]]


def with_session(plane: Plane, directory: Path, scene: Scene) -> None:
    async def whole() -> None:
        key, certificate = plane.people.certificate()
        person = Person(plane.people.account_id, "alice@example.com", "Alice")
        there = where.parse(plane.address, frozenset())
        me = Identity(there, person, key, certificate, plane.people.ends_at())
        session = Session(Home(directory), me, lambda: None)
        running = asyncio.create_task(session.run())
        try:
            async with asyncio.timeout(60):
                await session.settled.wait()
                await scene(session)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # of things that tell nobody
        await asyncio.sleep(0.01)


@pytest.mark.process
def test_who_connects_in_the_moment_of_waking_is_served(plane: Plane, sdm: Sdm, worker: Worker, offer: Offer):
    orders = offer("orders")
    sdm.login(plane)
    (sdm.home / "connections.json").write_text(json.dumps({"resources": [orders]}))
    agent = sdm.listen()
    processes.until(lambda: sdm.is_connected("orders"))
    port = sdm.port("orders")
    agent.send_signal(signal.SIGSTOP)
    plane.down()
    plane.up()
    worker.until(lambda: worker.log.count("Connected") == 2)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        agent.send_signal(signal.SIGCONT)
        assert said_back(sock, b"hello") == b"hello"
    assert sdm.resource("orders")["problem"] == ""


def test_a_ticket_that_is_wanted_while_the_link_is_made_again_is_waited_for(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sessions, "_PATIENCE", 60.0)

    async def scene(session: Session) -> None:
        await asyncio.to_thread(plane.down)
        await until(lambda: bool(session.problem))
        wanted = asyncio.create_task(session.tickets.get("rs-1"))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(plane.up)
        assert (await wanted).ticket

    with_session(plane, tmp_path, scene)


def test_a_call_that_breaks_off_with_the_link_is_made_again(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sessions, "_PATIENCE", 60.0)
    plane.people.hold("GetTicket")

    async def scene(session: Session) -> None:
        wanted = asyncio.create_task(session.tickets.get("rs-1"))
        await until(lambda: "GetTicket" in plane.people.calls)
        await asyncio.to_thread(plane.down)
        await asyncio.to_thread(plane.people.let_go, "GetTicket")
        await asyncio.to_thread(plane.up)
        assert (await wanted).ticket

    with_session(plane, tmp_path, scene)
    assert plane.people.calls.count("GetTicket") == 2


def test_nobody_waits_for_a_control_plane_that_has_been_away_for_longer(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sessions, "_PATIENCE", 0.0)

    async def scene(session: Session) -> None:
        await asyncio.to_thread(plane.down)
        await until(lambda: bool(session.problem))
        with pytest.raises(ControlError, match=plane.address):
            await session.tickets.get("rs-1")

    with_session(plane, tmp_path, scene)
