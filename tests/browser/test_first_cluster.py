"""What README.md promises for a first cluster of one's own, step by step, with the product started as it says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.product import Console, become_the_first_administrator, browsing, started

pytestmark = pytest.mark.process


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with started(tmp_path) as console:
        yield console


@pytest.fixture
def context(browser: Browser, console: Console) -> Iterator[BrowserContext]:
    with browsing(browser, console) as context:
        yield context


def test_from_the_set_up_address_to_a_cluster_found_by_its_tag(page: Page, console: Console):
    become_the_first_administrator(page, console)
    add_a_cluster(page)
    secret = add_a_key(page)
    add_a_resource(page)
    find_it_by_its_tag(page)
    log = console.log.read_text()
    assert secret not in log
    assert "Traceback" not in log


def add_a_cluster(page: Page) -> None:
    page.get_by_role("link", name="Add proxy cluster").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_have_value(re.compile(r"[a-z]+-[a-z]+"))
    dialog.get_by_label("Name").fill("keen-coffee")
    dialog.get_by_label("Advertised Address").fill("10.0.0.21:443")
    tags = dialog.get_by_role("group", name="Tags")
    tags.get_by_label("Tag key").first.fill("Environment")
    tags.get_by_label("Tag value").first.fill("sandbox")
    dialog.get_by_role("button", name="Create proxy cluster").click()
    expect(page.get_by_role("link", name="Keys")).to_have_attribute("aria-current", "page")


def add_a_key(page: Page) -> str:
    page.get_by_role("button", name="Add authentication key").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Start a worker")).to_be_visible()
    expect(dialog).to_contain_text("Waiting for a worker …")
    dialog.get_by_role("button", name="Copy the access key").click()
    dialog.get_by_role("button", name="Copy the secret key").click()
    secret: str = page.evaluate("navigator.clipboard.readText()")
    assert secret.startswith("sdmpck_")
    dialog.get_by_role("link", name="Done").click()
    expect(page.get_by_role("table", name="Authentication keys")).to_contain_text("gk-")
    assert secret not in page.content()
    return secret


def add_a_resource(page: Page) -> None:
    page.get_by_role("link", name=re.compile("^Resources")).click()
    page.get_by_role("link", name="Add resource").click()
    page.get_by_role("link", name="PostgreSQL").click()
    expect(page.get_by_role("combobox", name="Proxy Cluster")).to_have_value("keen-coffee")
    page.get_by_label("Name", exact=True).fill("orders")
    page.get_by_label("Host", exact=True).fill("db.internal")
    page.get_by_label("Username").fill("app")
    page.get_by_label("Password").fill("hunter2-hunter2")
    page.get_by_label("Database", exact=True).fill("orders")
    page.get_by_role("button", name="Add resource").click()
    expect(page.get_by_role("heading", name="orders")).to_be_visible()
    expect(page.get_by_role("region", name="Reachability")).to_contain_text("No worker has joined yet.")
    assert "hunter2" not in page.content()


def find_it_by_its_tag(page: Page) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Proxy Clusters").click()
    search = page.get_by_role("combobox", name="Search proxy clusters")
    search.fill("tags:Environment=sandbox")
    search.press("Enter")
    expect(page).to_have_url(re.compile("q=tags%3AEnvironment%3Dsandbox"))
    expect(page.get_by_role("row", name=re.compile("keen-coffee"))).to_be_visible()
    search.fill("tags:Environment=production")
    search.press("Enter")
    expect(page.get_by_role("link", name="keen-coffee")).to_be_hidden()
