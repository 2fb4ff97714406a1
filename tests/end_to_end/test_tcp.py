"""Raw TCP: whatever speaks to a host and a port."""

import hashlib
import os
import socket
import threading

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.product import HANG, Product

pytestmark = pytest.mark.process

BULK = 64 * 1024 * 1024


def dialled(product: Product, name: str = "echo") -> socket.socket:
    return socket.create_connection(("127.0.0.1", product.machine.port(name)), timeout=HANG)


def test_what_is_said_comes_back(product: Product):
    with dialled(product) as sock:
        for number in range(100):
            sock.sendall(b"%d\n" % number)
            assert sock.makefile("rb").readline() == b"%d\n" % number


def test_bulk_passes_both_ways_at_once_and_ends_by_halves(product: Product, console: Page):
    piece = os.urandom(1 << 20)
    sent, came, length = hashlib.sha256(piece * (BULK >> 20)).digest(), hashlib.sha256(), 0
    with dialled(product) as sock:

        def send() -> None:
            for _ in range(BULK >> 20):
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)

        sending = threading.Thread(target=send)
        sending.start()
        while data := sock.recv(1 << 18):
            came.update(data)
            length += len(data)
        sending.join(HANG)
    assert (length, came.digest()) == (BULK, sent)
    product.office.until(lambda: any(one["bytes_sent"] == BULK for one in sessions(product)))
    (session,) = [one for one in sessions(product) if one["bytes_sent"] == BULK]
    assert session["bytes_received"] == BULK
    assert session["account_name"] == "alice@example.com"
    console.goto("/audit/sessions/")
    expect(console.get_by_role("row").filter(has_text="echo").first).to_contain_text("alice@example.com")


def test_a_resource_that_is_not_there_closes_the_connection_and_status_says_why(product: Product):
    with dialled(product, "nobody") as sock:
        assert sock.recv(1) == b""
    product.office.until(lambda: product.machine.resource("nobody")["problem"])
    assert "refused" in product.machine.resource("nobody")["problem"]
    shown = product.machine.run("status").stdout.splitlines()
    place = next(number for number, line in enumerate(shown) if line.startswith("nobody "))
    assert "refused" in shown[place + 1]


def sessions(product: Product) -> list[dict[str, object]]:
    found: list[dict[str, object]] = product.office("sessions", resource="echo")
    return found
