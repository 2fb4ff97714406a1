"""What is read of resources, always by someone who may."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.http import Http404

from audit.services import Actor, require
from clusters.models import Cluster
from clusters.tags import Pairs, tags_by_owner
from resources.kinds import KINDS
from resources.models import Credential, Resource
from search.fields import Choice, Host, Tags, Text
from search.filters import Filters
from search.grammar import Pattern
from search.lookups import can_be_stored

RESOURCE_FILTERS = Filters(
    Resource,
    Text("name", column="name_folded", folded=True, free_text=True),
    Choice(
        "type",
        {slug: Q(kind=slug) for slug in KINDS},
        labels={slug: kind.label for slug, kind in KINDS.items()},
        aliases=("kind",),
        partial=True,
    ),
    Host(
        "hostname",
        aliases=("host",),
        folded=True,
        mistaken_names=("listenaddr", "listenaddress", "address"),
    ),
    Tags("tags", aliases=("tag",)),
    Choice(
        "healthy", {"true": Q(healthy=True), "false": Q(healthy=False), "unknown": Q(healthy__isnull=True)}
    ),
    Text("id", whole=True),
)

# What the lists can be sorted by, each with an index, over all resources and within a cluster.
RESOURCE_SORTS = {"name": "name_folded", "created": "created_at"}

# Counting goes no further than this: the next million costs time and tells nobody anything.
COUNTED_TO = 10_000

_CLUSTER_ID = re.compile(r"n-[0-9a-f]{16}")
_SUGGESTIONS = 8
_OFFERED = 200
_NEAREST = 3
_NEAREST_AMONG = 200


def resource_or_404(actor: Actor, resource_id: str, permission: str = "resources.view") -> Resource:
    require(actor, permission)
    found = Resource.objects.select_related("cluster", "created_by").filter(pk=resource_id).first()
    if found is None:
        raise Http404
    return found


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A resource as a list shows it."""

    resource: Resource
    tags: Pairs
    # Empty in the list of one cluster.
    cluster_name: str = ""


def listed_resources() -> QuerySet[Resource]:
    """With the columns that a list shows, and that it can be sorted by."""
    return Resource.objects.only(
        "name", "name_folded", "kind", "cluster_id", "hostname", "port", "healthy", "created_at"
    )


def resource_rows(resources: Sequence[Resource], *, of_one_cluster: bool) -> list[ResourceRow]:
    """The clusters are not joined to the resources, for that would be done for all that match, before fifty of them
    are taken."""
    tags = tags_by_owner(Resource, [resource.pk for resource in resources])
    ids = set() if of_one_cluster else {resource.cluster_id for resource in resources}
    names = dict(Cluster.objects.filter(pk__in=ids - {None}).values_list("pk", "name"))
    return [
        ResourceRow(resource, tags.get(resource.pk, []), names.get(resource.cluster_id or "", ""))
        for resource in resources
    ]


def not_attached_to(cluster: Cluster) -> Q:
    return Q(cluster__isnull=True) | ~Q(cluster=cluster)


def is_name_taken(name: str, *, but: Resource | None = None) -> bool:
    taken = Resource.objects.filter(name_folded=name.casefold())
    return (taken.exclude(pk=but.pk) if but else taken).exists()


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A secret field of a resource's kind, and what is known of what is stored in it."""

    field: str
    label: str
    required: bool
    credential: Credential | None


def credential_rows(resource: Resource) -> Sequence[CredentialRow]:
    stored = {row.field: row for row in resource.credentials.select_related("set_by").defer("sealed")}
    fields = KINDS[resource.kind].secret_fields.items()
    return [CredentialRow(name, str(field.label), field.required, stored.get(name)) for name, field in fields]


def name_of(entity_id: str) -> str:
    """The name of a resource or a cluster; its id when it is gone."""
    rows: QuerySet[Any] = Resource.objects.all() if entity_id.startswith("rs-") else Cluster.objects.all()
    return rows.filter(pk=entity_id).values_list("name", flat=True).first() or entity_id


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    value: str
    # Of several lines.
    is_long: bool


def facts(resource: Resource) -> list[Fact]:
    """What its kind has set, without what is empty, in the order of the form."""
    fields = KINDS[resource.kind].form(with_secrets=False).fields
    values = {"username": resource.username, **resource.config}
    found = [(str(field.label), values.get(name)) for name, field in fields.items()]
    return [_fact(label, value) for label, value in found if value not in (None, "")]


def _fact(label: str, value: Any) -> Fact:
    if isinstance(value, bool):
        return Fact(label, "Yes" if value else "No", False)
    return Fact(label, str(value), "\n" in str(value))


def cluster_named(text: str) -> Cluster | None:
    """The cluster with this name, in any case, or with this id."""
    return Cluster.objects.filter(Q(name_folded=text.casefold()) | Q(pk=text)).first()


def cluster_with_id(cluster_id: str) -> Cluster | None:
    return Cluster.objects.filter(pk=cluster_id).first() if _CLUSTER_ID.fullmatch(cluster_id) else None


def suggested_clusters(typed: str) -> list[Cluster]:
    """Clusters to offer for what was typed so far: names that begin with it, then names that contain it."""
    pattern = Pattern((typed.casefold(),))
    if not can_be_stored(pattern):
        return []
    clusters = Cluster.objects.order_by("name_folded")
    begins = clusters.filter(name_folded__wildcard=Pattern((*pattern.parts, "")))
    found = list(begins[:_SUGGESTIONS])
    if len(found) < _SUGGESTIONS:
        contains = clusters.filter(name_folded__wildcard=pattern.anywhere())
        found += contains.exclude(pk__in=[cluster.pk for cluster in found])[: _SUGGESTIONS - len(found)]
    return found


def first_cluster_names() -> list[str]:
    """As many as a browser without scripts can be offered; most installations have no more."""
    return list(Cluster.objects.order_by("name_folded").values_list("name", flat=True)[:_OFFERED])


def nearest_cluster_names(typed: str) -> list[str]:
    """Names that were perhaps meant by one that does not exist."""
    if found := suggested_clusters(typed):
        return [cluster.name for cluster in found[:_NEAREST]]
    for length in (3, 1):
        begins = Pattern((typed[:length].casefold(), ""))
        clusters = Cluster.objects.filter(name_folded__wildcard=begins).order_by("name_folded")
        names = {cluster.name_folded: cluster.name for cluster in clusters[:_NEAREST_AMONG]}
        if near := difflib.get_close_matches(typed.casefold(), names, n=_NEAREST):
            return [names[name] for name in near]
    return []
