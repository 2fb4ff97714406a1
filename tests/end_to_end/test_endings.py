"""What is taken away ends what runs: within two seconds, of each kind, and everybody learns why."""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from sdm.contract.endings import Ending
from tests.end_to_end.product import HANG, Product
from tests.end_to_end.psql import Psql
from tests.worker import echo

pytestmark = pytest.mark.process

# Two seconds are promised, to machines that have time; only a hang takes as long as this.
SOON = 10.0


@dataclass(frozen=True)
class Live:
    """A connection in use: what waits for its end, and gives what the person's program said."""

    resource: str
    end: Callable[[], str]


# --- One of each kind ---


@contextmanager
def a_prompt(product: Product, resource: str = "orders") -> Iterator[Live]:
    with Psql(["-h", "127.0.0.1", "-p", str(product.machine.port(resource))]) as psql:
        psql.ask("SELECT 'rea' || 'dy';", "ready")
        # It is at work when it is cut: psql says what it hears at once.
        before = sleeping(product, resource)
        psql.say("SELECT pg_sleep(600);")
        product.office.until(lambda: sleeping(product, resource) > before)
        yield Live(resource, lambda: psql.hear("server closed the connection"))


def sleeping(product: Product, resource: str) -> int:
    return len(product.office("queries", resource=resource, text="SELECT pg_sleep(600)"))


@contextmanager
def a_download(product: Product) -> Iterator[Live]:
    url = f"http://127.0.0.1:{product.machine.port('wiki')}/drip"
    command = ["curl", "-sS", "--max-time", str(HANG), "-o", "/dev/null", url]
    curl = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def end() -> str:
        _, said = curl.communicate(timeout=HANG)
        assert curl.returncode != 0
        return said

    try:
        yield Live("wiki", end)
    finally:
        curl.kill()
        curl.communicate()


@contextmanager
def a_stream(product: Product) -> Iterator[Live]:
    with socket.create_connection(("127.0.0.1", product.machine.port("echo")), timeout=HANG) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"

        def end() -> str:
            # Without words, what is missing must not look like the end.
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
            return ""

        yield Live("echo", end)


def all_kinds(product: Product) -> list[AbstractContextManager[Live]]:
    return [a_prompt(product), a_download(product), a_stream(product)]


# --- What ends them ---


@dataclass(frozen=True)
class Taking:
    """Something is taken away, with what the log and the person are told, and how it is given back."""

    ending: Ending
    take: Callable[[Product], object]
    give_back: Callable[[Product], object]
    words: str


def _login_again(product: Product) -> None:
    product.office("reinstate")
    product.login()


TAKINGS = {
    "role removed": Taking(
        Ending.ACCESS_REMOVED,
        lambda product: product.office("detach"),
        lambda product: product.office("attach"),
        Ending.ACCESS_REMOVED.sentence,
    ),
    "person suspended": Taking(
        Ending.SUSPENDED,
        lambda product: product.office("suspend"),
        _login_again,
        "The account alice@example.com is suspended.",
    ),
    "sdm logout": Taking(
        Ending.LOGGED_OUT,
        lambda product: product.machine.run("logout"),
        lambda product: product.login_again(),
        "This machine was logged out.",
    ),
}


@pytest.mark.parametrize("name", TAKINGS)
def test_what_is_taken_away_ends_at_once_with_a_reason(product: Product, name: str):
    taking = TAKINGS[name]
    with ExitStack() as stack:
        lives = [stack.enter_context(one) for one in all_kinds(product)]
        before = {live.resource: running(product, live.resource) for live in lives}
        stack.callback(usable, product)
        stack.callback(taking.give_back, product)
        with soon():
            taking.take(product)
            said = {live.resource: live.end() for live in lives}
        for resource, session_id in before.items():
            assert ended(product, resource, session_id)["ending"] == taking.ending
        assert f"FATAL:  {taking.words}" in said["orders"]


def test_a_resource_that_is_detached_ends_what_runs(product: Product):
    with a_stream(product) as live:
        session_id = running(product, "echo")
        with soon():
            product.office("detach_resource", name="echo")
            live.end()
    product.office.until(lambda: product.machine.resource("echo") is None)
    product.office("attach_resource", name="echo")
    assert ended(product, "echo", session_id)["ending"] == Ending.RESOURCE_GONE
    usable(product)


def test_a_grant_that_is_over_ends_what_runs_at_that_moment(product: Product):
    product.office("grant", resource="archive", seconds=4)
    over = time.monotonic() + 4
    product.office.until(lambda: product.machine.resource("archive"))
    product.connect("archive")
    assert re.search(r"^archive .* until \d{4}-", product.machine.run("status").stdout, re.MULTILINE)
    with a_prompt(product, "archive") as live:
        session_id = running(product, "archive")
        said = live.end()
        assert -0.5 < time.monotonic() - over < SOON
    assert "FATAL:  The time of your access is over." in said
    assert ended(product, "archive", session_id)["ending"] == Ending.ACCESS_OVER
    product.office.until(lambda: product.machine.resource("archive") is None)


