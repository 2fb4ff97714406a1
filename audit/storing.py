"""What workers tell of sessions and queries, stored: in any portions, perhaps twice, with the same result.

A worker tells of its own cluster's sessions alone. How many statements it takes does not depend on how many records
come, but for what a database takes at once.
"""

import datetime as dt
import ipaddress
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from audit.models import MAX_BEGINNING, MAX_KIND, MAX_NAME, MAX_WORDS, Query, Session
from sdm.contract import ids
from sdm.contract.endings import Ending
from sdm.contract.parameters import NO_PARAMETERS, Parameters

logger = logging.getLogger(__name__)

_SESSION_ID = re.compile(r"s-[0-9a-f]{16}", re.ASCII)
_LARGEST = 2**63 - 1
# A clock may be as far ahead; what is further would stand on top of every list, and outlive its time.
_AHEAD = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Began:
    """A session has started."""

    session_id: str
    at: dt.datetime
    account_id: str
    account_name: str
    resource_id: str
    resource_name: str
    kind: str
    worker_id: str
    client_address: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request is about to go to the resource."""

    session_id: str
    at: dt.datetime
    number: int
    text: bytes
    text_length: int
    sha256: bytes
    parameters: Parameters = NO_PARAMETERS


@dataclass(frozen=True, slots=True)
class Answered:
    """A request has come to its end."""

    session_id: str
    at: dt.datetime
    number: int
    microseconds: int
    rows: int | None
    bytes_sent: int
    bytes_received: int
    result: str
    error: str
    sha256: bytes = b""


@dataclass(frozen=True, slots=True)
class Ended:
    """A session is over."""

    session_id: str
    at: dt.datetime
    reason: str
    message: str
    requests: int
    bytes_sent: int
    bytes_received: int


Record = Began | Asked | Answered | Ended

_SESSION_FIELDS = ["ended_at", "ending", "ending_words", "requests", "bytes_sent", "bytes_received"]
_ANSWER_FIELDS = ["microseconds", "rows", "bytes_sent", "bytes_received", "result", "error", "sha256"]


def store(*, cluster_id: str, cluster_name: str, records: Sequence[Record]) -> None:
    """What a worker of this cluster delivered, in the order in which it happened."""
    known = [record for record in records if _makes_sense(record)]
    if len(known) < len(records):
        logger.warning("%d records of cluster %s make no sense", len(records) - len(known), cluster_id)
    with transaction.atomic():
        told = {record.session_id for record in known}
        found = {
            session.pk: session
            for session in Session.objects.select_for_update(no_key=True).filter(pk__in=told)
        }
        foreign = {pk for pk, session in found.items() if session.cluster_id != cluster_id}
        if foreign:
            logger.warning("Cluster %s tells of %d sessions of others", cluster_id, len(foreign))
        batch = _Batch(cluster_id, cluster_name, found)
        for record in known:
            if record.session_id not in foreign:
                batch.take(record)
        batch.write()


class _Batch:
    """What a portion of records changes."""

    def __init__(self, cluster_id: str, cluster_name: str, found: dict[str, Session]) -> None:
        self._cluster_id = cluster_id
        self._cluster_name = cluster_name
        self._now = timezone.now()
        self._sessions = found
        self._new: list[Session] = []
        self._changed: dict[str, Session] = {}
        self._asked: dict[str, Query] = {}
        self._answered: dict[str, Answered] = {}

    def take(self, record: Record) -> None:
        session = self._sessions.get(record.session_id) or self._begin(record)
        match record:
            case Asked():
                self._asked.setdefault(_query_id(record), self._query(session, record))
                self._goes_on(session, record)
            case Answered():
                self._answered.setdefault(_query_id(record), record)
            case Ended():
                self._end(session, record)

    def write(self) -> None:
        Session.objects.bulk_create(self._new, ignore_conflicts=True)
        self._write_queries()
        new = {session.pk for session in self._new}
        changed = [session for pk, session in self._changed.items() if pk not in new]
        if changed:
            Session.objects.bulk_update(changed, _SESSION_FIELDS)

    def _begin(self, record: Record) -> Session:
        """Without a beginning, which a worker can lose when it may go on without a log, less is known."""
        session = Session(
            id=record.session_id,
            cluster_id=self._cluster_id,
            cluster_name=self._cluster_name[:MAX_NAME],
            started_at=self._moment(record.at),
        )
        if isinstance(record, Began):
            session.account_id = _words(record.account_id, ids.MAX_LENGTH)
            session.account_name = _words(record.account_name, MAX_NAME)
            session.resource_id = _words(record.resource_id, ids.MAX_LENGTH)
            session.resource_name = _words(record.resource_name, MAX_NAME)
            session.kind = _words(record.kind, MAX_KIND)
            session.worker_id = _words(record.worker_id, ids.MAX_LENGTH)
            session.client_address = _address(record.client_address)
        self._sessions[session.pk] = session
        self._new.append(session)
        return session

    def _goes_on(self, session: Session, record: Asked) -> None:
        """A worker that was given up for lost, and was not, has told more of its sessions."""
        if session.ending == Ending.WORKER_LOST and session.ended_at and record.at > session.ended_at:
            session.ended_at, session.ending, session.ending_words = None, "", ""
            self._changed[session.pk] = session
        if record.number > session.requests:
            session.requests = record.number
            self._changed[session.pk] = session

    def _end(self, session: Session, record: Ended) -> None:
        if session.ended_at is not None and session.ending != Ending.WORKER_LOST:
            return
        session.ended_at = max(self._moment(record.at), session.started_at)
        session.ending = _words(record.reason, 32)
        session.ending_words = _words(record.message, MAX_WORDS)
        session.requests = max(session.requests, _number(record.requests))
        session.bytes_sent = _number(record.bytes_sent)
        session.bytes_received = _number(record.bytes_received)
        self._changed[session.pk] = session

    # --- Queries ---

    def _query(self, session: Session, record: Asked) -> Query:
        text, parameters = readable(record.text), record.parameters
        return Query(
            id=_query_id(record),
            session=session,
            number=record.number,
            account_id=session.account_id,
            resource_id=session.resource_id,
            cluster_id=session.cluster_id,
            kind=session.kind,
            started_at=self._moment(record.at),
            text=text[:MAX_BEGINNING],
            text_rest=text[MAX_BEGINNING:],
            text_length=max(_number(record.text_length), len(record.text)),
            is_cut=record.text_length > len(record.text),
            sha256=record.sha256[:32].hex(),
            parameters=[None if value is None else readable(value) for value in parameters.values] or None,
            parameters_cut=parameters.is_cut,
            parameters_total=_number(parameters.total) or None,
            parameters_last_length=_number(parameters.last_length) or None,
        )

    def _write_queries(self) -> None:
        told = {*self._asked, *self._answered}
        stored = Query.objects.filter(pk__in=told).only("microseconds", "sha256").in_bulk()
        new = {pk: query for pk, query in self._asked.items() if pk not in stored}
        for pk, answer in self._answered.items():
            if pk not in new and pk not in stored:  # the request itself was lost
                new[pk] = self._query(self._sessions[answer.session_id], _unknown(answer))
        ended = []
        for pk, answer in self._answered.items():
            query = new.get(pk) or stored[pk]
            if not query.has_ended:
                _fill_in(query, answer)
                ended.append(query)
        Query.objects.bulk_create(new.values(), ignore_conflicts=True)
        known = [query for query in ended if query.pk in stored]
        if known:
            Query.objects.bulk_update(known, _ANSWER_FIELDS)

    def _moment(self, at: dt.datetime) -> dt.datetime:
        return at if at <= self._now + _AHEAD else self._now


def _makes_sense(record: Record) -> bool:
    if not _SESSION_ID.fullmatch(record.session_id):
        return False
    return not isinstance(record, (Asked, Answered)) or 0 < record.number <= _LARGEST


def _query_id(record: Asked | Answered) -> str:
    return f"{record.session_id}-{record.number}"


def _unknown(answer: Answered) -> Asked:
    return Asked(answer.session_id, answer.at, answer.number, b"", 0, b"")


def _fill_in(query: Query, answer: Answered) -> None:
    query.microseconds = _number(answer.microseconds)
    query.rows = None if answer.rows is None else _number(answer.rows)
    query.bytes_sent = _number(answer.bytes_sent)
    query.bytes_received = _number(answer.bytes_received)
    query.result = _words(answer.result, MAX_WORDS)
    query.error = _words(answer.error, MAX_WORDS)
    query.sha256 = query.sha256 or answer.sha256[:32].hex()


def readable(text: bytes) -> str:
    r"""As text that every database takes: what is not UTF-8 is written out, as in `\xff`, and so is NUL."""
    return text.decode("utf-8", "backslashreplace").replace("\0", r"\x00")


def _words(text: str, length: int) -> str:
    return text.replace("\0", "")[:length]


def _number(value: int) -> int:
    return min(value, _LARGEST)


def _address(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


# --- When nobody tells any more -----------------------------------------------------------------


def sessions_lost(worker_ids: Iterable[str]) -> int:
    """Close what ran on workers that are gone; how many there were. What they tell later is believed instead."""
    workers = list(worker_ids)
    if not workers:
        return 0
    return Session.objects.filter(worker_id__in=workers, ended_at__isnull=True).update(
        ended_at=timezone.now(),
        ending=Ending.WORKER_LOST.value,
        ending_words=Ending.WORKER_LOST.sentence,
    )


def sessions_found(*, cluster_id: str, session_ids: Iterable[str]) -> int:
    """They run after all: their worker, which was given up for lost, has just said so."""
    sessions = Session.objects.filter(pk__in=list(session_ids), cluster_id=cluster_id)
    lost = sessions.filter(ending=Ending.WORKER_LOST.value)
    return lost.update(ended_at=None, ending="", ending_words="")


def purge(*, before: dt.datetime, rows: int = 2_000) -> int:
    """Remove what is older, the oldest first, `rows` of each kind at most; how many were removed."""
    old = Query.objects.filter(started_at__lt=before).order_by("started_at", "id").values("pk")
    removed, _ = Query.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:rows])).delete()
    over = Session.objects.filter(ended_at__lt=before, queries__isnull=True).order_by("ended_at")
    gone, _ = Session.objects.filter(pk__in=list(over.values_list("pk", flat=True)[:rows])).delete()
    return removed + gone
