"""What should not be had from outside, tried on all of the product at once."""

import base64
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sdm.contract.endings import Ending
from tests.end_to_end.conftest import SHOP_PASSWORD, WIKI_PASSWORD
from tests.end_to_end.product import HANG, Product
from tests.end_to_end.test_endings import ended, running, soon, usable
from tests.people import PASSWORD
from tests.worker.processes import request

pytestmark = pytest.mark.process

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def websocket(product: Product, *fields: bytes) -> tuple[socket.socket, bytes]:
    """A WebSocket to the wiki, and the head of the answer."""
    port = product.machine.port("wiki")
    sock = socket.create_connection(("127.0.0.1", port), timeout=HANG)
    lines = (
        b"GET /socket HTTP/1.1",
        b"Host: 127.0.0.1:%d" % port,
        b"Connection: Upgrade",
        b"Upgrade: websocket",
    )
    sock.sendall(
        b"\r\n".join([*lines, b"Sec-WebSocket-Key: " + KEY, b"Sec-WebSocket-Version: 13", *fields, b"", b""])
    )
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4096)
        assert data, head
        head += data
    return sock, head


def says(sock: socket.socket, text: bytes) -> bytes:
    mask = b"\1\2\3\4"
    sock.sendall(bytes([0x81, 0x80 | len(text)]) + mask + bytes(c ^ mask[n % 4] for n, c in enumerate(text)))
    return sock.recv(4096)


def test_a_websocket_ends_when_its_person_is_suspended(product: Product):
    # Of tests before this one.
    product.office.until(lambda: not product.running("wiki"))
    sock, head = websocket(product)
    with sock:
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"heard: hello" in says(sock, b"hello")
        session_id = running(product, "wiki")
        with soon():
            product.office("suspend")
            goodbye = b"".join(iter(lambda: sock.recv(4096), b""))
        assert goodbye[2:] == (1008).to_bytes(2) + b"The account alice@example.com is suspended."
        assert ended(product, "wiki", session_id)["ending"] == Ending.SUSPENDED
    product.office("reinstate")
    product.login()
    usable(product)


def test_a_stranger_at_the_workers_own_port_is_a_denied_activity(product: Product, console: Page):
    resource = product.office("resource_id", name="orders")
    words = f"CONNECT {resource} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Bearer a.b.c\r\n\r\n"
    answer = request(product.workers[0].port(), data=words.encode())
    assert b" 401 " in answer
    assert b"bad-ticket" in answer
    product.office.until(lambda: product.office("refusals", resource="orders"))
    console.goto(f"/audit/activities/?entity={resource}&outcome=denied")
    row = console.get_by_role("row").filter(has_text="refused")
    expect(row).to_contain_text("Somebody was refused resource orders")
    expect(row).to_contain_text("127.0.0.1")
    expect(row).to_contain_text("Denied")


@pytest.mark.parametrize(
    "fields",
    [
        [b"Origin: https://evil.example"],
        [b"Origin: http://127.0.0.1:1"],
        [b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Mode: websocket"],
    ],
)
def test_a_page_of_elsewhere_opens_no_websocket(product: Product, fields: list[bytes]):
    sock, head = websocket(product, *fields)
    sock.close()
    assert head.startswith(b"HTTP/1.1 403 ")


def test_two_readers_are_never_told_of_two_requests(product: Product):
    """Smuggling: one request is answered, and what stands behind it is no request of its own."""
    port = product.machine.port("wiki")
    host = b"Host: 127.0.0.1:%d\r\n" % port
    hidden = b"GET /style.css?smuggled HTTP/1.1\r\n" + host + b"\r\n"
    for attack in (
        b"POST /upload HTTP/1.1\r\n"
        + host
        + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /upload HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        b"POST /upload HTTP/1.1\r\n" + host + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        b"POST /upload HTTP/1.1\r\n" + host + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST /upload HTTP/1.1\r\n" + host + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
        b"POST /upload HTTP/1.1\r\n" + host + b"Content-Length: +0\r\n\r\n",
        b"POST /upload HTTP/1.1\n" + host + b"Content-Length: 0\n\n",
        b"GET / HTTP/1.1\r\n" + host + b"X: a\r\n b\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=HANG) as sock:
            sock.sendall(attack + hidden)
            sock.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: sock.recv(1 << 16), b""))
        assert answer.count(b"HTTP/1.1 ") <= 1 and b"HTTP/1.1 200" not in answer, attack
    assert not product.office("queries", resource="wiki", text="GET /style.css?smuggled")


