"""What is in the log as files: CSV (RFC 4180) for spreadsheets, JSON lines for programs.

Both are in UTF-8 with times in UTC. In CSV a text that a spreadsheet would calculate, because it starts with
`=`, `+`, `-` or `@`, gets an apostrophe before it, and what cannot be seen is written out as in `\\x1b`. JSON
lines hold every text as it was recorded, escaped to plain ASCII.
"""

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from audit.models import Activity, Query, Session
from ui.text import visible

Fields = dict[str, Any]

# Lines in one piece of the stream.
_PIECE = 500
# The first four are calculated by all spreadsheets, their wide forms by some. Tab and carriage return, which
# some skip at the start, are written out before this is asked.
_CALCULATED = tuple("=+-@＝＋－＠")


@dataclass(frozen=True, slots=True)
class Format:
    label: str
    extension: str
    content_type: str
    write: Callable[[tuple[str, ...], Iterable[Fields]], Iterator[str]]

    def file_name(self, what: str, day: dt.date) -> str:
        return f"{what}-{day.isoformat()}.{self.extension}"


# Each as both formats have it, named as in the compatible system where it has the field.


def activity_fields(activity: Activity) -> Fields:
    return {
        "id": activity.pk,
        "timestamp": _moment(activity.created_at),
        "ip_address": activity.source_address or "",
        "actor_id": activity.actor_id or "",
        "actor_name": activity.actor_name,
        "verb": activity.verb,
        "description": str(activity),
        "outcome": activity.outcome,
        "entity_type": activity.entity_type,
        "entity_id": activity.entity_id,
        "entity_name": activity.entity_name,
        "user_agent": activity.user_agent,
        "before": activity.before,
        "after": activity.after,
    }


def session_fields(session: Session) -> Fields:
    return {
        "id": session.pk,
        "timestamp": _moment(session.started_at),
        "completed_at": _moment(session.ended_at),
        "account_id": session.account_id,
        "account_name": session.account_name,
        "resource_id": session.resource_id,
        "resource_name": session.resource_name,
        "resource_type": session.kind,
        "cluster_id": session.cluster_id,
        "cluster_name": session.cluster_name,
        "egress_node_id": session.worker_id,
        "client_ip": session.client_address or "",
        "ending": session.ending,
        "ending_message": session.ending_words,
        "requests": session.requests,
        "bytes_sent": session.bytes_sent,
        "bytes_received": session.bytes_received,
        "end_requested_at": _moment(session.end_requested_at),
        "end_requested_by": session.end_requested_by,
    }


def query_fields(query: Query) -> Fields:
    session = query.session
    return {
        "id": query.pk,
        "timestamp": _moment(query.started_at),
        "account_id": query.account_id,
        "account_name": session.account_name,
        "resource_id": query.resource_id,
        "resource_name": session.resource_name,
        "resource_type": query.kind,
        "cluster_id": query.cluster_id,
        "cluster_name": session.cluster_name,
        "egress_node_id": session.worker_id,
        "client_ip": session.client_address or "",
        "session_id": session.pk,
        "query_body": query.text + query.text_rest,
        "query_cut": query.is_cut,
        "query_length": query.text_length,
        "query_hash": query.sha256,
        "parameters": query.parameters,
        "parameters_cut": query.parameters_cut,
        "parameters_total": query.parameters_total,
        "parameters_last_length": query.parameters_last_length,
        "duration_ms": None if query.microseconds is None else query.microseconds / 1_000,
        "record_count": query.rows,
        "bytes_sent": query.bytes_sent,
        "bytes_received": query.bytes_received,
        "result": query.result,
        "error": query.error,
    }


def _moment(moment: dt.datetime | None) -> str:
    return "" if moment is None else moment.astimezone(dt.UTC).isoformat(timespec="microseconds")[:-6] + "Z"


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
ACTIVITY_COLUMNS = tuple(activity_fields(Activity(created_at=_EPOCH)))
SESSION_COLUMNS = tuple(session_fields(Session(started_at=_EPOCH)))
QUERY_COLUMNS = tuple(query_fields(Query(started_at=_EPOCH, session=Session())))


def csv_lines(columns: tuple[str, ...], rows: Iterable[Fields]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)

    def written(row: Iterable[Any]) -> str:
        line.seek(0)
        line.truncate()
        writer.writerow(row)
        return line.getvalue()

    yield written(columns)
    for row in rows:
        yield written(_cell(value) for value in row.values())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = visible(value) if isinstance(value, str) else json.dumps(value)
    return f"'{text}" if text.startswith(_CALCULATED) else text


def json_lines(columns: tuple[str, ...], rows: Iterable[Fields]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row) + "\n"


def in_pieces(lines: Iterator[str]) -> Iterator[bytes]:
    """The lines, many at a time: each piece of a stream costs a system call."""
    while piece := "".join(islice(lines, _PIECE)):
        yield piece.encode()


FORMATS = {
    "csv": Format("CSV", "csv", "text/csv; charset=utf-8", csv_lines),
    "jsonl": Format("JSON lines", "jsonl", "application/x-ndjson", json_lines),
}
