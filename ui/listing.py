"""Lists that can be searched, sorted and paged: one way for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from search.completions import complete
from search.filters import Change, Filters, Reading
from ui.pagination import Page, Sort, paginate

M = TypeVar("M", bound=Model)

# Longer searches are refused by the grammar; the page still repeats this much of them.
_MAX_SHOWN = 20_000


@dataclass(frozen=True, slots=True)
class Listing(Generic[M]):
    """One page of a list, and what its search field says."""

    text: str
    reading: Reading[M]
    sort: Sort
    page: Page[M]
    # For a search that finds nothing: what would find most.
    change: Change | None

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
    counted_to: int | None = None,
) -> Listing[M]:
    """The page of `rows` that the query string asks for: `q`, `sort`, and `after` or `before`.

    `sorts` maps the names in `?sort=` to columns that are indexed and never null. `counted_to` bounds the
    work of counting where a list can have a million rows.
    """
    text = request.GET.get("q", "")[:_MAX_SHOWN]
    reading = filters.read(text)
    sort = Sort.read(request.GET, sorts, default)
    found = reading.apply(rows)
    counted = found.order_by()
    total = counted.count() if counted_to is None else counted[:counted_to].count()
    page = paginate(
        found,
        request.GET,
        field=sorts[sort.column],
        descending=sort.descending,
        total=total,
        counted_to=counted_to,
    )
    change = reading.best_change(rows) if total == 0 and reading.search.terms else None
    return Listing(text, reading, sort, page, change)


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