def spellings(secret: str) -> set[bytes]:
    raw = secret.encode()
    inside = {base64.b64encode(raw[start:])[2:-4] for start in range(3)}
    return {raw, raw.hex().encode(), *inside}


def written(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """All that the run has left on the disk."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path, path.read_bytes()


def test_no_secret_is_in_anything_that_was_written(product: Product):
    """Logs at their most talkative, spool, database, the agent's directory. Whose secret it is has it, nobody else."""
    port = product.machine.port("private-wiki")
    curl = [
        "curl",
        "-sS",
        "-H",
        "Authorization: Bearer the-persons-own-word",
        f"http://127.0.0.1:{port}/private",
    ]
    assert subprocess.run(curl, capture_output=True, check=True, timeout=HANG).stdout
    secrets = {
        "a database's password": SHOP_PASSWORD,
        "a website's password": WIKI_PASSWORD,
        "a website's password as it is sent": base64.b64encode(f"wiki:{WIKI_PASSWORD}".encode()).decode(),
        "the cluster's secret key": product.secret_key,
        "a person's password": PASSWORD,
        "a person's own word for a website": "the-persons-own-word",
    }
    # Tickets, private keys: what they always begin with.
    shapes = {
        "a ticket": re.compile(rb"eyJhbGciOiJFZERTQSIsImtpZCI6[\w-]{8}"),
        "a private key": re.compile(rb"-----BEGIN (?:EC |RSA )?PRIVATE KEY"),
    }
    # The person's machine has its own key, and the API its certificate's.
    own = {"a private key": ("home/identity.json",)}
    product.office.until(lambda: product.office("queries", resource="private-wiki", text="GET /private"))
    found = []
    for path, data in written(product.directory):
        name = str(path.relative_to(product.directory))
        found += [
            (what, name)
            for what, secret in secrets.items()
            if any(each in data for each in spellings(secret))
        ]
        found += [
            (what, name)
            for what, shape in shapes.items()
            if shape.search(data) and name not in own.get(what, ())
        ]
    assert found == []
    assert list(product.directory.rglob("*.sqlite3")), "the database was looked through as well"


def test_what_is_secret_on_the_disk_is_for_its_owner_alone(product: Product):
    """The console's data, the spool, the agent's directory: no file of them that others could get at."""
    open_to_others = [
        str(path.relative_to(product.directory))
        for path, _ in written(product.directory)
        if path.suffix != ".log" and "static" not in path.parts and is_open(path, product.directory)
        if any(part in ("console", "home") or part.endswith(".spool") for part in path.parts)
    ]
    assert open_to_others == []


def is_open(path: Path, top: Path) -> bool:
    above = path.relative_to(top).parents
    return bool(path.stat().st_mode & 0o077) and all(
        (top / each).stat().st_mode & 0o011 for each in above if each.name
    )


def test_what_is_typed_is_no_line_of_a_log_and_no_order_to_a_terminal(product: Product):
    """Log injection: by the name of a user, of a database, by a path, by a query."""
    hostile = "\x1b[2J\x1b]0;owned\x07\r\n2026-01-01T00:00:00.000+00:00 error forged\r\n"
    port = product.machine.port("orders")
    environment = os.environ | {"PGUSER": hostile.replace("\n", ""), "PGAPPNAME": hostile, "PGDATABASE": "x"}
    command = ["psql", "-h", "127.0.0.1", "-p", str(port), "-c", f"SELECT '{hostile}'", "-c", f'"{hostile}"']
    subprocess.run(command, env=environment, capture_output=True, check=False, timeout=HANG)
    with socket.create_connection(("127.0.0.1", product.machine.port("wiki")), timeout=HANG) as sock:
        sock.sendall(b"GET /\x1b[2J\r HTTP/1.1\r\nHost: " + hostile.encode() + b"\r\n\r\n")
        sock.recv(4096)
    product.office.until(lambda: product.office("queries", resource="orders", text="SELECT '\x1b[2J"))
    for path, data in written(product.directory):
        if path.suffix == ".log" and ".spool" not in str(path):
            assert b"\x1b[2J" not in data and b"\nforged" not in data and b"\r" not in data, path
            assert not re.search(rb"^2026-01-01T00:00:00.000\+00:00 error forged", data, re.MULTILINE), path
