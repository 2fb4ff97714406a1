"""Where events come from, for a thread of its own: each source blocks up to a moment and returns what came."""

import datetime as dt
import time
from typing import Protocol

from django.db import connection
from django.utils import timezone

from events.models import EventRow
from events.publishing import CHANNEL, Event, decode

# How long a source waits before it lets its thread look whether it should end.
MOMENT = 0.25
# A look at SQLite's counter costs some microseconds.
LOOK_EVERY = 0.02
BATCH = 500
KEPT_FOR = dt.timedelta(minutes=10)


class Source(Protocol):
    def wait(self) -> list[Event]: ...

    def close(self) -> None: ...


def connect() -> Source:
    return PostgresSource() if connection.vendor == "postgresql" else SqliteSource()


class PostgresSource:
    """LISTEN, on this thread's connection."""

    def __init__(self) -> None:
        connection.close()  # whatever state it was in
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")

    def wait(self) -> list[Event]:
        # One at least, and what else came with it. Past Django's cursors, a broken connection is psycopg's own error.
        with connection.wrap_database_errors:
            found = list(connection.connection.notifies(timeout=MOMENT, stop_after=1))
        return [decode(notification.payload) for notification in found]

    def close(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("UNLISTEN *")  # it goes back to a pool
        finally:
            connection.close()


class SqliteSource:
    """A table, read when SQLite's counter of other connections' commits has moved.

    There is one writer at a time, so rows become visible in the order of their ids.
    """

    def __init__(self) -> None:
        self._version = self._data_version()
        self._last = EventRow.objects.order_by("-pk").values_list("pk", flat=True).first() or 0

    def wait(self) -> list[Event]:
        deadline = time.monotonic() + MOMENT
        while time.monotonic() < deadline:
            version = self._data_version()
            if version != self._version:
                self._version = version
                if events := self._read():
                    return events
            time.sleep(LOOK_EVERY)
        return []

    def _read(self) -> list[Event]:
        rows = list(EventRow.objects.filter(pk__gt=self._last)[:BATCH])
        if len(rows) == BATCH:
            self._version = -1  # there may be more
        if rows:
            self._last = rows[-1].pk
        return [Event(row.topic, row.payload) for row in rows]

    @staticmethod
    def _data_version() -> int:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            version: int = cursor.fetchone()[0]
        return version

    def close(self) -> None:
        connection.close()


def purge() -> None:
    """Take away what every process has read long since."""
    EventRow.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
