"""Restarting workers: asked for by people, and done one after the other in a cluster when a window allows it.

The row of a worker says that a restart is pending, and nothing else is stored. Whether it may be now follows from
the windows, the clock and the load; it is worked out anew by everybody who wants to know: the job that looks every
few seconds and wakes the worker's stream, the stream, and the page.
"""

import datetime as dt
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from accounts.models import Account
from audit.services import record, require
from audit.verbs import Verb
from clusters.models import Worker, WorkerQuerySet
from clusters.selectors import windows_of
from clusters.windows import Allowed, allowed_at, default_windows
from clusters.workers import worker_topic
from events.publishing import publish


@dataclass(frozen=True, slots=True)
class Turn:
    """The worker that may restart now, and whether its connections may be cut."""

    worker_id: str
    cut_connections: bool


def worker_restart(*, actor: Account, worker: Worker) -> bool:
    """Whether it is pending from now on; it was already, or the worker does not run, otherwise."""
    require(actor, "clusters.change")
    with transaction.atomic():
        running = Worker.objects.filter(pk=worker.pk, state__in=Worker.ONLINE, restart_requested_at=None)
        if not _enter(running, Worker.State.VERIFYING_RESTART, restart_requested_at=timezone.now()):
            return False
        after = {"worker": worker.pk, "host name": worker.host_name, "connections": worker.connections}
        record(actor=actor, verb=Verb.WORKER_RESTART_REQUESTED, entity=worker.cluster, after=after)
        publish(worker_topic(worker.pk))
    return True


def worker_restart_withdraw(*, actor: Account, worker: Worker) -> bool:
    """Whether it had not begun yet."""
    require(actor, "clusters.change")
    with transaction.atomic():
        waiting = Worker.objects.filter(pk=worker.pk, state__in=Worker.RESTART_PENDING)
        if not _enter(waiting, Worker.State.STARTED, restart_requested_at=None):
            return False
        before = {"worker": worker.pk, "host name": worker.host_name}
        record(actor=actor, verb=Verb.WORKER_RESTART_WITHDRAWN, entity=worker.cluster, before=before)
    return True


def restarts_look(*, at: dt.datetime) -> None:
    """Those that were asked for lately wait for their turn from now on, and those whose turn it is are told."""
    pending = Worker.objects.filter(restart_requested_at__isnull=False)
    clusters = list(pending.order_by().values_list("cluster_id", flat=True).distinct())
    if not clusters:
        return
    _enter(pending.filter(state=Worker.State.VERIFYING_RESTART), Worker.State.AWAITING_RESTART)
    for turn in filter(None, (_turn(cluster_id, at) for cluster_id in clusters)):
        publish(worker_topic(turn.worker_id))


def turn_of(worker: Worker, *, at: dt.datetime) -> Turn | None:
    """Its turn, if it is the one that may restart now."""
    if worker.restart_requested_at is None:
        return None
    turn = _turn(worker.cluster_id, at)
    return turn if turn is not None and turn.worker_id == worker.pk else None


def _turn(cluster_id: str, at: dt.datetime) -> Turn | None:
    pending = Worker.objects.filter(cluster=cluster_id, restart_requested_at__isnull=False)
    waiting = list(pending.exclude(state__in=Worker.GONE).order_by("restart_requested_at", "pk"))
    # A cluster is not to lose all of its workers at once.
    if any(worker.state == Worker.State.RESTARTING for worker in waiting):
        return None
    windows = windows_of(cluster_id)
    for worker in waiting:
        allowed = allowed_at(windows or default_windows(worker.maintenance_hour), at)
        if allowed is Allowed.ANYHOW or (allowed is Allowed.WHEN_IDLE and not worker.connections):
            return Turn(worker.pk, cut_connections=allowed is Allowed.ANYHOW)
    return None


def _enter(workers: WorkerQuerySet, state: Worker.State, **values: dt.datetime | None) -> int:
    """All of these states count as online: the cluster's count stays as it is."""
    return workers.update(state=state, state_changed_at=timezone.now(), **values)
