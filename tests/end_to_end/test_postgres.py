"""PostgreSQL as people use it: psql, pg_dump, pgbench and drivers, none of which is told anything but a port."""

import asyncio
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.product import HANG, Product
from tests.end_to_end.psql import Psql
from tests.house.checkout import free_port

pytestmark = pytest.mark.process

ROWS = 50_000


def arguments(product: Product) -> list[str]:
    return ["-h", "127.0.0.1", "-p", str(product.machine.port("orders"))]


def run(*command: str, **how: Any) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False, **how)
    assert done.returncode == 0, done.stderr
    return done


def psql(product: Product, *commands: str, **how: Any) -> str:
    words = [word for command in commands for word in ("-c", command)]
    return run("psql", "-X", "-A", "-t", *arguments(product), "whatever", *words, **how).stdout


# --- psql ---


def test_the_database_and_the_user_are_the_resources_whatever_the_client_names(product: Product):
    said = psql(product, "SELECT current_user, session_user, current_database()")
    assert said == "shop|shop|orders\n"
    other = run(
        "psql", "-XAt", *arguments(product), "-U", "postgres", "template1", "-c", "SELECT current_user"
    )
    assert other.stdout == "shop\n"


def test_psql_describes_what_is_there(product: Product):
    assert "public|orders|table|shop" in psql(product, r"\d")
    assert "id|integer" in psql(product, r"\d orders")


