"""Sending. The event leaves with the transaction: before the commit nobody hears it, after a rollback nobody."""

import json
from dataclasses import dataclass, field

from django.db import connection

from events.models import EventRow

CHANNEL = "console_events"
# PostgreSQL carries up to 8,000 bytes. Ours name things, they do not contain them.
MAX_BYTES = 2_000
# The topic of what a subscription says when events may have passed it by.
MISSED = "missed"

Payload = dict[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    topic: str
    payload: Payload = field(default_factory=dict)


def publish(topic: str, payload: Payload | None = None) -> None:
    message = json.dumps([topic, payload or {}])
    if len(message) > MAX_BYTES:
        raise ValueError(f"an event has at most {MAX_BYTES} bytes: say where something changed, not what")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, message])
    else:
        EventRow.objects.create(topic=topic, payload=payload or {})


def decode(message: str) -> Event:
    topic, payload = json.loads(message)
    return Event(topic, payload)
