"""What happens to workers: they join, report, leave or fall silent, and are told to stop.

Everything here keeps the count of online workers that the list sorts by. A worker's cluster is locked before the
worker where both are changed.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.http import Http404
from django.utils import timezone

from accounts.models import Account
from audit.services import Actor, record, require
from audit.storing import sessions_lost
from audit.verbs import Verb
from authority.models import Purpose
from authority.selectors import topic as authority_topic
from authority.services import AuthorityExpired, Issued, renew, revoke
from clusters.models import Cluster, RetiredKey, Worker
from clusters.services import cluster_topic, workers_changed
from events.publishing import publish
from sdm.contract.address import Address
from sdm.contract.reasons import Reason
from sdm.pki.chain import Revoked
from sdm.pki.csr import BadRequest

# Three heartbeats missed, and half of one more for those that come late.
MISSED_HEARTBEATS = 3.5
# Rows of workers that are gone are of no use to anybody after that.
KEPT_FOR = dt.timedelta(days=30)
# In one transaction, so that SQLite's other writers have their turn.
BATCH = 500
# What a worker that is gone carries, whatever it said last.
NO_LOAD = {"connections": 0, "cpu_percent": 0}


class Refused(Exception):
    """A worker is not answered; it hears the reason, and the message is for people."""

    def __init__(self, reason: Reason, message: str = "") -> None:
        super().__init__(message or reason.sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself; each field is one of `Worker`'s."""

    state: Worker.State
    connections: int
    cpu_percent: int
    configuration_generation: int
    problems: tuple[str, ...]
    version: str


def topics_of(worker: Worker) -> tuple[str, ...]:
    """The events that may concern a worker."""
    return (
        worker_topic(worker.pk),
        key_topic(worker.access_key),
        cluster_topic(worker.cluster_id),
        # Which clients it trusts, and whom it takes for the control plane.
        authority_topic(Purpose.CLIENT),
        authority_topic(Purpose.CONTROL),
    )


def worker_topic(worker_id: str) -> str:
    return f"worker:{worker_id}"


def key_topic(access_key: str) -> str:
    return f"key:{access_key}"


def worker_or_404(actor: Actor, cluster_id: str, worker_id: str, permission: str) -> Worker:
    """A worker of this cluster; another cluster's is not found, even by those who may see both."""
    require(actor, permission)
    worker = Worker.objects.select_related("cluster").filter(pk=worker_id, cluster=cluster_id).first()
    if worker is None:
        raise Http404
    return worker


# --- Said by workers ----------------------------------------------------------------------------


def worker_joined(
    *,
    cluster: Cluster,
    access_key: str,
    host_name: str,
    version: str,
    source_address: str,
    maintenance_hour: int,
) -> Worker:
    """A row for a worker that has proved its key; inside the transaction of the proof."""
    worker = Worker.objects.create(
        cluster=cluster,
        access_key=access_key,
        host_name=host_name,
        version=version,
        source_address=source_address,
        maintenance_hour=maintenance_hour,
    )
    after = {"worker": worker.pk, "host name": host_name, "version": version, "key": access_key}
    record(actor=None, verb=Verb.WORKER_JOINED, entity=cluster, after=after)
    return worker


def standing(worker_id: str, *, access_key: str = "") -> Worker:
    """The worker, when it may go on; Refused when it may not.

    `access_key` tells why a worker is not there any more, for those who still know it.
    """
    worker = Worker.objects.select_related("cluster").filter(pk=worker_id).first()
    if worker is None:
        retired = RetiredKey.objects.filter(pk=access_key).first()
        raise Refused(Reason(retired.reason) if retired else Reason.WORKER_UNKNOWN)
    if worker.stopped_reason:
        raise Refused(Reason(worker.stopped_reason))
    if worker.state == Worker.State.STOPPED:  # it said goodbye; one that comes after that is a new one
        raise Refused(Reason.WORKER_UNKNOWN)
    return worker


def certificate_renew(worker: Worker, *, certificate_pem: bytes, csr_pem: bytes) -> Issued:
    """Another certificate for the same worker, by the one it has; for the address as it is now."""
    host = Address.parse(worker.cluster.address).host
    try:
        with transaction.atomic():
            issued = renew(
                purpose=Purpose.WORKER, certificate_pem=certificate_pem, csr_pem=csr_pem, host=host
            )
            Worker.objects.filter(pk=worker.pk).update(certificate_expires_at=issued.not_after)
    except BadRequest as error:
        raise Refused(Reason.BAD_REQUEST, str(error)) from error
    except Revoked as error:
        raise Refused(Reason.CERTIFICATE_REVOKED) from error
    except AuthorityExpired as error:
        raise Refused(Reason.UNAVAILABLE, str(error)) from error
    return issued


def workers_reported(reports: Mapping[str, Report], *, at: dt.datetime) -> None:
    """What several workers said, the last of each, in as few writes as it takes."""
    ids = sorted(reports)
    for start in range(0, len(ids), BATCH):
        with transaction.atomic():
            _apply({worker_id: reports[worker_id] for worker_id in ids[start : start + BATCH]}, at)


