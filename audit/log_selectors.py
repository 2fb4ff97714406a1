"""Reading sessions and queries. There can be millions, so every question is answered from an index or bounded.

Text is looked for in the beginning of each query, in a bounded number of queries at a time, newest first: no database
has an index for it that would not cost more than all the rest of storing a query. Whole texts are found by their hash.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, Model, Q, QuerySet, TextField
from django.db.models.lookups import Exact
from django.db.models.sql.compiler import SQLCompiler

from audit.models import Query, Session
from audit.selectors import WithoutIndex
from search.grammar import Pattern
from search.lookups import Wildcard, can_be_stored
from ui.pagination import in_chunks

M = TypeVar("M", bound=Model)

# So many queries are searched for a text at a time: what takes some 50 ms.
SEARCHED = 20_000
# Ids that had one name.
_MAX_SAME_NAME = 10
# Rows in memory while they are exported: a query can have 64 kB.
_CHUNK = 500


class AsciiLower(Func):
    """The letters A to Z in lower case, on every database alike."""

    function = "LOWER"
    output_field = TextField()

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template='LOWER(%(expressions)s COLLATE "C")', **context)


@dataclass(frozen=True, slots=True)
class LogFilters:
    """What sessions or queries are narrowed to. Empty fields narrow nothing."""

    account: Any = None
    # An id, or the full name at the time.
    resource: str = ""
    cluster: str = ""
    kind: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    # Of sessions.
    running: bool | None = None
    # Of queries, or of those that ran in a session: a part of their text. Of queries: the hash of all of it.
    text: str = ""
    sha256: str = ""

    def in_words(self) -> dict[str, str]:
        """The filters that are set, as an activity keeps them."""
        values = {
            "person": self.account and self.account.email,
            "resource": self.resource,
            "cluster": self.cluster,
            "kind": self.kind,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "running": "" if self.running is None else str(self.running),
            "text": self.text,
            "hash": self.sha256,
        }
        return {name: value for name, value in values.items() if value}


def sessions(filters: LogFilters) -> QuerySet[Session]:
    """All but `text`, which `searched_sessions` looks for."""
    return _running(_matching(Session.objects.all(), filters), filters)


def _running(rows: QuerySet[Session], filters: LogFilters) -> QuerySet[Session]:
    return rows if filters.running is None else rows.filter(ended_at__isnull=filters.running)


def queries(filters: LogFilters) -> QuerySet[Query]:
    """All but `text`, which `Searched` looks for."""
    return _matching(Query.objects.select_related("session"), filters)


def _matching(rows: QuerySet[M], filters: LogFilters) -> QuerySet[M]:
    """What `filters` leave, found by the index of the narrowest of them and the time; SQLite has to be told which."""
    if filters.since:
        rows = rows.filter(started_at__gte=filters.since)
    if filters.until:
        rows = rows.filter(started_at__lt=filters.until)
    narrowest_first = [
        ("sha256", [filters.sha256] if filters.sha256 else None),
        ("resource_id", _ids("resource", filters.resource)),
        ("account_id", [filters.account.pk] if filters.account else None),
        ("cluster_id", _ids("cluster", filters.cluster)),
        ("kind", [filters.kind] if filters.kind else None),
    ]
    wanted = [(column, values) for column, values in narrowest_first if values is not None]
    for place, (column, values) in enumerate(wanted):
        if len(values) == 1:
            rows = rows.filter(Exact(WithoutIndex(column) if place else F(column), values[0]))
        else:
            rows = rows.filter(**{f"{column}__in": values})
    return rows


def _ids(what: str, text: str) -> list[str] | None:
    """The ids that are meant by an id, or by a name that sessions had."""
    if not text:
        return None
    found: list[str] = []
    ids = (
        Session.objects.filter(**{f"{what}_name": text})
        .order_by(f"{what}_id")
        .values_list(f"{what}_id", flat=True)
    )
    # One after the other, each from the index: DISTINCT would read all sessions that had the name.
    while len(found) < _MAX_SAME_NAME and (
        one := ids.filter(**{f"{what}_id__gt": found[-1] if found else ""}).first()
    ):
        found.append(one)
    return found or [text]


@dataclass(frozen=True, slots=True)
class Searched(Generic[M]):
    """The queries that hold a text, among the newest that the other filters leave; or the sessions they are of."""

    rows: QuerySet[M]
    # Older ones were not searched; None when all were.
    until: dt.datetime | None

    @staticmethod
    def among(rows: QuerySet[Query], text: str) -> "Searched[Query]":
        ahead = rows.order_by("-started_at", "-pk").values_list("started_at", flat=True)
        edge = next(iter(ahead[SEARCHED : SEARCHED + 1]), None)
        if edge is not None:
            rows = rows.filter(started_at__gte=edge)
        return Searched(rows.filter(containing(text)), edge)


def searched_sessions(filters: LogFilters) -> Searched[Session]:
    """In which a query with the text ran; the times are then the query's. All but whether it runs, a query knows of
    its session: narrowed once, there."""
    found = Searched.among(queries(filters).select_related(None), filters.text)
    rows = Session.objects.filter(pk__in=found.rows.order_by().values("session_id"))
    return Searched(_running(rows, filters), found.until)


def containing(text: str) -> Q:
    pattern = _pattern(text)
    if not can_be_stored(pattern):
        return Q(pk__in=[])
    return Q(Wildcard(AsciiLower(F("text")), pattern))


def _pattern(text: str) -> Pattern:
    """Anywhere in the text, in any case of A to Z; `*` stands for anything."""
    return Pattern(tuple(_lower(text).split("*"))).anywhere()


def _lower(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def queries_in_order(filters: LogFilters) -> Iterator[Query]:
    """All of them, oldest first: neither memory nor a transaction grows with their number."""
    rows = in_chunks(queries(filters), field="started_at", size=_CHUNK)
    if not filters.text:
        return rows
    pattern = _pattern(filters.text)
    # Looked at here, so that no chunk takes as long as the search for a text that is rare.
    return (query for query in rows if pattern.matches(_lower(query.text)))


def sessions_in_order(filters: LogFilters) -> Iterator[Session]:
    if not filters.text:
        return in_chunks(sessions(filters), field="started_at", size=_CHUNK)
    return _once(
        query.session for query in queries_in_order(filters) if _runs_as_wanted(query.session, filters)
    )


def _runs_as_wanted(session: Session, filters: LogFilters) -> bool:
    return filters.running is None or session.is_running is filters.running


def _once(rows: Iterable[Session]) -> Iterator[Session]:
    """Each at its first query. Of those that were given only the ids are kept."""
    given: set[str] = set()
    for session in rows:
        if session.pk not in given:
            given.add(session.pk)
            yield session
