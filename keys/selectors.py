"""What is read of keys, always by someone who may."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count
from django.http import Http404

from audit.services import Actor, require
from clusters.models import Cluster, Worker
from keys.models import ClusterKey


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as its cluster's tab shows it."""

    key: ClusterKey
    workers_online: int


def key_rows(cluster: Cluster) -> Sequence[KeyRow]:
    keys = list(cluster.keys.select_related("created_by"))
    joined = Worker.objects.online().filter(access_key__in=[key.pk for key in keys])
    online = dict(joined.values_list("access_key").annotate(count=Count("pk")))
    return [KeyRow(key, online.get(key.pk, 0)) for key in keys]


def key_or_404(actor: Actor, cluster_id: str, key_id: str, permission: str) -> ClusterKey:
    """A key of this cluster; another cluster's key is not found, even by those who may see both."""
    require(actor, permission)
    key = ClusterKey.objects.select_related("cluster").filter(pk=key_id, cluster=cluster_id).first()
    if key is None:
        raise Http404
    return key


def workers_that_joined_with(key: ClusterKey) -> Sequence[Worker]:
    """The newest first."""
    return list(Worker.objects.filter(access_key=key.pk).shown().order_by("-joined_at", "pk")[:20])


def workers_that_stop_without(key: ClusterKey) -> int:
    """Also those that restart or are about to end: what goes through them is cut."""
    return Worker.objects.filter(access_key=key.pk).running().count()
