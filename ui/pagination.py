"""Keyset pagination: a page starts after a row, not at a number, so the last page costs what the first does."""

import base64
import datetime as dt
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db.models import F, Field, Model, Q, QuerySet
from django.db.models.expressions import OrderBy
from django.db.models.functions import Coalesce
from django.http import QueryDict

M = TypeVar("M", bound=Model)

PAGE_SIZE = 50


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
class Way:
    """How rows follow each other: by a column, and those that are equal in it by one that no two rows share."""

    field: str
    unique: str
    descending: bool
    ties_descending: bool

    @classmethod
    def of(cls, field: str, unique: str, *, descending: bool) -> "Way":
        # What stands by name among equals stands from A to Z, whichever way the column is sorted.
        return cls(field, unique, descending, descending and unique in ("pk", field))

    @property
    def columns(self) -> tuple[str, str]:
        return self.field, self.unique

    def back(self) -> "Way":
        return Way(self.field, self.unique, not self.descending, not self.ties_descending)

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
        if self.field == self.unique:
            return Q(**{f"{self.field}__{side}": value})
        further = Q(**{f"{self.unique}__{'lt' if self.ties_descending else 'gt'}": own})
        # `field >= value` first, so that the index is entered at the cursor; the second half drops the rest.
        return Q(**{f"{self.field}__{side}e": value}) & (Q(**{f"{self.field}__{side}": value}) | further)

    def until(self, value: Any) -> Q:
        """As far as the rows that have this value, them included."""
        return Q(**{f"{self.field}__{'gte' if self.descending else 'lte'}": value})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page stands: how its rows follow each other, and the row behind which it begins, if not the first."""

    way: Way
    cursor: tuple[Any, Any] | None
    # Read from its end, as the page before another one is.
    backward: bool

    @classmethod
    def read(
        cls, query: QueryDict, model: type[Model], *, field: str, unique: str, descending: bool
    ) -> "Place":
        """The place that `?after=` or `?before=` names. A cursor that makes no sense gives the first page: it is a
        stale link, not an attack worth an error."""
        backward = "before" in query and "after" not in query
        way = Way.of(field, unique, descending=descending)
        cursor = _decode(query.get("before" if backward else "after", ""), model, way.columns)
        return cls(way.back() if backward else way, cursor, backward)

    @property
    def beyond(self) -> Q:
        return Q() if self.cursor is None else self.way.beyond(self.cursor)

    def first(self) -> "Place":
        return Place(self.way.back() if self.backward else self.way, None, False)

    def page(self, found: Sequence[M], *, size: int, total: int, counted_to: int | None) -> "Page[M]":
        """`found` are the rows from here on, one more than the page has, if there are."""
        rows = list(found[:size])
        if self.backward:
            rows.reverse()
        behind, ahead = self.cursor is not None, len(found) > size
        has_previous, has_next = (ahead, behind) if self.backward else (behind, ahead)
        columns = self.way.columns
        return Page(
            rows=rows,
            previous=_encode(rows[0], columns) if rows and has_previous else None,
            next=_encode(rows[-1], columns) if rows and has_next else None,
            total=total,
            counted_to=counted_to,
        )


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
) -> Page[M]:
    """The page that the query string names, ordered by `field` and then by `unique`. Neither may be null."""
    place = Place.read(query, rows.model, field=field, unique=unique, descending=descending)
    found = _rows_from(place, rows, size)
    if place.cursor and not found:
        # What stood behind the cursor is gone.
        place = place.first()
        found = _rows_from(place, rows, size)
    return place.page(found, size=size, total=total, counted_to=counted_to)


def _rows_from(place: Place, rows: QuerySet[M], size: int) -> list[M]:
    return list(rows.filter(place.beyond).order_by(*place.way.order())[: size + 1])


def in_chunks(rows: QuerySet[M], *, field: str, size: int) -> Iterator[M]:
    """All rows by `field` and primary key, ascending: `size` of them in memory, no query longer than one chunk."""
    way = Way.of(field, "pk", descending=False)
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
