import datetime as dt
from functools import cache
from typing import ClassVar

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from clusters.windows import DEFAULT_HOUR
from sdm.contract import ids
from sdm.contract.address import MAX_HOST_LENGTH
from sdm.contract.address import MAX_LENGTH as MAX_ADDRESS_LENGTH
from sdm.contract.reasons import Reason

# Limits of the compatible system, so that what is tagged here can be tagged there.
MAX_TAGS = 50
MAX_TAG_KEY = 128
MAX_TAG_VALUE = 256
MAX_NAME = 63
# With an address in it, which may be long.
MAX_REACH_WORDS = 1000

# A worker that is gone is shown for this long.
FADE_AFTER = dt.timedelta(days=1)


def new_cluster_id() -> str:
    return ids.new_id("n")


def new_worker_id() -> str:
    return ids.new_id("w")


class Tag(models.Model):
    """A key with a value, at most one value a key, on an object named by the subclass."""

    key = models.CharField(max_length=MAX_TAG_KEY)
    value = models.CharField(max_length=MAX_TAG_VALUE, blank=True)

    class Meta:
        abstract = True
        ordering = ["key"]

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


class Cluster(models.Model):
    """A proxy cluster: workers that answer on one advertised address."""

    class Status(models.TextChoices):
        ONLINE = "online", "Online"
        DEGRADED = "degraded", "Degraded"
        OFFLINE = "offline", "Offline"
        NO_WORKERS = "no-workers", "No workers"

    class Reach(models.TextChoices):
        """How far one comes on the way to the advertised address: the step that fails, or that all is well."""

        UNTRIED = "", "Not tried yet"
        DNS = "dns", "The name is not found"
        TCP = "tcp", "Nothing answers"
        TLS = "tls", "No TLS there"
        CERTIFICATE = "certificate", "Wrong certificate"
        CLUSTER = "cluster", "Another cluster answers"
        FOREIGN = "foreign", "A certificate from elsewhere"
        GOOD = "good", "Address answers"

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=new_cluster_id, editable=False)
    name = models.CharField(max_length=MAX_NAME)
    # `name.casefold()`: uniqueness, sorting and searching mean the same on every database.
    name_folded = models.CharField(max_length=3 * MAX_NAME, editable=False)
    # `host:port` in canonical form, and its host alone for searches without a port.
    address = models.CharField(max_length=MAX_ADDRESS_LENGTH)
    host = models.CharField(max_length=MAX_HOST_LENGTH, editable=False)
    # Kept by `clusters.services.workers_changed`, so that the list can sort by it from an index.
    workers_online = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    # Raised by every change; a form that was opened before it is told what changed.
    version = models.PositiveIntegerField(default=1, editable=False)
    # What its workers work by: counted up when the digest of it changes (`clusters.configuration`).
    configuration_generation = models.PositiveBigIntegerField(default=0, editable=False)
    configuration_digest = models.CharField(max_length=64, default="", editable=False)
    # What was found when the advertised address was tried last (`clusters.reach`).
    reach = models.CharField(max_length=16, choices=Reach.choices, default=Reach.UNTRIED, editable=False)
    reach_words = models.CharField(max_length=MAX_REACH_WORDS, default="", editable=False)
    reach_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name_folded"], name="cluster_name_unique")]
        indexes = [
            models.Index(fields=["address"], name="cluster_address"),  # listenaddr: with a port
            models.Index(fields=["host"], name="cluster_host"),  # listenaddr: without
            models.Index(fields=["created_at", "id"], name="cluster_created"),  # sort by created
            # Sort by workers, and those with as many by name, either way.
            models.Index(fields=["workers_online", "name_folded"], name="cluster_by_workers"),
            models.Index(fields=["-workers_online", "name_folded"], name="cluster_most_workers"),
        ]

    def __str__(self) -> str:
        return self.name


class ClusterTag(Tag):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="tags", db_index=False)

    class Meta(Tag.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(fields=["cluster", "key"], name="cluster_tag_unique")]
        indexes = [
            models.Index(fields=["key", "value", "cluster"], name="cluster_tag_search")
        ]  # tags:Key=Value


