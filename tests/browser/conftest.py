"""A real Chromium against a live server: a page for each test, and what makes such a test fail."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page
from pytest_django.live_server_helper import LiveServer

from accounts.models import Account
from tests.conftest import sign_in

TIMEOUT_MS = 10_000
# What a browser says of each form that comes back with errors, or too late (see ui.responses).
FORM_REFUSED = re.compile(r"status of (409|422) ")


@dataclass(frozen=True, slots=True)
class Look:
    """How a page is seen. A test for several: `@pytest.mark.parametrize("look", LOOKS, ids=str)`."""

    width: int = 1440
    theme: Literal["light", "dark"] = "light"
    scripts: bool = True

    def __str__(self) -> str:
        return f"{self.width}-{self.theme}{'' if self.scripts else '-no-scripts'}"


LOOKS = (Look(1440, "light"), Look(1440, "dark"), Look(390, "light"), Look(390, "dark"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture
def look() -> Look:
    return Look()


@pytest.fixture
def context(
    browser: Browser, live_server: LiveServer, transactional_db: None, look: Look
) -> Iterator[BrowserContext]:
    """Closed before the database is emptied, so that no request of a page comes after that."""
    context = browser.new_context(
        base_url=live_server.url,
        viewport={"width": look.width, "height": 900},
        color_scheme=look.theme,
        java_script_enabled=look.scripts,
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that must stay quiet: an error in its console, a script that failed or a request that the
    policy forbids fails the test, unless it is marked `console_errors`."""
    page = context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if FORM_REFUSED.search(message.text):
            return
        if message.type == "error" or "Content Security Policy" in message.text:
            complaints.append(f"{message.text} ({message.location['url']})")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    if request.node.get_closest_marker("console_errors") is None:
        assert not complaints, "the browser complained"


@pytest.fixture
def signed_in_page(context: BrowserContext, page: Page, live_server: LiveServer) -> Callable[[Account], Page]:
    """`signed_in_page(alice)`: the page, for somebody who has signed in a moment ago."""

    def signed_in(account: Account) -> Page:
        cookie = sign_in(account).cookies[settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
        return page

    return signed_in


@pytest.fixture
def axe() -> Callable[[Page], None]:
    """`axe(page)`: no violation of the accessibility rules on this page as it stands."""

    def check(page: Page) -> None:
        _wait_for_transitions(page)
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()

    return check


def _wait_for_transitions(page: Page) -> None:
    """Colours half-way between two states have the contrast of neither."""
    deadline = time.monotonic() + 2
    while page.evaluate("document.getAnimations().some(a => a.playState === 'running')"):
        if time.monotonic() > deadline:
            break
        page.wait_for_timeout(50)
