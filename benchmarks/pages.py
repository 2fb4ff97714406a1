"""The pages that are measured, each beside the admin's changelist that answers the same question.

What is found among all rows is found among a hundred too: so their queries are those of the same page.
"""

from typing import NamedTuple
from urllib.parse import urlencode

from django.db.models import Model, QuerySet
from django.http import QueryDict
from django.urls import reverse

from benchmarks.rows import Rows
from clusters.models import Cluster
from resources.models import Resource
from ui.pagination import PAGE_SIZE, paginate


class PagePair(NamedTuple):
    name: str
    ours: str
    admin: str
    # One of the filters that the target of being so many times faster is about.
    is_filter: bool


def pages(rows: Rows) -> list[PagePair]:
    return [*_clusters(), *_resources_of(rows.largest), *_resources(), *_audit()]


def _clusters() -> list[PagePair]:
    listing = _Pair(reverse("clusters:cluster-list"), reverse("admin:clusters_cluster_changelist"))
    deep, page = _middle(Cluster.objects.all(), "name_folded")
    tag = {"tags__key": "Environment"}
    return [
        listing("clusters", {}, {}),
        listing("clusters: sorted by workers", {"sort": "-workers"}, {"o": "-3"}),
        listing("clusters: sorted by created", {"sort": "-created"}, {"o": "-4"}),
        listing("clusters: page in the middle", {"after": deep}, {"p": page}),
        listing.filtered("listenaddr:10.0.0.021:443", {"address__exact": "10.0.0.021:443"}),
        listing.filtered("name:keen-coffee", {"q": "keen-coffee"}),
        listing.filtered("coffee", {"q": "coffee"}),
        listing.filtered("nowhere-to-be-found", {"q": "nowhere-to-be-found"}),
        listing.filtered("tags:Environment=sandbox", {**tag, "tags__value": "sandbox"}),
        listing.filtered("tags:Environment=production", {**tag, "tags__value": "production"}),
        listing.filtered("tags:Environment", tag),
        listing.filtered("coffee tags:Environment=sandbox", {"q": "coffee", **tag, "tags__value": "sandbox"}),
    ]


def _resources_of(cluster: str) -> list[PagePair]:
    mine = {"cluster__id__exact": cluster}
    listing = _Pair(
        reverse("resources:cluster-resources", args=[cluster]),
        reverse("admin:resources_resource_changelist"),
        prefix="a cluster's resources",
    )
    deep, page = _middle(Resource.objects.filter(cluster=cluster), "name_folded")
    return [
        listing("a cluster's resources", {}, mine),
        listing("a cluster's resources: page in the middle", {"after": deep}, {**mine, "p": page}),
        listing.filtered("payments-coffee", {**mine, "q": "payments-coffee"}),
        listing.filtered("nowhere-to-be-found", {**mine, "q": "nowhere-to-be-found"}),
        listing.filtered(
            "tags:Environment=sandbox", {**mine, "tags__key": "Environment", "tags__value": "sandbox"}
        ),
    ]


def _resources() -> list[PagePair]:
    listing = _Pair(
        reverse("resources:resource-list"), reverse("admin:resources_resource_changelist"), prefix="resources"
    )
    deep, page = _middle(Resource.objects.all(), "name_folded")
    tag = {"tags__key": "Environment", "tags__value": "sandbox"}
    team = {"tags__key": "Team", "tags__value": "team-358"}
    return [
        listing("resources", {}, {}),
        listing("resources: page in the middle", {"after": deep}, {"p": page}),
        listing.filtered("payments-coffee", {"q": "payments-coffee"}),
        listing.filtered("nowhere-to-be-found", {"q": "nowhere-to-be-found"}),
        listing.filtered("type:postgres", {"kind__contains": "postgres"}),
        listing.filtered("healthy:false", {"healthy__exact": "0"}),
        listing.filtered("tags:Team=team-358", team),
        listing.filtered("tags:Environment=sandbox", tag),
    ]


def _audit() -> list[PagePair]:
    listing = _Pair(reverse("audit:activity-list"), reverse("admin:audit_activity_changelist"))
    verb = "resource updated"
    return [
        listing("activities", {}, {}),
        listing("activities: one verb", {"verb": verb}, {"verb__exact": verb}),
    ]


class _Pair(NamedTuple):
    ours: str
    admin: str
    prefix: str = "clusters"

    def __call__(
        self, name: str, ours: dict[str, str], admin: dict[str, str], *, is_filter: bool = False
    ) -> PagePair:
        return PagePair(name, _with(self.ours, ours), _with(self.admin, admin), is_filter)

    def filtered(self, search: str, admin: dict[str, str]) -> PagePair:
        return self(f"{self.prefix}: `{search}`", {"q": search}, admin, is_filter=True)


def _with(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _middle(rows: QuerySet[Model], field: str) -> tuple[str, str]:
    """The cursor after the first half of the rows, and the number of that page in the admin."""
    half = rows.count() // 2
    value = rows.order_by(field).values_list(field, flat=True)[half]
    there = paginate(
        rows.filter(**{f"{field}__gte": value}), QueryDict(), field=field, descending=False, total=0, size=1
    )
    return there.next or "", str(half // PAGE_SIZE + 1)
