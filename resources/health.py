"""What workers find when they try their cluster's resources, and what follows: a resource is healthy when all of its
workers reach it, because any of them may be the one that somebody is connected through."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts.models import Account
from audit.services import require
from clusters.models import Worker
from events.publishing import publish
from events.topics import HEALTH
from resources.models import HealthCheck, Resource

# A button that many press is one check.
_CHECK_EVERY = 5
_SWEPT_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Finding:
    resource_id: str
    healthy: bool
    problem: str
    milliseconds: int
    checked_at: dt.datetime


def check_topic(cluster_id: str) -> str:
    """What is published when the workers of a cluster shall check a resource now."""
    return f"health:{cluster_id}"


def health_reported(worker: Worker, findings: Sequence[Finding]) -> None:
    """The last of each; what does not belong to the worker's cluster is left out."""
    by_id = {finding.resource_id: finding for finding in findings}
    now = timezone.now()
    with transaction.atomic():
        # In one order, so that two workers that report the same do not wait for each other.
        own = Resource.objects.select_for_update(no_key=True).filter(
            cluster=worker.cluster_id, pk__in=list(by_id)
        )
        ids = list(own.order_by("pk").values_list("pk", flat=True))
        HealthCheck.objects.bulk_create(
            [_row(worker, by_id[pk], now) for pk in ids],
            update_conflicts=True,
            unique_fields=["worker", "resource"],
            update_fields=["healthy", "problem", "milliseconds", "checked_at", "reported_at"],
        )
        _recount(ids)


def health_sweep() -> None:
    """Forget what workers found that are gone, or work for another cluster than the resource is attached to."""
    stale = HealthCheck.objects.filter(
        Q(worker__state__in=Worker.GONE)
        | Q(resource__cluster=None)
        | ~Q(resource__cluster=F("worker__cluster"))
    )
    found = dict(stale.values_list("pk", "resource_id")[:_SWEPT_AT_ONCE])
    if not found:
        return
    with transaction.atomic():
        ids = sorted(set(found.values()))
        list(
            Resource.objects.select_for_update(no_key=True)
            .filter(pk__in=ids)
            .order_by("pk")
            .values_list("pk")
        )
        HealthCheck.objects.filter(pk__in=found).delete()
        _recount(ids)


def _recount(resource_ids: Collection[str]) -> None:
    """Whether each is healthy, by what its workers found since it was changed last; None while they found nothing."""
    found: dict[str, bool] = {}
    for resource_id, healthy in _valid(resource_ids).values_list("resource_id", "healthy"):
        found[resource_id] = healthy and found.get(resource_id, True)
    was = dict(Resource.objects.filter(pk__in=resource_ids).values_list("pk", "healthy"))
    changed = [resource_id for resource_id, healthy in was.items() if found.get(resource_id) is not healthy]
    for state in (True, False, None):
        these = [resource_id for resource_id in changed if found.get(resource_id) is state]
        if these:
            Resource.objects.filter(pk__in=these).update(healthy=state)
    if changed:
        publish(HEALTH)


def _valid(resource_ids: Collection[str]) -> QuerySet[HealthCheck]:
    return HealthCheck.objects.filter(
        resource__in=resource_ids,
        reported_at__gte=F("resource__updated_at"),
        worker__cluster=F("resource__cluster"),
    ).exclude(worker__state__in=Worker.GONE)


def problems_of(resource_ids: Collection[str]) -> Mapping[str, str]:
    """What is wrong with each that is not healthy, as one of its workers found; of several always the same one."""
    rows = _valid(resource_ids).filter(healthy=False).order_by("worker")
    return dict(rows.values_list("resource_id", "problem"))


def _row(worker: Worker, finding: Finding, now: dt.datetime) -> HealthCheck:
    return HealthCheck(
        worker=worker,
        resource_id=finding.resource_id,
        healthy=finding.healthy,
        problem="" if finding.healthy else finding.problem,
        milliseconds=finding.milliseconds,
        checked_at=min(finding.checked_at, now),
        reported_at=now,
    )


def check_request(*, actor: Account, resource: Resource) -> bool:
    """Have the resource checked by all workers now. False when that was asked for a moment ago."""
    require(actor, "resources.change")
    if resource.cluster_id is None or not cache.add(f"health-check:{resource.pk}", 1, _CHECK_EVERY):
        return False
    publish(check_topic(resource.cluster_id), {"resource": resource.pk})
    return True


# --- For the page -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A worker of the resource's cluster, and what it found; None before it has checked the resource as it is."""

    worker: Worker
    check: HealthCheck | None


def health_rows(resource: Resource) -> Sequence[Row]:
    if resource.cluster_id is None:
        return []
    valid = resource.health_checks.filter(reported_at__gte=resource.updated_at)
    by_worker = {check.worker_id: check for check in valid}
    workers = Worker.objects.filter(cluster=resource.cluster_id).exclude(state__in=Worker.GONE)
    return [Row(worker, by_worker.get(worker.pk)) for worker in workers.order_by("host_name", "pk")]
