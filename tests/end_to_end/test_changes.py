"""A resource is changed while somebody works with it: what runs goes on, and what begins later is as it is now."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.end_to_end.product import HANG, Product
from tests.worker import echo

pytestmark = pytest.mark.process

# Leases are good for a minute: who waited for their end would wait longer.
SOON = 20.0
PASSWORDS = "the one before", "the one after"


@contextmanager
def greeter(name: bytes) -> Iterator[int]:
    """A server that says who it is, and repeats what it hears."""

    def greet(sock: socket.socket) -> None:
        sock.sendall(name)
        echo.echo(sock)

    with echo.server(greet) as port:
        yield port


def dialled(product: Product, name: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", product.machine.port(name)), timeout=HANG)


def greeting(product: Product, name: str) -> bytes:
    with dialled(product, name) as sock:
        return sock.recv(100)


def within(seconds: float, product: Product, name: str, wanted: bytes) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if greeting(product, name) == wanted:
            return True
        time.sleep(0.1)
    return False


def test_a_resource_that_moves_keeps_its_sessions_and_new_ones_go_where_it_is(product: Product):
    with greeter(b"old") as old, greeter(b"new") as new:
        product.offer("mover", "rawTCP", old)
        product.office.until(lambda: product.machine.resource("mover"))
        product.connect("mover")
        with dialled(product, "mover") as sock:
            assert sock.recv(100) == b"old"
            assert product.office("move_resource", name="mover", port=new)
            assert within(SOON, product, "mover", b"new")
            sock.sendall(b"still here")
            assert sock.recv(100) == b"still here"


def test_a_password_that_is_replaced_ends_no_session_and_new_ones_use_it(product: Product, database: str):
    before, after = PASSWORDS
    role = sql.Identifier("changing")
    with psycopg.connect(database, autocommit=True) as server:
        server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, before))
        config = {"database": "orders", "override_database": True, "tls_required": False}
        login = {"username": "changing", "secrets": {"password": before}}
        product.offer("changing", "postgres", urlsplit(database).port or 0, config=config, **login)
        product.office.until(lambda: product.machine.resource("changing"))
        product.connect("changing")
        where = f"host=127.0.0.1 port={product.machine.port('changing')} user=me dbname=orders"
        with psycopg.connect(where, autocommit=True) as running:
            server.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, after))
            # Only the old one is known here: the server says no.
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(where)
            product.office("replace_password", name="changing", password=after)
            assert signed_in(where, SOON)
            assert running.execute("SELECT 'still here'").fetchone() == ("still here",)


def signed_in(where: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            psycopg.connect(where).close()
        except psycopg.OperationalError as error:
            assert "password authentication failed" in str(error)
            time.sleep(0.1)
        else:
            return True
    return False
