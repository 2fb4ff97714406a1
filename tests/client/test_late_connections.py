"""Connections that are being opened while access goes hear why, as those do that are open."""

import asyncio
import json
import socket

import pytest

from sdm.client.catalog import Entry
from sdm.client.listener import Listener
from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from sdm.transport.relay.loop import Relay
from sdm.transport.streams import Stream
from tests.client.conftest import Offer, Sdm
from tests.client.control_plane import Plane
from tests.client.ports import dialled
from tests.house.checkout import free_port
from tests.worker.processes import until

STARTUP = (8 + 12).to_bytes(4) + (3 << 16).to_bytes(4) + b"user\0alice\0\0"
NO_ACCESS = "Your access ended at noon."


def all_of(sock: socket.socket) -> bytes:
    with sock:
        try:
            return b"".join(iter(lambda: sock.recv(1000), b""))
        except ConnectionResetError:
            return b""


@pytest.mark.process
@pytest.mark.parametrize(
    ("kind", "asked", "told"),
    [("postgres", STARTUP, b"E"), ("httpNoAuth", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 502 ")],
)
def test_whose_access_goes_while_a_connection_is_opened_hears_why(
    plane: Plane, sdm: Sdm, offer: Offer, kind: str, asked: bytes, told: bytes
):
    orders = offer("orders", kind=kind)
    sdm.login(plane)
    (sdm.home / "connections.json").write_text(json.dumps({"resources": [orders]}))
    sdm.listen()
    until(lambda: sdm.is_connected("orders"))
    plane.people.hold("GetTicket")
    with dialled(sdm, "orders") as sock:
        sock.sendall(asked)
        until(lambda: "GetTicket" in plane.people.calls)
        plane.people.refusals["GetTicket"] = (Reason.NO_ACCESS, NO_ACCESS)
        plane.people.take_away(orders)
        until(lambda: bool(sdm.status()["lost"]))
        plane.people.let_go("GetTicket")
        said = all_of(sock)
    assert said.startswith(told)
    assert NO_ACCESS.encode() in said


@pytest.mark.parametrize("reason", [Ending.LOGGED_OUT.sentence, ""])
def test_who_waits_for_what_does_not_come_is_told_at_the_end_and_nobody_is_lost(reason: str):
    """One is being opened, and one has come that nobody has looked at yet. Who disconnects has no words for them."""

    async def never(_: str) -> tuple[Stream, bytes]:
        await asyncio.sleep(60)
        raise AssertionError

    async def scene() -> list[bytes]:
        listener = Listener(
            Entry("rs-1", "orders", "postgres", "datasource", "c", free_port()), never, Relay(), lambda: None
        )
        listener.open()
        tools = []
        for _ in range(2):
            sock = socket.create_connection(("127.0.0.1", listener.entry.local_port), timeout=20)
            sock.sendall(STARTUP)
            tools.append(asyncio.create_task(asyncio.to_thread(all_of, sock)))
            if len(tools) == 1:
                await asyncio.sleep(0.1)
        async with asyncio.timeout(20):
            await listener.close(reason, within=0.01)
            return await asyncio.gather(*tools)

    said = asyncio.run(scene())
    assert [reason.encode() in each for each in said] == [True, True]
    assert [each.startswith(b"E") for each in said] == [bool(reason)] * 2
