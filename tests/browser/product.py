"""The product as a person starts it, for tests that use it from the outside: `./dev run`, and a browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import TIMEOUT_MS
from tests.house.checkout import run_environment, running
from tests.people import PASSWORD


@dataclass(frozen=True, slots=True)
class Console:
    """A console that was started for the first time: its address, and the one that it printed."""

    url: str
    setup_url: str
    log: Path


@contextmanager
def started(tmp_path: Path) -> Iterator[Console]:
    env, log = run_environment(tmp_path), tmp_path / "log"
    with running(env, log):
        setup = re.search(r"^ +(http://\S+/setup/\S+)$", log.read_text(), re.MULTILINE)
        assert setup, log.read_text()
        yield Console(f"http://{env['CONSOLE_LISTEN']}", setup[1], log)


@contextmanager
def browsing(browser: Browser, console: Console) -> Iterator[BrowserContext]:
    context = browser.new_context(
        base_url=console.url,
        viewport={"width": 1440, "height": 900},
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


def become_the_first_administrator(page: Page, console: Console) -> None:
    page.goto(console.setup_url)
    page.get_by_label("E-mail address").fill("alice@example.com")
    page.get_by_label("Name").fill("Alice")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password, once more").fill(PASSWORD)
    page.get_by_role("button", name="Create administrator").click()
    # You are at Networking, Proxy Clusters.
    expect(page.get_by_role("heading", name="Proxy Clusters", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="No proxy cluster yet")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Networking")
    gone = page.request.get(console.setup_url)
    assert gone.status == 404