class MaintenanceWindow(models.Model):
    """When workers of a cluster may restart: a cron schedule in UTC, active for each minute it matches."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="maintenance_windows")
    cron_schedule = models.CharField(max_length=100)
    # True: only workers without connections restart. False: connections are cut.
    require_idleness = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.cron_schedule}{' when idle' if self.require_idleness else ''}"


class WorkerQuerySet(models.QuerySet["Worker"]):
    def online(self) -> "WorkerQuerySet":
        return self.filter(state__in=Worker.ONLINE)

    def running(self) -> "WorkerQuerySet":
        """Also those that begin, restart or are about to end: connections may go through them."""
        return self.exclude(state__in=Worker.GONE)

    def shown(self) -> "WorkerQuerySet":
        """All but those that are gone for longer than a day."""
        return self.exclude(
            Q(state__in=Worker.GONE) & Q(state_changed_at__lt=timezone.now() - FADE_AFTER),
        )

    def expected(self) -> "WorkerQuerySet":
        """Those that should be online: all that are shown but those that left, and the dead that came back anew.

        What is started again on a machine after a crash joins as another worker of the same host name.
        """
        is_missed = Q(state=Worker.State.DEAD, state_changed_at__gte=timezone.now() - FADE_AFTER)
        return self.filter(~Q(state__in=Worker.GONE) | is_missed & ~_came_back())


@cache
def _came_back() -> Exists:
    back = Worker.objects.online().filter(
        cluster=OuterRef("cluster"),
        host_name=OuterRef("host_name"),
        joined_at__gt=Coalesce(OuterRef("last_heartbeat_at"), OuterRef("joined_at")),
    )
    return Exists(back)


class Worker(models.Model):
    """One running worker process of a cluster, or one that ran until lately."""

    class State(models.TextChoices):
        NEW = "new", "New"
        STARTED = "started", "Started"
        VERIFYING_RESTART = "verifying_restart", "Verifying restart"
        AWAITING_RESTART = "awaiting_restart", "Awaiting restart"
        RESTARTING = "restarting", "Restarting"
        STOPPED = "stopped", "Stopped"
        DEAD = "dead", "Dead"

    ONLINE: ClassVar[tuple[State, ...]] = (State.STARTED, State.VERIFYING_RESTART, State.AWAITING_RESTART)
    GONE: ClassVar[tuple[State, ...]] = (State.STOPPED, State.DEAD)
    RESTART_PENDING: ClassVar[tuple[State, ...]] = (State.VERIFYING_RESTART, State.AWAITING_RESTART)

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=new_worker_id, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="workers", db_index=False)
    # The access key it joined with, kept when the key is deleted.
    access_key = models.CharField(max_length=ids.MAX_LENGTH)
    host_name = models.CharField(max_length=MAX_HOST_LENGTH)
    version = models.CharField(max_length=64)
    state = models.CharField(max_length=20, choices=State.choices, default=State.NEW)
    state_changed_at = models.DateTimeField(default=timezone.now)
    source_address = models.GenericIPAddressField()
    connections = models.PositiveIntegerField(default=0)
    # Of one core, so a busy worker on four cores can say 400.
    cpu_percent = models.PositiveIntegerField(default=0)
    last_heartbeat_at = models.DateTimeField(null=True)
    certificate_expires_at = models.DateTimeField(null=True)
    # What an operator should know, in sentences, as the worker says them.
    problems = models.JSONField(default=list)
    # The one of `Cluster.configuration_generation` that it works by.
    configuration_generation = models.PositiveBigIntegerField(default=0)
    # Why it was told to stop, a `sdm.contract.reasons.Reason`; empty while it may run, or when it left by itself.
    stopped_reason = models.CharField(max_length=32, blank=True)
    # While a restart is pending or under way (`clusters.restarts`).
    restart_requested_at = models.DateTimeField(null=True)
    # The hour, UTC, in which it may restart in any case when its cluster has no windows: the worker's own setting.
    maintenance_hour = models.PositiveSmallIntegerField(default=DEFAULT_HOUR)
    joined_at = models.DateTimeField(default=timezone.now)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["cluster", "state"], name="worker_cluster_state"),  # counts, the tab
            models.Index(
                fields=["access_key", "state"], name="worker_key_state"
            ),  # counts, what a key started
            models.Index(
                fields=["cluster"], condition=Q(restart_requested_at__isnull=False), name="worker_restart"
            ),  # who is to restart: few, looked for every few seconds
        ]

    def __str__(self) -> str:
        return f"{self.host_name} ({self.state})"

    @property
    def is_online(self) -> bool:
        return self.state in self.ONLINE

    @property
    def is_gone(self) -> bool:
        return self.state in self.GONE

    @property
    def awaits_restart(self) -> bool:
        return self.state in self.RESTART_PENDING

    @property
    def gone_because(self) -> str:
        if self.stopped_reason:
            return Reason(self.stopped_reason).sentence
        if self.state == self.State.DEAD:
            return "It missed three heartbeats: its process, its machine or the network between has failed."
        return "It was ended where it ran." if self.is_gone else ""


class RetiredKey(models.Model):
    """A key that was deleted: whoever still has its secret is told so, instead of that it never existed."""

    access_key = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH)
    public_key = models.BinaryField(max_length=32)
    # A `sdm.contract.reasons.Reason`: the key alone was deleted, or its cluster.
    reason = models.CharField(max_length=32)
    retired_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.access_key
