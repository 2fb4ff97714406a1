"""What runs goes on when the control plane dies, and comes back when a worker leaves."""

import logging
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from sdm.contract.endings import Ending
from tests.end_to_end.product import HANG, Product
from tests.end_to_end.psql import Psql
from tests.worker.processes import DEEP, MB, Worker, until

pytestmark = pytest.mark.process

log = logging.getLogger(__name__)

# How long it is away, in seconds; how many ask all the while, and after which pause again.
AWAY = 600.0 if DEEP else 5.0
SESSIONS, PAUSE = 4, 1.0 if DEEP else 0.02
# What tries again does so after half a minute at most.
BACK = 90.0
# What a worker's memory may change by, in any time: what it shares with others weighs more when they end.
NOISE = 16 * MB


def where(product: Product) -> str:
    return f"host=127.0.0.1 port={product.machine.port('orders')} user=me dbname=orders"


class Asker:
    """Somebody whose program asks the database something all the time, and never the same."""

    def __init__(self, product: Product, name: str) -> None:
        self._name = name
        self.asked: list[str] = []
        # What a driver prepares is a line of the log as well.
        self._connection = psycopg.connect(where(product), autocommit=True, prepare_threshold=None)
        self.ask()

    def ask(self) -> None:
        text = f"SELECT 'while it is away', '{self._name}', {len(self.asked)}"
        assert self._connection.execute(text.encode()).fetchone()
        self.asked.append(text)

    def ask_until(self, end: float) -> None:
        while time.monotonic() < end:
            self.ask()
            time.sleep(PAUSE)

    def leave(self) -> None:
        self.ask()
        self._connection.close()


def test_no_session_ends_and_no_record_is_lost_or_doubled_while_the_control_plane_is_dead(product: Product):
    (worker,) = product.workers
    askers = [Asker(product, f"asker {number}") for number in range(SESSIONS)]
    product.office.until(lambda: len(product.running("orders")) == SESSIONS)
    sessions = {row["id"] for row in product.running("orders")}
    product.console.kill()
    # Who is let in already is let in again meanwhile.
    late = Asker(product, "who came later")
    with ThreadPoolExecutor(SESSIONS) as threads:
        began, back = worker.resident(), time.monotonic() + AWAY
        asking = [threads.submit(asker.ask_until, back) for asker in askers]
        seen = []
        while time.monotonic() < back:
            seen.append(worker.resident())
            time.sleep(AWAY / 20)
        for each in asking:
            each.result(HANG)
    product.console.start()
    until(product.machine.ready, BACK)
    for asker in (*askers, late):
        asker.leave()
    expected = sorted(text for asker in (*askers, late) for text in asker.asked)
    assert len(expected) > 100

    def stored() -> list[str]:
        rows = product.office("queries", resource="orders", text="SELECT 'while it is away'")
        return sorted(row["text"] for row in rows)

    until(lambda: len(stored()) >= len(expected), BACK)
    assert stored() == expected
    product.office.until(lambda: not product.running("orders"))
    rows = product.office("sessions", resource="orders")[: SESSIONS + 1]
    assert {row["ending"] for row in rows} == {Ending.CLIENT_LEFT}
    assert sessions < {row["id"] for row in rows}
    assert sum(row["requests"] for row in rows) == len(expected)
    sizes = ", ".join(f"{size / MB:.1f}" for size in (began, *seen))
    log.info("%d queries in %.0f s; MiB held: %s", len(expected), AWAY, sizes)
    assert max(seen) - began < NOISE, sizes


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