def test_wrong_sql_is_answered_by_the_server(product: Product):
    done = subprocess.run(
        ["psql", "-X", *arguments(product), "orders", "-c", "SELEC 1"],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == 1
    assert 'syntax error at or near "SELEC"' in done.stderr
    assert product.query("orders", "SELEC 1")["error"].startswith("42601")


def test_a_server_that_is_not_there_is_named_by_psql_and_by_the_status(product: Product):
    config = {"database": "orders", "override_database": True, "tls_required": False}
    login = {"username": "shop", "secrets": {"password": "not asked for"}}
    product.offer("gone", "postgres", free_port(), config=config, **login)
    product.office.until(lambda: (product.machine.resource("gone") or {}).get("health_problem"))
    product.connect("gone")
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(f"host=127.0.0.1 port={product.machine.port('gone')} user=me dbname=orders")
    said = product.machine.resource("gone")["health_problem"]
    assert "refused" in said
    assert said in str(refused.value)
    assert f"    At the last check: {said}\n" in product.machine.run("status").stdout
    assert f"gone: at the last check: {said}\n" in product.machine.log()


def test_ctrl_c_cancels_what_the_server_does(product: Product):
    with Psql(arguments(product)) as session:
        session.say("SELECT pg_sleep(602);")
        product.office.until(
            lambda: product.office("queries", resource="orders", text="SELECT pg_sleep(602)")
        )
        began = time.monotonic()
        session.process.send_signal(signal.SIGINT)
        session.hear("canceling statement due to user request")
        assert time.monotonic() - began < 10


def test_a_connection_goes_on_after_a_cancel(product: Product):
    where = f"host=127.0.0.1 port={product.machine.port('orders')} user=me dbname=orders"
    with psycopg.connect(where, autocommit=True) as connection:
        threading.Timer(0.3, connection.cancel).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(601)")
        assert connection.execute("SELECT 'still here'").fetchone() == ("still here",)


def test_megabytes_are_copied_out_and_in_again(product: Product, files: Path):
    out = files / "out"
    psql(product, "DROP TABLE IF EXISTS copied", "CREATE TABLE copied (id int, text text)")
    lines = "SELECT id, repeat('x', 100) FROM generate_series(1, 50000) id"
    psql(product, rf"\copy ({lines}) TO '{out}'")
    assert out.stat().st_size > 5_000_000
    assert psql(product, rf"\copy copied FROM '{out}'") == f"COPY {ROWS}\n"
    assert psql(product, "SELECT count(*), sum(id) FROM copied") == f"{ROWS}|{ROWS * (ROWS + 1) // 2}\n"
    query = product.query("orders", "COPY  copied FROM STDIN")
    assert query["rows"] == ROWS
    assert query["bytes_sent"] > 5_000_000


def test_a_transaction_is_kept_or_undone_as_a_whole(product: Product):
    psql(product, "CREATE TABLE IF NOT EXISTS kept (n int)", "TRUNCATE kept")
    with Psql(arguments(product)) as session:
        session.ask("BEGIN;", "BEGIN")
        session.ask("INSERT INTO kept VALUES (1);", "INSERT 0 1")
        assert psql(product, "SELECT count(*) FROM kept") == "0\n"
        session.ask("ROLLBACK;", "ROLLBACK")
        session.ask("BEGIN; INSERT INTO kept VALUES (2); COMMIT;", "COMMIT")
    assert psql(product, "TABLE kept") == "2\n"


def test_notifications_arrive(product: Product):
    with Psql(arguments(product)) as session:
        session.ask("LISTEN kitchen;", "LISTEN")
        psql(product, "NOTIFY kitchen, 'tea is ready'")
        session.ask("SELECT 1;", 'Asynchronous notification "kitchen" with payload "tea is ready"')


def test_replication_is_refused_in_words(product: Product):
    done = subprocess.run(
        [
            "psql",
            "-X",
            f"host=127.0.0.1 port={product.machine.port('orders')} replication=database",
            "-c",
            "X",
        ],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == 2
    assert "eplication" in done.stderr
    assert "allow" in done.stderr


# --- Other programs ---


def test_pg_dump_writes_what_psql_reads(product: Product):
    dumped = run("pg_dump", *arguments(product), "-t", "orders", "orders").stdout
    assert "CREATE TABLE public.orders" in dumped
    assert dumped.count("\ttea\n") == 1000


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_runs_in_each_mode(product: Product, mode: str):
    words = arguments(product)
    if mode == "simple":
        run("pgbench", "-i", "-q", "-I", "dtg", *words, "orders")
    run_it = ["pgbench", "-n", "-M", mode, "-c", "4", "-j", "1", "-t", "25", *words, "orders"]
    done = run(*run_it)
    assert "number of transactions actually processed: 100/100" in done.stdout
    assert "number of failed transactions: 0" in done.stdout


def test_psycopg_works_unchanged(product: Product):
    where = f"host=127.0.0.1 port={product.machine.port('orders')} user=me dbname=orders"
    with psycopg.connect(where, prepare_threshold=1) as connection:
        for number in range(5):
            row = connection.execute("SELECT %s::int + 1, %s", (number, "a 'quoted' text")).fetchone()
            assert row == (number + 1, "a 'quoted' text")
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int", (number,)) for number in range(50)]
        assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(50)]
        with connection.cursor("named") as cursor:
            cursor.execute("SELECT generate_series(1, 1000)")
            assert sum(row[0] for row in cursor) == 500_500
        with connection.cursor().copy("COPY (SELECT generate_series(1, 10)) TO STDOUT") as copy:
            assert [int(row[0]) for row in copy.rows()] == list(range(1, 11))


def test_asyncpg_works_unchanged(product: Product):
    async def use() -> None:
        port = product.machine.port("orders")
        async with asyncpg.create_pool(
            host="127.0.0.1", port=port, user="me", database="orders", min_size=4, max_size=4
        ) as pool:
            assert await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(40))) == list(
                range(40)
            )
            async with pool.acquire() as one, one.transaction():
                rows = [row["id"] async for row in one.cursor("SELECT id FROM orders ORDER BY id")]
            assert rows == list(range(1, 1001))
            with pytest.raises(asyncpg.UndefinedTableError):
                await pool.execute("TABLE nothing")

    # A thread of its own: a browser's driver may keep an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, use()).result(HANG)


# --- The log ---


def test_each_query_is_in_the_log_with_what_came_of_it(product: Product, console: Page):
    text = "SELECT id, 'a line of the log' FROM orders WHERE id <= 7"
    psql(product, text)
    query = product.query("orders", text)
    assert query["rows"] == 7
    assert query["result"] == "SELECT 7"
    assert not query["error"]
    console.goto("/audit/queries/")
    row = console.get_by_role("row").filter(has_text="a line of the log")
    expect(row).to_contain_text("alice@example.com")
    expect(row).to_contain_text("SELECT 7")
    console.get_by_role("link", name="Sessions").click()
    expect(console.get_by_role("main")).to_contain_text("orders")
