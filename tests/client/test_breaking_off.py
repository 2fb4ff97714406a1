"""What is missing does not look like the end: a tool whose protocol has no length would take it for all there was."""

import socket
import struct
import time

import pytest

from sdm.contract.v1 import clients_pb2 as pb
from tests.client.conftest import Sdm
from tests.client.control_plane import Plane
from tests.client.ports import dialled
from tests.house.checkout import free_port
from tests.worker import echo
from tests.worker.clients import raw_target
from tests.worker.processes import Worker, read_all

pytestmark = pytest.mark.process

ALL, HALF = b"all there is", b"half of what th"


def answer(sock: socket.socket) -> None:
    """Answer, and end or break off, as asked for."""
    asked = sock.recv(1)
    if asked == b"w":
        sock.sendall(HALF)
        sock.recv(1)
        return
    sock.sendall(ALL if asked == b"." else HALF)
    if asked == b"x":
        time.sleep(0.2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_tool_hears_whether_the_resource_ended_or_broke_off(plane: Plane, sdm: Sdm, worker: Worker):
    with echo.server(answer) as there:
        connect(plane, sdm, there)
        with dialled(sdm, "orders") as sock:
            sock.sendall(b".")
            assert read_all(sock) == ALL
        with dialled(sdm, "orders") as sock:
            sock.sendall(b"x")
            assert is_broken_off(sock)
        with dialled(sdm, "orders") as sock:
            sock.sendall(b"x")
            sock.shutdown(socket.SHUT_WR)
            assert is_broken_off(sock)
    assert "orders: a connection ended: The connection to the resource broke off." in sdm.log()


def test_a_tool_hears_that_the_worker_is_gone(plane: Plane, sdm: Sdm, worker: Worker):
    with echo.server(answer) as there:
        connect(plane, sdm, there)
        with dialled(sdm, "orders") as sock:
            sock.sendall(b"w")
            assert sock.recv(100) == HALF
            worker.kill()
            with pytest.raises(ConnectionResetError):
                sock.recv(100)


def connect(plane: Plane, sdm: Sdm, there: int) -> None:
    plane.people.offer(
        pb.CatalogEntry(
            resource_id=raw_target(plane, there),
            name="orders",
            kind="rawTCP",
            category="server",
            local_port=free_port(),
        )
    )
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "orders")


def is_broken_off(sock: socket.socket) -> bool:
    found = b""
    try:
        while data := sock.recv(100):
            found += data
    except ConnectionResetError:
        return found == HALF
    return False
