"""What is read of clusters, always by someone who may."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Case, Count, Q, QuerySet, When
from django.http import Http404

from audit.services import Actor, require
from clusters.models import Cluster, ClusterTag, MaintenanceWindow, Worker
from clusters.tags import Pairs, tags_by_owner
from clusters.windows import WindowRule, default_windows, expectation
from search.counting import RowCount
from search.fields import Address, Tags, Text
from search.filters import Filters

CLUSTER_FILTERS = Filters(
    Cluster,
    Text("name", column="name_folded", folded=True, free_text=True),
    Address("listenaddr", aliases=("listenaddress", "address"), mistaken_names=("hostname", "host")),
    Tags("tags", aliases=("tag",)),
)

# What the list can be sorted by, each with an index.
CLUSTER_SORTS = {"name": "name_folded", "workers": "workers_online", "created": "created_at"}
# Very many have as many workers as others: those stand by name.
CLUSTER_TIES = {"workers_online": "name_folded"}

# More workers than that in one cluster are counted, not listed.
MAX_WORKERS_SHOWN = 500


@dataclass(frozen=True, slots=True)
class WorkerCount:
    online: int
    # That should be online: `Worker.objects.expected()`.
    expected: int
    # Online, with something that an operator should know.
    troubled: int = 0
    # Also those that begin, restart or are about to end: `Worker.objects.running()`.
    running: int = 0

    @property
    def status(self) -> Cluster.Status:
        if not self.online:
            return Cluster.Status.OFFLINE if self.expected else Cluster.Status.NO_WORKERS
        is_well = self.online == self.expected and not self.troubled
        return Cluster.Status.ONLINE if is_well else Cluster.Status.DEGRADED

    @property
    def trouble(self) -> str:
        return f", {self.troubled} with a problem" if self.troubled else ""

    def __str__(self) -> str:
        plural = "" if self.expected == 1 else "s"
        return f"{self.online} of {self.expected} worker{plural} online{self.trouble}"


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """A cluster as the list shows it."""

    cluster: Cluster
    workers: WorkerCount
    resources: int
    tags: Pairs


@dataclass(frozen=True, slots=True)
class ClusterHead:
    """What stands above every tab of a cluster, and the counts in the tabs."""

    cluster: Cluster
    tags: Sequence[ClusterTag]
    workers: WorkerCount
    resources: int
    keys: int

    @property
    def loses_more_than_itself(self) -> bool:
        """Whether deleting the cluster ends or detaches anything else."""
        return bool(self.resources or self.keys or self.workers.expected)


def cluster_or_404(actor: Actor, cluster_id: str, permission: str = "clusters.view") -> Cluster:
    require(actor, permission)
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster is None:
        raise Http404
    return cluster


def worker_counts(cluster_ids: Sequence[str]) -> dict[str, WorkerCount]:
    """By cluster id, in one query."""
    online = Q(state__in=Worker.ONLINE)
    counts = (
        Worker.objects.expected()
        .filter(cluster__in=cluster_ids)
        .values("cluster_id")
        .annotate(
            online=Count("pk", filter=online),
            expected=Count("pk"),
            troubled=Count("pk", filter=online & ~Q(problems=[])),
            running=Count("pk", filter=~Q(state__in=Worker.GONE)),
        )
    )
    found = {
        row["cluster_id"]: WorkerCount(row["online"], row["expected"], row["troubled"], row["running"])
        for row in counts
    }
    return {cluster_id: found.get(cluster_id, WorkerCount(0, 0)) for cluster_id in cluster_ids}


def resource_counts(cluster_ids: Sequence[str]) -> dict[str, int]:
    """By cluster id, in one query. A cluster without resources is not in it."""
    resources = Cluster._meta.get_field("resources").related_model._default_manager
    counted = resources.filter(cluster__in=cluster_ids).values("cluster_id").annotate(count=Count("pk"))
    return dict(counted.values_list("cluster_id", "count"))


def listed_clusters() -> QuerySet[Cluster]:
    """With the columns that a list shows, and that it can be sorted by."""
    return Cluster.objects.only("name", "name_folded", "address", "workers_online", "created_at")


def cluster_rows(clusters: Sequence[Cluster]) -> list[ClusterRow]:
    ids = [cluster.pk for cluster in clusters]
    workers, resources, tags = worker_counts(ids), resource_counts(ids), tags_by_owner(Cluster, ids)
    return [
        ClusterRow(cluster, workers[cluster.pk], resources.get(cluster.pk, 0), tags.get(cluster.pk, []))
        for cluster in clusters
    ]


def cluster_head(cluster: Cluster) -> ClusterHead:
    counts = RowCount(cluster.resources.all()), RowCount(cluster.keys.all())
    resources, keys = Cluster.objects.filter(pk=cluster.pk).values_list(*counts).first() or (0, 0)
    return ClusterHead(
        cluster=cluster,
        tags=list(cluster.tags.all()),
        workers=worker_counts([cluster.pk])[cluster.pk],
        resources=resources,
        keys=keys,
    )


def workers_of(cluster: Cluster) -> Sequence[Worker]:
    """Those that run first, the one that joined last on top; the gone ones until they have faded."""
    rank = Case(When(state__in=Worker.GONE, then=1), default=0)
    return list(cluster.workers.shown().order_by(rank, "-joined_at", "pk")[:MAX_WORKERS_SHOWN])


def reach_is_of_now(cluster: Cluster, workers: Sequence[Worker]) -> bool:
    """Whether the address was tried after the last of these workers came, went or changed otherwise."""
    tried = cluster.reach_at
    return tried is not None and all(worker.state_changed_at <= tried for worker in workers)


def windows_of(cluster_id: str) -> list[WindowRule]:
    rows = MaintenanceWindow.objects.filter(cluster=cluster_id)
    return [WindowRule(*row) for row in rows.values_list("cron_schedule", "require_idleness")]


def restarts_expected(cluster: Cluster, workers: Sequence[Worker], at: dt.datetime) -> dict[str, str]:
    """Of those that wait for a restart, by id: when it comes, in words."""
    waiting = [worker for worker in workers if worker.awaits_restart]
    windows = windows_of(cluster.pk) if waiting else []
    return {
        worker.pk: expectation(windows or default_windows(worker.maintenance_hour), at) for worker in waiting
    }


def is_name_taken(name: str, *, but: Cluster | None = None) -> bool:
    taken = Cluster.objects.filter(name_folded=name.casefold())
    return (taken.exclude(pk=but.pk) if but else taken).exists()
