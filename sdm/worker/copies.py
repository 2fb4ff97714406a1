"""The second copy of the request log as lines, in the formats of the compatible system.

For each request one `start` and, when it has ended, one `complete`; a session without requests has one of each itself.
A line is a line: what cannot be seen in a text is written out.
"""

import csv
import datetime as dt
import io
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sdm.contract.records import decoded, digest_of
from sdm.contract.v1 import records_pb2 as pb
from sdm.worker.destination import CopyFormat
from sdm.worker.logs import escaped

# Of how many sessions is remembered whose they are; of the rest the lines have ids alone.
_MAX_SESSIONS = 100_000


@dataclass(slots=True)
class _Session:
    started: pb.SessionStarted
    at: dt.datetime
    requests: int = 0


class Copies:
    def __init__(self, copy_format: CopyFormat) -> None:
        self._write = _json if copy_format is CopyFormat.JSON else _csv
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def lines(self, records: Sequence[bytes]) -> Iterator[str]:
        """Without the line's end."""
        for record in decoded(records):
            for line in self._of(record):
                yield self._write(line)

    def _of(self, record: pb.Record) -> Iterator[dict[str, Any]]:
        at = record.at.ToDatetime(dt.UTC)
        match record.WhichOneof("record"):
            case "session_started":
                self._remember(record.session_id, _Session(record.session_started, at))
            case "request_started":
                request = record.request_started
                session = self._session(record.session_id, at)
                session.requests += 1
                text = request.text.decode("utf-8", "backslashreplace")
                uuid = f"{record.session_id}-{request.number}"
                yield _start(at, uuid, session.started, text, digest_of(request).hex())
            case "request_completed":
                done = record.request_completed
                uuid = f"{record.session_id}-{done.number}"
                yield _complete(at, uuid, done.microseconds / 1_000, done.rows)
            case "session_ended":
                session = self._session(record.session_id, at)
                self._sessions.pop(record.session_id, None)
                if not session.requests and not record.session_ended.requests:
                    yield _start(session.at, record.session_id, session.started, "", "")
                    yield _complete(at, record.session_id, (at - session.at).total_seconds() * 1_000, 0)

    def _session(self, session_id: str, at: dt.datetime) -> _Session:
        return self._sessions.get(session_id) or _Session(pb.SessionStarted(), at)

    def _remember(self, session_id: str, session: _Session) -> None:
        self._sessions[session_id] = session
        if len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)


def _start(at: dt.datetime, uuid: str, session: pb.SessionStarted, query: str, digest: str) -> dict[str, Any]:
    return {
        "timestamp": _moment(at),
        "type": "start",
        "uuid": uuid,
        "datasourceId": session.resource_id,
        "datasourceName": session.resource_name,
        "userId": session.account_id,
        "userName": session.account_name,
        "query": query,
        "hash": digest,
        "sourceIp": session.client_address,
    }


def _complete(at: dt.datetime, uuid: str, milliseconds: float, rows: int) -> dict[str, Any]:
    return {
        "timestamp": _moment(at),
        "type": "complete",
        "uuid": uuid,
        "duration": round(milliseconds, 3),
        "records": rows,
    }


def _moment(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.%f +0000 UTC")


def _json(line: dict[str, Any]) -> str:
    return json.dumps(line)


def _csv(line: dict[str, Any]) -> str:
    text = io.StringIO()
    # Of the compatible system's columns this is none.
    values = [value for name, value in line.items() if name != "sourceIp"]
    csv.writer(text, lineterminator="").writerow(
        escaped(value) if isinstance(value, str) else value for value in values
    )
    return text.getvalue()