def _apply(reports: Mapping[str, Report], at: dt.datetime) -> None:
    rows = Worker.objects.filter(pk__in=reports, stopped_reason="").exclude(state=Worker.State.STOPPED)
    differences = {worker.pk: _differences(worker, reports[worker.pk], at) for worker in rows}
    changed = [worker for worker in rows if "state" in differences[worker.pk]]
    clusters = _lock_clusters(worker.cluster_id for worker in changed)
    for worker_id, values in differences.items():
        if values:  # under the same condition: somebody may have stopped it since
            Worker.objects.filter(pk=worker_id, stopped_reason="").update(**values)
    Worker.objects.filter(pk__in=list(differences)).update(last_heartbeat_at=at)
    sessions_lost(worker.pk for worker in changed if differences[worker.pk]["state"] in Worker.GONE)
    for cluster in clusters:
        workers_changed(cluster)


def _differences(worker: Worker, report: Report, at: dt.datetime) -> dict[str, Any]:
    runs = report.state not in Worker.GONE
    said = {
        "state": report.state,
        **({"connections": report.connections, "cpu_percent": report.cpu_percent} if runs else NO_LOAD),
        "configuration_generation": report.configuration_generation,
        "problems": list(report.problems),
        "version": report.version or worker.version,
        **_restarted(worker, report),
    }
    values = {name: value for name, value in said.items() if getattr(worker, name) != value}
    return values | {"state_changed_at": at} if "state" in values else values


def _restarted(worker: Worker, report: Report) -> dict[str, Any]:
    """A worker does not know of a restart before its turn comes, and afterwards it has started."""
    if worker.restart_requested_at is None or report.state not in (Worker.State.NEW, Worker.State.STARTED):
        return {}
    return {"state": worker.state} if worker.awaits_restart else {"restart_requested_at": None}


# --- Seen from outside --------------------------------------------------------------------------


def workers_lost(*, silent_since: dt.datetime) -> int:
    """Workers that have said nothing since then are dead, once each; how many are so now."""
    running = Worker.objects.running()
    silent = running.annotate(heard=Coalesce("last_heartbeat_at", "joined_at")).filter(heard__lt=silent_since)
    if not silent.exists():
        return 0
    with transaction.atomic():
        return _set_state(silent, Worker.State.DEAD)


def workers_forget() -> None:
    """Remove the rows of those that are gone for long."""
    Worker.objects.filter(state__in=Worker.GONE, state_changed_at__lt=timezone.now() - KEPT_FOR).delete()


# --- Told to workers ----------------------------------------------------------------------------


def worker_disconnect(*, actor: Account, worker: Worker) -> bool:
    """Whether it was still there to be stopped. What started it may start it again: then it joins as another."""
    require(actor, "clusters.change")
    with transaction.atomic():
        running = Worker.objects.filter(pk=worker.pk).running()
        if not _set_state(running, Worker.State.STOPPED, stopped_reason=Reason.DISCONNECTED.value):
            return False
        revoke(actor=None, subject_id=worker.pk, reason=f"{actor.email} disconnected the worker.")
        before = {"worker": worker.pk, "host name": worker.host_name, "state": worker.state}
        record(actor=actor, verb=Verb.WORKER_DISCONNECTED, entity=worker.cluster, before=before)
        publish(worker_topic(worker.pk))
    return True


def worker_forget(*, actor: Account, worker: Worker) -> bool:
    """Whether it was still dead. It is not waited for any more; should it come back, it joins as another."""
    require(actor, "clusters.change")
    with transaction.atomic():
        _lock_clusters([worker.cluster_id])
        forgotten, _ = Worker.objects.filter(pk=worker.pk, state=Worker.State.DEAD).delete()
        if forgotten:
            before = {"worker": worker.pk, "host name": worker.host_name, "state": worker.state}
            record(actor=actor, verb=Verb.WORKER_FORGOTTEN, entity=worker.cluster, before=before)
    return bool(forgotten)


def workers_of_key_stop(access_key: str) -> int:
    """All that joined with this key stop, dead ones too should they come back; in the key's transaction."""
    running = Worker.objects.filter(access_key=access_key).exclude(state=Worker.State.STOPPED)
    for worker_id in list(running.values_list("pk", flat=True)):
        revoke(actor=None, subject_id=worker_id, reason=f"The key {access_key} was deleted.")
    stopped = _set_state(running, Worker.State.STOPPED, stopped_reason=Reason.KEY_DELETED.value)
    publish(key_topic(access_key))
    return stopped


def _set_state(workers: "QuerySet[Worker]", state: Worker.State, **values: str) -> int:
    clusters = _lock_clusters(workers.values_list("cluster_id", flat=True).distinct())
    ids = list(workers.values_list("pk", flat=True))
    changed = workers.update(state=state, state_changed_at=timezone.now(), **NO_LOAD, **values)
    if state in Worker.GONE:
        sessions_lost(ids)
    for cluster in clusters:
        workers_changed(cluster)
    return changed


def _lock_clusters(cluster_ids: Iterable[str]) -> Sequence[Cluster]:
    ids = set(cluster_ids)
    return (
        list(Cluster.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")) if ids else []
    )
