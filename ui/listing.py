"""Lists that can be searched, sorted and paged: one way for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from search.changes import Change, best_changes
from search.completions import complete
from search.filters import Filters, Reading
from ui.pagination import Page, Sort, Walk, paginate

M = TypeVar("M", bound=Model)

# Longer searches are refused by the grammar; the page still repeats this much of them.
_MAX_SHOWN = 20_000
# What is few, and what is many where counting has no limit of its own.
_FEW = 200
_MANY = 2_000


@dataclass(frozen=True, slots=True)
class Listing(Generic[M]):
    """One page of a list, and what its search field says."""

    text: str
    reading: Reading[M]
    sort: Sort
    page: Page[M]
    # For a search that finds nothing.
    changes: Sequence[Change]

    @property
    def is_filtered(self) -> bool:
        return bool(self.reading.search.terms) or bool(self.reading.problem)


def list_rows(
    request: HttpRequest,
    rows: QuerySet[M],
    filters: Filters[M],
    *,
    sorts: Mapping[str, str],
    default: str = "name",
    ties: Mapping[str, str] = MappingProxyType({}),
    counted_to: int | None = None,
    narrow: bool = False,
) -> Listing[M]:
    """The page of `rows` that the query string asks for: `q`, `sort`, and `after` or `before`.

    `sorts` maps the names in `?sort=` to columns that are indexed and never null, and `ties` those columns to what
    orders the rows that are equal in one, a unique column, if not by primary key. `counted_to` bounds the
    work of counting where a list can have a million rows. `narrow` says that `rows` are few of their table, so that
    each is asked whether it matches, instead of looking for all that do.
    """
    text = request.GET.get("q", "")[:_MAX_SHOWN]
    reading = filters.read(text)
    sort = Sort.read(request.GET, sorts, default)
    source = _source(rows, reading, counted_to, narrow=narrow)
    page = paginate(
        source.rows,
        request.GET,
        field=sorts[sort.column],
        unique=ties.get(sorts[sort.column], "pk"),
        descending=sort.descending,
        total=source.total,
        counted_to=counted_to,
        collected=source.collected,
        walk=source.walk,
    )
    changes = best_changes(reading, rows, narrow=narrow) if source.total == 0 else []
    return Listing(text, reading, sort, page, changes)


class _Source(NamedTuple, Generic[M]):
    """Where the rows of a page come from, and how many there are."""

    rows: QuerySet[M]
    total: int
    collected: bool = False
    walk: Walk[M] | None = None


def _source(rows: QuerySet[M], reading: Reading[M], counted_to: int | None, *, narrow: bool) -> _Source[M]:
    """The rows that match, in the form that gives a page of them soonest: few are named one by one, many are met
    on a short walk in the page's order."""
    found = reading.apply_row_by_row(rows) if narrow else reading.apply(rows)
    matching = found.order_by()
    if not reading.search.terms:
        return _Source(found, _count(matching, counted_to))
    enough = counted_to or _MANY
    some = list(matching.values_list("pk", flat=True)[:enough])
    if len(some) == enough:
        total = enough if counted_to else matching.count()
        return _Source(found, total, collected=True, walk=Walk(rows, reading.apply_row_by_row(rows)))
    # SQLite reads all names for a part of one: once is enough. PostgreSQL has an index for that, which answers
    # again sooner than thousands of keys are looked up.
    if connection.vendor == "sqlite" or len(some) <= _FEW:
        found = rows.filter(pk__in=some)
    return _Source(found, len(some), collected=True)


def _count(rows: QuerySet[M], counted_to: int | None) -> int:
    return rows.count() if counted_to is None else rows[:counted_to].count()


def render_completions(request: HttpRequest, filters: Filters[M]) -> HttpResponse:
    """The suggestions under a search field, for the text `q` with the cursor at `cursor`."""
    text = request.GET.get("q", "")[:_MAX_SHOWN]
    cursor = request.GET.get("cursor", "")
    position = (
        min(int(cursor), len(text))
        if cursor.isascii() and cursor.isdigit() and len(cursor) < 6
        else len(text)
    )
    return render(request, "components/completions.html", {"completions": complete(filters, text, position)})
