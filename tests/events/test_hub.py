"""What is published in one transaction is heard by who subscribed, in order, and no sooner than it is true."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection, transaction

from events import hub, sources
from events.hub import Hub
from events.models import EventRow
from events.publishing import MISSED, Event, publish

pytestmark = pytest.mark.django_db(transaction=True)


def elsewhere(work: Callable[[], None]) -> None:
    """As another process would do it: with a connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def heard(work: Callable[[], None], *topics: str, count: int = 1) -> list[Event]:
    async def listen() -> list[Event]:
        async with Hub() as here, asyncio.timeout(10), here.subscribe(*topics) as subscription:
            await asyncio.to_thread(elsewhere, work)
            return [await anext(subscription) for _ in range(count)]

    return asyncio.run(listen())


def test_what_is_published_is_heard_in_order_by_those_it_concerns():
    def work() -> None:
        publish("a", {"number": "1"})
        publish("other")
        publish("b", {"text": "ünï\n'\""})

    assert heard(work, "a", "b", count=2) == [Event("a", {"number": "1"}), Event("b", {"text": "ünï\n'\""})]


def test_an_event_leaves_with_its_transaction_and_not_at_all_when_that_is_rolled_back():
    def work() -> None:
        with pytest.raises(RuntimeError), transaction.atomic():
            publish("a", {"number": "never"})
            raise RuntimeError
        with transaction.atomic():
            publish("a", {"number": "later"})

    assert heard(work, "a") == [Event("a", {"number": "later"})]


def test_more_than_a_batch_arrives_whole():
    def work() -> None:
        with transaction.atomic():
            for number in range(40):
                publish("a", {"number": str(number)})

    assert [event.payload["number"] for event in heard(work, "a", count=40)] == [str(n) for n in range(40)]


def test_who_does_not_read_is_told_that_something_passed_by():
    subscription = hub.Subscription(["a"])

    async def read() -> list[Event]:
        for _ in range(hub.QUEUE + 1):
            subscription.put(Event("a"))
        subscription.put(Event("a", {"number": "last"}))
        return [await anext(subscription), await anext(subscription)]

    assert asyncio.run(read()) == [Event(MISSED), Event("a", {"number": "last"})]


def test_after_the_database_was_away_everybody_looks_again(monkeypatch, caplog):
    monkeypatch.setattr(hub, "RECONNECT_AFTER", 0.05)
    broken = threading.Event()
    wait = type(sources.connect()).wait

    def fails_once(self: sources.Source) -> list[Event]:
        if broken.is_set():
            broken.clear()
            raise DatabaseError("gone")
        return wait(self)

    monkeypatch.setattr(sources.PostgresSource, "wait", fails_once)
    monkeypatch.setattr(sources.SqliteSource, "wait", fails_once)
    assert heard(broken.set, "a") == [Event(MISSED)]
    assert "Events cannot be heard" in caplog.text


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only on PostgreSQL")
def test_a_connection_that_the_server_ends_is_made_anew(monkeypatch):
    monkeypatch.setattr(hub, "RECONNECT_AFTER", 0.05)

    def work() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %%' "
                "AND datname = current_database()"
            )

    assert heard(work, "a") == [Event(MISSED)]


def test_an_event_is_no_place_for_contents():
    with pytest.raises(ValueError, match="not what"):
        publish("a", {"text": "x" * 3_000})


def test_a_subscription_that_ended_keeps_nothing():
    async def listen() -> dict[str, set[hub.Subscription]]:
        async with Hub() as here:
            async with here.subscribe("a", "b"):
                pass
            return here._by_topic

    assert asyncio.run(listen()) == {}


def test_old_rows_are_purged(monkeypatch):
    EventRow.objects.create(topic="old", payload={}, created_at="2026-01-01T00:00:00Z")
    EventRow.objects.create(topic="new", payload={})
    sources.purge()
    assert [row.topic for row in EventRow.objects.all()] == ["new"]