def test_a_session_that_is_ended_in_the_console_says_so_in_psql(product: Product, console: Page):
    with a_prompt(product) as live:
        session_id = running(product, "orders")
        console.goto(f"/audit/sessions/{session_id}/")
        console.get_by_role("link", name="End session").click()
        with soon():
            console.get_by_role("button", name="End session").click()
            said = live.end()
    assert f"FATAL:  {Ending.ENDED_BY_ADMINISTRATOR.sentence}" in said
    assert ended(product, "orders", session_id)["ending"] == Ending.ENDED_BY_ADMINISTRATOR
    # The next one is nobody's business.
    usable(product)


@pytest.mark.parametrize("name", ["End session", "role removed"])
def test_what_is_taken_away_while_psql_is_signing_in_says_why(product: Product, name: str):
    def swallow(sock: socket.socket) -> None:
        while sock.recv(4096):
            pass

    resource = f"silent-{name.replace(' ', '-').lower()}"
    with echo.server(swallow) as port:
        config = {"database": "orders", "override_database": True, "tls_required": False}
        product.offer(resource, "postgres", port, config=config, username="x", secrets={"password": "y"})
        product.office.until(lambda: product.machine.resource(resource))
        product.connect(resource)
        with Psql(["-h", "127.0.0.1", "-p", str(product.machine.port(resource))]) as psql:
            session_id = running(product, resource)
            if name == "End session":
                words = Ending.ENDED_BY_ADMINISTRATOR.sentence
                product.office("end_session", session_id=session_id)
            else:
                words = TAKINGS[name].words
                product.office("detach")
            said = psql.hear(words)
    if name == "role removed":
        product.office("attach")
    assert "FATAL:  " in said
    ended(product, resource, session_id)
    usable(product)


def test_a_request_that_waits_for_its_answer_is_told_why_there_will_be_none(product: Product):
    product.office.until(lambda: not product.running("wiki"))
    url = f"http://127.0.0.1:{product.machine.port('wiki')}/silent"
    command = ["curl", "-sS", "--max-time", str(HANG), "-w", "%{http_code}", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        session_id = running(product, "wiki")
        product.office.until(lambda: product.office("queries", resource="wiki", text="GET /silent"))
        with soon():
            product.office("end_session", session_id=session_id)
            said, _ = curl.communicate(timeout=HANG)
    assert said == f"403 Forbidden\n{Ending.ENDED_BY_ADMINISTRATOR.sentence}\n403"
    assert ended(product, "wiki", session_id)["ending"] == Ending.ENDED_BY_ADMINISTRATOR


def test_a_page_learns_why_its_websocket_was_closed(product: Product, browser: Browser):
    product.office.until(lambda: not product.running("wiki"))
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{product.machine.port('wiki')}/")
    expect(page.locator("#said")).to_contain_text("heard: ")
    product.office.until(lambda: sockets(product))
    with soon():
        for session_id in sockets(product):
            product.office("end_session", session_id=session_id)
        words = f"closed: 1008 {Ending.ENDED_BY_ADMINISTRATOR.sentence}"
        expect(page).to_have_title(words, timeout=HANG * 1000)
    context.close()


def sockets(product: Product) -> set[str]:
    """The sessions of WebSockets that are open."""
    asked = {row["session_id"] for row in product.office("queries", resource="wiki", text="GET /socket")}
    return asked & {row["id"] for row in product.running("wiki")}


def test_a_session_that_is_ended_is_explained_by_sdm_status(product: Product):
    with a_stream(product) as live:
        product.office("end_session", session_id=running(product, "echo"))
        live.end()
    product.office.until(lambda: product.machine.resource("echo")["problem"])
    assert Ending.ENDED_BY_ADMINISTRATOR.sentence in product.machine.run("status").stdout
    usable(product)
    assert not product.machine.resource("echo")["problem"]


@contextmanager
def soon() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON


def running(product: Product, resource: str) -> str:
    """The id of the session that runs, as soon as the console knows of it."""
    product.office.until(lambda: product.running(resource))
    (session,) = product.running(resource)
    return str(session["id"])


def ended(product: Product, resource: str, session_id: str) -> dict[str, object]:
    product.office.until(lambda: session_id not in {row["id"] for row in product.running(resource)})
    rows: list[dict[str, object]] = product.office("sessions", resource=resource)
    return next(row for row in rows if row["id"] == session_id)


def usable(product: Product) -> None:
    """Everything is as before, for the test that comes next."""
    product.office.until(
        lambda: all(product.machine.is_connected(name) for name in ("orders", "wiki", "echo"))
    )
    with a_stream(product):
        pass
    product.office.until(lambda: not product.running("echo"))
