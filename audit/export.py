"""Activities as files: CSV (RFC 4180) for spreadsheets, JSON lines for programs.

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

from audit.models import Activity
from ui.text import visible

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
    write: Callable[[Iterable[Activity]], Iterator[str]]

    def file_name(self, day: dt.date) -> str:
        return f"activities-{day.isoformat()}.{self.extension}"


def fields(activity: Activity) -> dict[str, Any]:
    """One activity as both formats have it, named as in the compatible system where it has the field."""
    return {
        "id": activity.pk,
        "timestamp": activity.created_at.astimezone(dt.UTC).isoformat(timespec="microseconds")[:-6] + "Z",
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


COLUMNS = tuple(fields(Activity(created_at=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))))


def csv_lines(activities: Iterable[Activity]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)

    def written(row: Iterable[Any]) -> str:
        line.seek(0)
        line.truncate()
        writer.writerow(row)
        return line.getvalue()

    yield written(COLUMNS)
    for activity in activities:
        yield written(_cell(value) for value in fields(activity).values())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = visible(value) if isinstance(value, str) else json.dumps(value)
    return f"'{text}" if text.startswith(_CALCULATED) else text


def json_lines(activities: Iterable[Activity]) -> Iterator[str]:
    for activity in activities:
        yield json.dumps(fields(activity)) + "\n"


def in_pieces(lines: Iterator[str]) -> Iterator[bytes]:
    """The lines, many at a time: each piece of a stream costs a system call."""
    while piece := "".join(islice(lines, _PIECE)):
        yield piece.encode()


FORMATS = {
    "csv": Format("CSV", "csv", "text/csv; charset=utf-8", csv_lines),
    "jsonl": Format("JSON lines", "jsonl", "application/x-ndjson", json_lines),
}
