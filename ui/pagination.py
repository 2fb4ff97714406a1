"""Keyset pagination: a page starts after a row, not at a number, so the last page costs what the first does."""

import base64
import datetime as dt
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db.models import F, Field, Model, Q, QuerySet
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


class _Key(NamedTuple):
    """What rows are ordered by: a column, and another that no two rows share."""

    field: str
    unique: str


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
    key = _Key(field, unique)
    cursor = _decode(query.get("before" if backward else "after", ""), rows.model, key)
    reverse = descending != backward
    beyond = _beyond(key, cursor, reverse=reverse) if cursor is not None else Q()
    found = _near(walk, beyond, key, size + 1, reverse=reverse) if walk else None
    if found is None:
        order = _order(key, reverse=reverse, collected=collected)
        found = list(rows.filter(beyond).order_by(*order)[: size + 1])
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
        previous=_encode(found[0], key) if found and has_previous else None,
        next=_encode(found[-1], key) if found and has_next else None,
        total=total,
        counted_to=counted_to,
    )


def _order(key: _Key, *, reverse: bool, collected: bool = False) -> list[OrderBy]:
    names = dict.fromkeys(key)
    # No index serves an expression: the database has to find the rows by what they must fit, and sort them.
    # Left the choice, a planner may walk an index for seconds to where the matches stand together.
    columns = [Coalesce(name, name) if collected else F(name) for name in names]
    return [column.desc() if reverse else column.asc() for column in columns]


def _near(walk: Walk[M], beyond: Q, key: _Key, size: int, *, reverse: bool) -> list[M] | None:
    """The first `size` matches, or the last there are, if the next rows hold them; otherwise None, after little
    work."""
    order = _order(key, reverse=reverse)
    edge = walk.every.filter(beyond).order_by(*order).values_list(*key)[_NEAR : _NEAR + 1].first()
    near = walk.matching.filter(beyond)
    if edge is not None:
        near = near.filter(_beyond(key, edge, reverse=not reverse))
    found = list(near.order_by(*order)[:size])
    return found if edge is None or len(found) == size else None


def in_chunks(rows: QuerySet[M], *, field: str, size: int) -> Iterator[M]:
    """All rows by `field` and primary key, ascending: `size` of them in memory, no query longer than one chunk."""
    key = _Key(field, "pk")
    chunk = list(rows.order_by(*key)[:size])
    while chunk:
        yield from chunk
        last = getattr(chunk[-1], field), chunk[-1].pk
        chunk = list(rows.filter(_beyond(key, last, reverse=False)).order_by(*key)[:size])


def _beyond(key: _Key, cursor: tuple[Any, Any], *, reverse: bool) -> Q:
    value, own = cursor
    side = "lt" if reverse else "gt"
    further = Q(**{f"{key.unique}__{side}": own})
    if key.field == key.unique:
        return further
    # `field >= value` first, so that the index is entered at the cursor; the second half drops the rest.
    return Q(**{f"{key.field}__{side}e": value}) & (Q(**{f"{key.field}__{side}": value}) | further)


def _encode(row: Model, key: _Key) -> str:
    value = getattr(row, key.field)
    if isinstance(value, dt.datetime):
        value = value.isoformat()
    return (
        base64.urlsafe_b64encode(json.dumps([value, getattr(row, key.unique)]).encode()).decode().rstrip("=")
    )


def _decode(text: str, model: type[Model], key: _Key) -> tuple[Any, Any] | None:
    if not text or len(text) > 2_000:
        return None
    try:
        value, own = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        cursor = _in_column(value, model, key.field), _in_column(own, model, key.unique)
    except (ValueError, TypeError, OverflowError, RecursionError, ValidationError):
        return None
    return cursor


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
