"""Sessions and queries as workers tell of them."""

import datetime as dt
import itertools
from typing import Any

from django.utils import timezone

from audit.models import Query, Session
from audit.storing import Answered, Asked, Began, Ended, Record, store

_numbers = itertools.count(1)
CLUSTER = "n-00000000000000c1"


def new_session_id() -> str:
    return f"s-{next(_numbers):016x}"


def began(session_id: str = "", **changes: Any) -> Began:
    values: dict[str, Any] = {
        "session_id": session_id or new_session_id(),
        "at": timezone.now(),
        "account_id": "a-00000000000000a1",
        "account_name": "charlie@example.com",
        "resource_id": "rs-0000000000000001",
        "resource_name": "orders-db",
        "kind": "postgres",
        "worker_id": "w-0000000000000001",
        "client_address": "192.0.2.7",
    }
    return Began(**values | changes)


def asked(session_id: str, number: int = 1, text: bytes = b"SELECT 1", **changes: Any) -> Asked:
    values: dict[str, Any] = {
        "session_id": session_id,
        "at": timezone.now(),
        "number": number,
        "text": text,
        "text_length": len(text),
        "sha256": b"\x01" * 32,
    }
    return Asked(**values | changes)


def answered(session_id: str, number: int = 1, **changes: Any) -> Answered:
    values: dict[str, Any] = {
        "session_id": session_id,
        "at": timezone.now(),
        "number": number,
        "microseconds": 1_500,
        "rows": 1,
        "bytes_sent": 20,
        "bytes_received": 70,
        "result": "SELECT 1",
        "error": "",
    }
    return Answered(**values | changes)


def ended(session_id: str, reason: str = "client-left", **changes: Any) -> Ended:
    values: dict[str, Any] = {
        "session_id": session_id,
        "reason": reason,
        "at": timezone.now(),
        "message": "The client closed the connection.",
        "requests": 1,
        "bytes_sent": 20,
        "bytes_received": 70,
    }
    return Ended(**values | changes)


def tell(*records: Record, cluster_id: str = CLUSTER, cluster_name: str = "keen-coffee") -> None:
    store(cluster_id=cluster_id, cluster_name=cluster_name, records=records)


def make_session(*texts: bytes, cluster_id: str = CLUSTER, ending: str = "", **changes: Any) -> Session:
    """A session with these queries, all answered; it runs, unless `ending` says how it ended."""
    first = began(**changes)
    records: list[Record] = [first]
    for number, text in enumerate(texts, 1):
        at = first.at + dt.timedelta(milliseconds=number)
        records += [asked(first.session_id, number, text, at=at), answered(first.session_id, number)]
    if ending:
        records.append(ended(first.session_id, ending))
    tell(*records, cluster_id=cluster_id)
    return Session.objects.get(pk=first.session_id)


def make_query(text: bytes = b"SELECT 1", **changes: Any) -> Query:
    return make_session(text, **changes).queries.get()
