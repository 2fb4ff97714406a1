"""Filters as an app declares them, and clusters to find with them."""

from django.db.models import Q

from clusters.models import Cluster, ClusterTag
from search.fields import Address, Choice, Tags, Text
from search.filters import Filters

FILTERS = Filters(
    Cluster,
    Text("name", column="name_folded", folded=True, free_text=True),
    Address("listenaddr", aliases=("listenaddress", "address")),
    Tags("tags", aliases=("tag",)),
    Text("id", whole=True),
    Choice("busy", {"yes": Q(workers_online__gt=0), "no": Q(workers_online=0)}),
    Choice(
        "size",
        {"tinyOne": Q(workers_online=1), "tinyTwo": Q(workers_online=2), "large": Q(workers_online__gt=2)},
        partial=True,
    ),
)


def make_cluster(
    name: str, address: str = "10.0.0.1:443", tags: dict[str, str] | None = None, workers: int = 0
) -> Cluster:
    cluster = Cluster.objects.create(
        name=name,
        name_folded=name.casefold(),
        address=address,
        host=address.rpartition(":")[0],
        workers_online=workers,
    )
    ClusterTag.objects.bulk_create(
        ClusterTag(cluster=cluster, key=key, value=value) for key, value in (tags or {}).items()
    )
    return cluster
