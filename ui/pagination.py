"""Keyset pagination: a page starts after a row, not at a number, so the last page costs what the first does."""

import base64
import datetime as dt
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db.models import F, Field, Model, Q, QuerySet, Subquery
from django.db.models.expressions import OrderBy
from django.db.models.functions import Coalesce
from django.http import QueryDict

M = TypeVar("M", bound=Model)

PAGE_SIZE = 50
# So many rows are looked at in the page's order before all that match are collected and sorted.
_NEAR = 2_000


@dataclass(frozen=True, slots=True)
class Sort:
    """The column a list is sorted by, as in `?sort=-created`."""

    column: str
    descending: bool

    @classmethod
    def read(cls, query: QueryDict, columns: Collection[str], default: str) -> "Sort":
        text = query.get("sort", default)
        if text.removeprefix("-") not in columns:
            text = default
        return cls(text.removeprefix("-"), text.startswith("-"))


@dataclass(frozen=True, slots=True)
class _Way:
    """How rows follow each other: by a column, and those that are equal in it by one that no two rows share."""

    field: str
    unique: str
    descending: bool
    ties_descending: bool

    @classmethod
    def of(cls, field: str, unique: str, *, descending: bool) -> "_Way":
        # What stands by name among equals stands from A to Z, whichever way the column is sorted.
        return cls(field, unique, descending, descending and unique in ("pk", field))

    @property
    def columns(self) -> tuple[str, str]:
        return self.field, self.unique

    def back(self) -> "_Way":
        return _Way(self.field, self.unique, not self.descending, not self.ties_descending)

    def order(self, *, collected: bool = False) -> list[OrderBy]:
        sides = {self.unique: self.ties_descending, self.field: self.descending}
        # No index serves an expression: the database has to find the rows by what they must fit, and sort them.
        # Left the choice, a planner may walk an index for seconds to where the matches stand together.
        columns = {
            name: Coalesce(name, name) if collected else F(name) for name in dict.fromkeys(self.columns)
        }
        return [column.desc() if sides[name] else column.asc() for name, column in columns.items()]

    def beyond(self, cursor: tuple[Any, Any]) -> Q:
        value, own = cursor
        side = "lt" if self.descending else "gt"
        further = Q(**{f"{self.unique}__{'lt' if self.ties_descending else 'gt'}": own})
        if self.field == self.unique:
            return further
        # `field >= value` first, so that the index is entered at the cursor; the second half drops the rest.
        return Q(**{f"{self.field}__{side}e": value}) & (Q(**{f"{self.field}__{side}": value}) | further)

    def until(self, value: Any) -> Q:
        """As far as the rows that have this value, them included."""
        return Q(**{f"{self.field}__{'gte' if self.descending else 'lte'}": value})


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    rows: Sequence[M]
    previous: str | None
    next: str | None
    total: int
    # Counting stops here on lists that can be very long; None where the count is exact.
    counted_to: int | None = None

    @property
    def total_text(self) -> str:
        if self.counted_to is not None and self.total >= self.counted_to:
            return f"{self.counted_to:,} or more"
        return f"{self.total:,}"


@dataclass(frozen=True, slots=True)
class Walk(Generic[M]):
    """Where a page of many matches is looked for first: among the next of `every` row, each asked by itself."""

    every: QuerySet[M]
    matching: QuerySet[M]


def paginate(
    rows: QuerySet[M],
    query: QueryDict,
    *,
    field: str,
    unique: str = "pk",
    descending: bool,
    total: int,
    size: int = PAGE_SIZE,
    counted_to: int | None = None,
    collected: bool = False,
    walk: Walk[M] | None = None,
) -> Page[M]:
    """The page that `?after=` or `?before=` names, ordered by `field` and then by `unique`.

    Neither may be null. With `collected`, rows are found by their conditions and not by walking along the
    order; `walk` is tried before. A cursor that makes no sense gives the first page: it is a stale link, not an attack
    worth an error.
    """
    backward = "before" in query and "after" not in query
    way = _Way.of(field, unique, descending=descending)
    way = way.back() if backward else way
    cursor = _decode(query.get("before" if backward else "after", ""), rows.model, way.columns)
    beyond = way.beyond(cursor) if cursor is not None else Q()
    found = _near(walk, beyond, way, size + 1) if walk else None
    if found is None:
        found = list(rows.filter(beyond).order_by(*way.order(collected=collected))[: size + 1])
    more = len(found) > size
    if cursor is not None and not found:
        # What stood behind the cursor is gone.
        return paginate(
            rows,
            QueryDict(),
            field=field,
            unique=unique,
            descending=descending,
            total=total,
            size=size,
            counted_to=counted_to,
            collected=collected,
        )
    found = found[:size]
    if backward:
        found.reverse()
    has_previous = more if backward else cursor is not None
    has_next = cursor is not None if backward else more
    return Page(
        rows=found,
        previous=_encode(found[0], way.columns) if found and has_previous else None,
        next=_encode(found[-1], way.columns) if found and has_next else None,
        total=total,
        counted_to=counted_to,
    )


def _near(walk: Walk[M], beyond: Q, way: _Way, size: int) -> list[M] | None:
    """The first `size` matches, or the last there are, if the next rows hold them; otherwise None, after little
    work. One query: the row where the walk ends is found within it."""
    ahead = walk.every.filter(beyond).order_by(*way.order()).values(way.field)
    edge = Subquery(ahead[_NEAR : _NEAR + 1])
    last = Subquery(walk.every.order_by(*way.back().order()).values(way.field)[:1])
    near = walk.matching.filter(beyond, way.until(Coalesce(edge, last)))
    found = list(near.annotate(edge=edge).order_by(*way.order())[:size])
    is_all = len(found) == size or (found and found[0].edge is None)  # type: ignore[attr-defined]  # as annotated
    return found if is_all else None


def in_chunks(rows: QuerySet[M], *, field: str, size: int) -> Iterator[M]:
    """All rows by `field` and primary key, ascending: `size` of them in memory, no query longer than one chunk."""
    way = _Way.of(field, "pk", descending=False)
    chunk = list(rows.order_by(*way.order())[:size])
    while chunk:
        yield from chunk
        last = getattr(chunk[-1], field), chunk[-1].pk
        chunk = list(rows.filter(way.beyond(last)).order_by(*way.order())[:size])


def _encode(row: Model, columns: tuple[str, str]) -> str:
    value, own = (getattr(row, name) for name in columns)
    if isinstance(value, dt.datetime):
        value = value.isoformat()
    return base64.urlsafe_b64encode(json.dumps([value, own]).encode()).decode().rstrip("=")


def _decode(text: str, model: type[Model], columns: tuple[str, str]) -> tuple[Any, Any] | None:
    if not text or len(text) > 2_000:
        return None
    try:
        pair = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        value, own = (_in_column(part, model, name) for part, name in zip(pair, columns, strict=True))
    except (ValueError, TypeError, OverflowError, RecursionError, ValidationError):
        return None
    return value, own


def _in_column(value: Any, model: type[Model], name: str) -> Any:
    """`value` as the column has it, or an error where a database would have one."""
    column = model._meta.pk if name == "pk" else cast("Field[Any, Any]", model._meta.get_field(name))
    value = column.to_python(value)
    if value is None:
        raise ValueError("a cursor points at a row")
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC)
    if isinstance(value, str) and b"\0" in value.encode():
        raise ValueError("NUL is in no row")
    return value
