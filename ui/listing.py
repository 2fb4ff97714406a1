"""Lists that can be searched, sorted and paged: one way for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from search.changes import Change, best_changes
from search.completions import complete
from search.filters import Filters, Reading
from ui.found import Matches, found_page
from ui.pagination import M, Page, Sort, paginate

# Longer searches are refused by the grammar; the page still repeats this much of them.
_MAX_SHOWN = 20_000


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
    # A name that no other row has breaks no ties.
    unique = field if sort.column == default else ties.get(field, "pk")
    place: dict[str, Any] = {"field": field, "unique": unique, "descending": sort.descending}
    if reading.search.terms:
        page = found_page(
            _matches(rows, reading, name=sorts[default], field=field, narrow=narrow), request.GET, **place
        )
    else:
        found = reading.apply(rows)
        total = _count(found.order_by(), counted_to)
        page = paginate(found, request.GET, **place, total=total, counted_to=counted_to)
    changes = best_changes(reading, rows, narrow=narrow) if page.total == 0 else []
    return Listing(text, reading, sort, page, changes)


def _matches(rows: QuerySet[M], reading: Reading[M], *, name: str, field: str, narrow: bool) -> Matches[M]:
    by_name = reading.is_only_about(name)
    is_sqlite = connection.vendor == "sqlite"
    return Matches(
        name,
        rows,
        collected=reading.apply(rows),
        asked=reading.apply_row_by_row(rows),
        # SQLite has no index for a part of a name: it reads all names, soonest from their own index, in their order.
        # And it has no other way to join than to ask each row.
        in_order=is_sqlite and (narrow or (by_name and field == name)),
        # To find the first by the index of parts of names costs PostgreSQL more than all that follow.
        resumes=by_name and not is_sqlite,
    )


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
