"""Reading what was recorded. Nothing is ever thrown away, so every question here is answered from an index."""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, QuerySet
from django.db.models.lookups import Exact
from django.db.models.sql.compiler import SQLCompiler

from audit.models import Activity
from audit.verbs import Verb
from ui.pagination import in_chunks

# Counting stops here: nobody reads the difference, and a million rows take seconds to count.
COUNTED_TO = 10_000
# People offered while one types; others are found all the same.
MAX_PEOPLE = 200
_CHUNK = 2_000
_ID = re.compile(r"[a-z]{1,4}-[0-9a-f]{16}")

# Acts after which a form that was opened before them is stale.
_UPDATES = [verb.value for verb in Verb if not verb.endswith((" created", " deleted"))]


@dataclass(frozen=True, slots=True)
class Filters:
    """What the log is narrowed to. Empty fields narrow nothing."""

    actor: Any = None
    verb: str = ""
    entity_type: str = ""
    # An id, or a full name.
    entity: str = ""
    outcome: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def in_words(self) -> dict[str, str]:
        """The filters that are set, as an activity keeps them."""
        values = {
            "actor": self.actor and self.actor.email,
            "verb": self.verb,
            "entity type": self.entity_type,
            "entity": self.entity,
            "outcome": self.outcome,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
        }
        return {name: value for name, value in values.items() if value}


class WithoutIndex(Func):
    """A column that SQLite does not look up in its index; other databases choose for themselves."""

    template = "%(expressions)s"
    arity = 1

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="+%(expressions)s", **context)


def matching(filters: Filters) -> QuerySet[Activity]:
    """What `filters` leave, found by the index of the narrowest of them and the time.

    SQLite keeps no statistics unless it is told to. Left to itself it would find one object's few activities by
    walking all that were done.
    """
    is_denied = filters.outcome == Activity.Outcome.DENIED
    is_id = _ID.fullmatch(filters.entity)
    narrowest_first = [
        ("entity_id" if is_id else "entity_name", filters.entity),
        ("outcome", filters.outcome if is_denied else ""),
        ("actor_id", filters.actor and filters.actor.pk),
        ("verb", filters.verb),
        ("entity_type", filters.entity_type),
        ("outcome", filters.outcome if not is_denied else ""),
    ]
    rows = Activity.objects.all()
    if filters.since:
        rows = rows.filter(created_at__gte=filters.since)
    if filters.until:
        rows = rows.filter(created_at__lt=filters.until)
    wanted = [(F(column), value) for column, value in narrowest_first if value]
    for place, (column, value) in enumerate(wanted):
        rows = rows.filter(Exact(WithoutIndex(column) if place else column, value))
    return rows


def count(rows: QuerySet[Any]) -> int:
    """How many there are, up to COUNTED_TO."""
    return rows.order_by()[:COUNTED_TO].count()


def in_order(rows: QuerySet[Activity]) -> Iterator[Activity]:
    """All of them, oldest first, a chunk at a time: neither memory nor a transaction grows with their number."""
    return in_chunks(rows, field="created_at", size=_CHUNK)


def changes_since(entity_id: str, count: int) -> list[Activity]:
    """The last `count` changes of an entity, newest first: what somebody missed whose form is that much older."""
    rows = Activity.objects.filter(entity_id=entity_id, outcome=Activity.Outcome.DONE, verb__in=_UPDATES)
    return list(rows.order_by("-created_at", "-pk")[: max(count, 0)])


def person(email: str) -> Any:
    """The account with this address, or None."""
    return get_user_model().objects.filter(email=email.lower()).first()


def people() -> list[str]:
    """Addresses to offer where a person is chosen."""
    return list(get_user_model().objects.order_by("email").values_list("email", flat=True)[:MAX_PEOPLE])
