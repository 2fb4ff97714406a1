"""The product once for all tests of this folder, with Alice logged in, and something of each kind to reach."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from playwright.sync_api import Browser, Page
from psycopg import sql

from tests.browser.conftest import TIMEOUT_MS
from tests.end_to_end.cast import ADA
from tests.end_to_end.product import Product
from tests.end_to_end.programs import Website
from tests.end_to_end.sites import backend, fill, password_file
from tests.house.checkout import free_port
from tests.people import PASSWORD
from tests.servers import postgres
from tests.worker import echo

SHOP_PASSWORD = "shop's own, which nobody sees"
WIKI_PASSWORD = "wiki's own, which nobody sees"


@pytest.fixture(scope="package")
def database() -> Iterator[str]:
    """A server with a database of orders, and a role that is not its owner's."""
    with postgres.server() as url:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(sql.SQL("CREATE ROLE shop LOGIN PASSWORD {}").format(SHOP_PASSWORD))
            server.execute("CREATE DATABASE orders OWNER shop")
        with psycopg.connect(url, dbname="orders") as orders:
            orders.execute("SET ROLE shop")
            orders.execute(
                "CREATE TABLE orders AS SELECT id, 'tea' AS item FROM generate_series(1, 1000) AS id"
            )
        yield url


@pytest.fixture(scope="package")
def website(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Website]:
    directory = tmp_path_factory.mktemp("site")
    fill(directory / "pages")
    with backend() as port:
        site = Website(directory, socket_port=port, password_file=password_file("wiki", WIKI_PASSWORD))
        yield site
        site.end()


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory, database: str, website: Website) -> Iterator[Product]:
    product = Product(tmp_path_factory.mktemp("product"))
    try:
        with echo.server() as echoing:
            offer_all(product, urlsplit(database).port or 0, website.port, echoing)
            product.login()
            product.machine.listen()
            product.machine.run("connect", "--all")
            yield product
            product.machine.run("logout")
    finally:
        product.end()
    assert not list(product.faults())


def offer_all(product: Product, database: int, website: int, echoing: int) -> None:
    orders = {"database": "orders", "override_database": True, "tls_required": False, "log_parameters": True}
    signed_in = {"username": "shop", "secrets": {"password": SHOP_PASSWORD}}
    product.offer("orders", "postgres", database, config=orders, **signed_in)
    # The role does not open it.
    product.offer("archive", "postgres", database, config=orders, tagged=False, **signed_in)
    url = {"url": f"http://127.0.0.1:{website}"}
    product.offer("wiki", "httpNoAuth", website, config=url)
    basic = {"username": "wiki", "secrets": {"password": WIKI_PASSWORD}}
    product.offer("private-wiki", "httpBasicAuth", website, config=url, **basic)
    product.offer("echo", "rawTCP", echoing)
    product.offer("nobody", "rawTCP", free_port())


@pytest.fixture(scope="package")
def console(browser: Browser, product: Product) -> Iterator[Page]:
    """The console, in the browser of somebody who has signed in as an administrator."""
    context = browser.new_context(base_url=product.console.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("E-mail").fill(ADA)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(re.compile(r"/clusters|/$"))
    yield page
    context.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path
