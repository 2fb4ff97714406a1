"""However the rows of a page are come by, they are the same rows."""

import itertools
from functools import partial

import pytest
from django.test import RequestFactory

from clusters.models import Cluster
from clusters.selectors import CLUSTER_FILTERS, CLUSTER_SORTS, CLUSTER_TIES
from tests.search.declared import make_cluster
from ui import found, listing, pagination
from ui.listing import Listing, list_rows

pytestmark = pytest.mark.django_db

# Few, so that each page is one of several.
SIZE = 7


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch):

    for name, page in (("paginate", pagination.paginate), ("found_page", found.found_page)):
        monkeypatch.setattr(listing, name, partial(page, size=SIZE))


@pytest.fixture
def clusters() -> list[Cluster]:
    """Matches stand everywhere for one tag, and only at the end of the names for the other."""
    return [
        make_cluster(
            f"c{number:02}",
            tags={"Parity": "even" if number % 2 else "odd", "Half": "first" if number < 30 else "last"},
            workers=number % 3,
        )
        for number in range(60)
    ]


def page(q: str, sort: str, *, narrow: bool = False, **cursor: str) -> Listing[Cluster]:
    request = RequestFactory().get("/", {"q": q, "sort": sort, **cursor})
    rows = Cluster.objects.prefetch_related("tags")
    return list_rows(
        request,
        rows,
        CLUSTER_FILTERS,
        sorts=CLUSTER_SORTS,
        ties=CLUSTER_TIES,
        narrow=narrow,
    )


def names(found: Listing[Cluster]) -> list[str]:
    return [cluster.name for cluster in found.page.rows]


@pytest.mark.parametrize("sort", ["name", "-name", "workers", "-workers"])
@pytest.mark.parametrize(
    "q", ["tags:Parity=odd", "tags:Half=last", "tags:Parity", "c1", "c tags:Half=last", "nowhere"]
)
@pytest.mark.parametrize(
    ("many", "near", "kept"),
    [(1_000, 2_000, 10_000), (5, 20, 10_000), (5, 20, 8), (5, 2_000, 10_000), (5, 1, 10_000)],
    ids=["few", "walked, kept or collected", "walked or collected", "walked to the end", "not walked"],
)
def test_pages_hold_every_match_once_and_in_order_there_and_back(
    clusters: list[Cluster],
    monkeypatch: pytest.MonkeyPatch,
    q: str,
    sort: str,
    many: int,
    near: int,
    kept: int,
):
    monkeypatch.setattr(found, "FOUND_TO", many)
    monkeypatch.setattr(found, "NEAR", near)
    monkeypatch.setattr(found, "KEPT", kept)
    field = CLUSTER_SORTS[sort.removeprefix("-")]
    tie = CLUSTER_TIES.get(field, "pk")
    prefix = "-" if sort.startswith("-") else ""
    matches = CLUSTER_FILTERS.read(q).apply(Cluster.objects.all()).order_by(f"{prefix}{field}", tie)
    ordered = list(matches.values_list("name", flat=True))
    expected = [ordered[start : start + SIZE] for start in range(0, len(ordered), SIZE)]
    first = page(q, sort)
    assert first.page.total == min(matches.count(), many)
    seen, current = [names(first)], first
    while current.page.next:
        current = page(q, sort, after=current.page.next)
        seen.append(names(current))
    assert seen == (expected or [[]])
    back = [names(current)]
    while current.page.previous:
        current = page(q, sort, before=current.page.previous)
        back.append(names(current))
    assert list(itertools.chain(*reversed(back))) == ordered


@pytest.mark.parametrize("q", ["tags:Parity=odd", "tags:Half=last c1", "c5", "nowhere"])
def test_a_list_that_is_narrow_finds_the_same(clusters: list[Cluster], q: str):
    assert names(page(q, "name", narrow=True)) == names(page(q, "name"))
