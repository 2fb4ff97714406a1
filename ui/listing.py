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
# Of a search that finds more, nobody needs the number, and each further thousand would take as long as the page.
FOUND_TO = 1_000


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

    `sorts` maps the names in `?sort=` to columns that are indexed and never null, the default one to a unique one,
    and `ties` those columns to what orders the rows that are equal in one, a unique column, if not by primary key.
    `counted_to` bounds the work of counting where a list can have a million rows. `narrow` says that `rows` are few of
    their table, so that each is asked whether it matches, instead of looking for all that do.
    """
    text = request.GET.get("q", "")[:_MAX_SHOWN]
    reading = filters.read(text)
    sort = Sort.read(request.GET, sorts, default)
    field = sorts[sort.column]
    if reading.search.terms:
        source = _found(rows, reading, sorts[default], field, descending=sort.descending, narrow=narrow)
    else:
        found = reading.apply(rows)
        source = _Source(found, _count(found.order_by(), counted_to), counted_to)
    page = paginate(
        source.rows,
        request.GET,
        field=field,
        unique=ties.get(field, "pk"),
        descending=sort.descending,
        total=source.total,
        counted_to=source.counted_to,
        collected=source.collected,
        walk=source.walk,
    )
    changes = best_changes(reading, rows, narrow=narrow) if source.total == 0 else []
    return Listing(text, reading, sort, page, changes)


class _Source(NamedTuple, Generic[M]):
    """Where the rows of a page come from, and how many there are, up to `counted_to`."""

    rows: QuerySet[M]
    total: int
    counted_to: int | None
    collected: bool = False
    walk: Walk[M] | None = None


def _found(
    rows: QuerySet[M], reading: Reading[M], name: str, field: str, *, descending: bool, narrow: bool
) -> _Source[M]:
    """The rows that match, in the form that gives a page of them soonest. One query tells: few are named one by one,
    many are met on a short walk in the page's order."""
    matching = reading.apply_row_by_row if narrow else reading.apply
    found = matching(rows).order_by()
    # SQLite has no index for a part of a name: it reads all names, soonest from their own index, in their order.
    in_order = connection.vendor == "sqlite" and reading.is_only_about(name)
    if in_order:
        found = found.order_by(f"-{name}" if descending else name)
    names = list(found.values_list(name, flat=True)[:FOUND_TO])
    if len(names) < FOUND_TO:
        return _Source(rows.filter(**{f"{name}__in": names}), len(names), FOUND_TO, collected=True)
    if in_order and field == name:
        beginning = rows.filter(**{f"{name}__{'lte' if descending else 'gte'}": names[0]})
        return _Source(matching(beginning), FOUND_TO, FOUND_TO)
    walk = Walk(rows, reading.apply_row_by_row(rows))
    return _Source(matching(rows), FOUND_TO, FOUND_TO, collected=True, walk=walk)


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
