"""What runs goes on when the control plane dies, and comes back when a worker leaves."""

import signal
import time

import psycopg
import pytest

from sdm.contract.endings import Ending
from tests.end_to_end.product import HANG, Product
from tests.end_to_end.psql import Psql
from tests.worker.processes import Worker

pytestmark = pytest.mark.process

# Seconds; with some hundred queries in them.
AWAY, PAUSE = 3.0, 0.005


def where(product: Product) -> str:
    return f"host=127.0.0.1 port={product.machine.port('orders')} user=me dbname=orders"


def test_no_session_ends_and_no_record_is_lost_while_the_control_plane_is_dead(product: Product):
    asked = 0
    # What a driver prepares is a line of the log as well.
    with psycopg.connect(where(product), autocommit=True, prepare_threshold=None) as connection:

        def ask() -> None:
            nonlocal asked
            assert connection.execute("SELECT 'while it is away'").fetchone()
            asked += 1

        ask()
        product.console.kill()
        back = time.monotonic() + AWAY
        while time.monotonic() < back:
            ask()
            time.sleep(PAUSE)
        # Who is let in already is let in again meanwhile.
        with psycopg.connect(where(product), autocommit=True) as another:
            another.execute("SELECT 'while it is away'")
            asked += 1
        product.console.start()
        product.office.until(product.machine.ready)
        ask()
    assert asked > 20

    def stored() -> int:
        return len(product.office("queries", resource="orders", text="SELECT 'while it is away'"))

    product.office.until(lambda: stored() >= asked)
    assert stored() == asked
    product.office.until(lambda: not product.running("orders"))
    endings = {row["ending"] for row in product.office("sessions", resource="orders")[:2]}
    assert endings == {Ending.CLIENT_LEFT}


def test_a_worker_that_leaves_says_so_and_another_one_takes_over(product: Product):
    first, second = product.workers[0], product.new_worker()
    product.workers.append(second)
    with Psql(["-h", "127.0.0.1", "-p", str(product.machine.port("orders"))]) as psql:
        psql.ask("BEGIN; SELECT 'of the ' || 'first';", "of the first")
        product.office.until(lambda: has_sessions(first) != has_sessions(second))
        leaving, staying = (first, second) if has_sessions(first) else (second, first)
        leaving.signal(signal.SIGTERM)
        assert leaving.ends(HANG) == 0
        psql.say("SELECT 1;")
        said = psql.hear("connection to server was lost")
    assert f"FATAL:  {Ending.WORKER_STOPPED.sentence}" in said
    with psycopg.connect(where(product)) as connection:
        assert connection.execute("SELECT 'of the other'").fetchone() == ("of the other",)
        staying.until(lambda: has_sessions(staying))
    product.workers.remove(leaving)


def has_sessions(worker: Worker) -> bool:
    return worker.metric("sdm_worker_sessions") > 0
