"""A PostgreSQL server with a certificate of its company's own authority, which the resource names."""

import asyncio
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
from playwright.sync_api import Page, expect

from sdm.pki.names import Kind
from tests.end_to_end.product import HANG, Product
from tests.servers import postgres
from tests.worker.control_plane import Authority, pem

pytestmark = pytest.mark.process

PASSWORD = "ledger's own, which nobody sees"
IN_TLS = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
# Resources that lead to the same server, with what is wrong with them.
WRONG = {
    "ledger-of-another-authority": "put its authority's certificate into the resource's field CA certificate",
    "ledger-by-another-name": "certificate is not valid for 'localhost'. Use a host name that the certificate is for",
}


# Of the package: tests in a browser come last, with others in between.
@pytest.fixture(scope="package", autouse=True)
def ledger(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    own, other = Authority(Kind.WORKER), Authority(Kind.WORKER)
    files = own.host(tmp_path_factory.mktemp("certificate"))
    with postgres.server(
        rules=["hostnossl all ledger all reject", "hostssl all ledger all password"], certificate=files
    ) as url:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(
                f"CREATE ROLE ledger LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'".encode()
            )
        port = urlsplit(url).port or 0
        offer(product, "ledger", port, own)
        offer(product, "ledger-of-another-authority", port, other)
        offer(product, "ledger-by-another-name", port, own, hostname="localhost")
        product.office.until(lambda: all(product.machine.resource(name) for name in ("ledger", *WRONG)))
        product.connect("ledger", *WRONG)
        yield


def offer(product: Product, name: str, port: int, authority: Authority, **more: object) -> None:
    config = {
        "database": "postgres",
        "override_database": True,
        "tls_required": True,
        "certificate_authority": pem(authority.certificate).decode(),
    }
    login = {"username": "ledger", "secrets": {"password": PASSWORD}}
    product.offer(name, "postgres", port, config=config, **login, **more)


def psql(product: Product, resource: str, text: str) -> "subprocess.CompletedProcess[str]":
    where = ["-h", "127.0.0.1", "-p", str(product.machine.port(resource))]
    return subprocess.run(
        ["psql", "-X", "-A", "-t", *where, "-c", text, "postgres"],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )


def test_psql_arrives_in_tls(product: Product):
    done = psql(product, "ledger", IN_TLS)
    assert (done.stdout, done.stderr) == ("t\n", "")


def test_asyncpg_arrives_in_tls(product: Product):
    async def use() -> None:
        port = product.machine.port("ledger")
        connection = await asyncpg.connect(host="127.0.0.1", port=port, user="me", database="postgres")
        try:
            assert await connection.fetchval(IN_TLS) is True
            assert await connection.fetch("SELECT $1::int AS n", 7) == [(7,)]
        finally:
            await connection.close()

    # A thread of its own: a browser's driver may keep an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, use()).result(HANG)


@pytest.mark.parametrize("resource", WRONG)
def test_who_is_not_the_server_hears_no_password_and_psql_says_why(product: Product, resource: str):
    done = psql(product, resource, "SELECT 1")
    assert done.returncode
    assert "FATAL:  The certificate that" in done.stderr
    assert WRONG[resource] in done.stderr
    product.office.until(lambda: product.office("sessions", resource=resource))
    product.office.until(lambda: not product.running(resource))
    assert WRONG[resource] in product.office("sessions", resource=resource)[0]["ending_words"]


def test_the_console_says_what_is_wrong(product: Product, console: Page):
    product.office.until(lambda: product.office("health", resource="ledger"))
    product.office.until(lambda: all(product.office("health", resource=name) is False for name in WRONG))
    for name, words in WRONG.items():
        console.goto("/resources/")
        console.get_by_role("link", name=name, exact=True).click()
        expect(console.get_by_role("main")).to_contain_text(words)
