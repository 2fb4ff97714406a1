from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from clusters.models import Cluster, Tag, Worker
from resources.kinds import KINDS
from sdm.contract import ids
from sdm.contract.address import MAX_HOST_LENGTH

MAX_NAME = 128
MAX_PROBLEM = 500


def new_resource_id() -> str:
    return ids.new_id("rs")


class Resource(models.Model):
    """A database, server or website behind a proxy cluster. What is particular to its kind is in `config`."""

    id = models.CharField(
        primary_key=True, max_length=ids.MAX_LENGTH, default=new_resource_id, editable=False
    )
    name = models.CharField(max_length=MAX_NAME)
    # Folded copies serve searches that mean the same on every database.
    name_folded = models.CharField(max_length=3 * MAX_NAME, editable=False)
    kind = models.CharField(max_length=32)
    # None: attached to no cluster, and so reachable by nobody.
    cluster = models.ForeignKey(
        Cluster, on_delete=models.PROTECT, null=True, blank=True, related_name="resources", db_index=False
    )
    hostname = models.CharField(max_length=MAX_HOST_LENGTH)
    port = models.PositiveIntegerField()
    username = models.CharField(max_length=256, blank=True)
    config = models.JSONField(default=dict)
    # On people's own machines, 127.0.0.1; None when there were none left (`resources.ports`).
    port_override = models.PositiveIntegerField(null=True, unique=True)
    # Whether it was reachable with valid credentials at the last check; None until the first.
    healthy = models.BooleanField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)
    version = models.PositiveIntegerField(default=1, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name_folded"], name="resource_name_unique")]
        indexes = [
            models.Index(
                fields=["cluster", "name_folded", "id"], name="resource_cluster_name"
            ),  # a cluster's tab
            models.Index(
                fields=["cluster", "created_at", "id"], name="resource_cluster_created"
            ),  # by created
            # Those of a cluster that have a tag: PostgreSQL merges it with that of the tags.
            models.Index(fields=["cluster", "id", "name_folded"], name="resource_cluster_id"),
            models.Index(fields=["created_at", "id"], name="resource_created"),  # sort by created
            models.Index(fields=["hostname"], name="resource_hostname"),  # hostname:
            models.Index(fields=["kind", "name_folded", "id"], name="resource_kind"),  # type:
            # healthy:false and healthy:unknown, which usually are few among very many.
            models.Index(fields=["name_folded", "id"], condition=Q(healthy=False), name="resource_unhealthy"),
            models.Index(
                fields=["name_folded", "id"], condition=Q(healthy__isnull=True), name="resource_unchecked"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def kind_label(self) -> str:
        return KINDS[self.kind].label

    @property
    def is_served(self) -> bool:
        """Whether there are workers that speak its kind."""
        return KINDS[self.kind].is_served

    @property
    def address(self) -> str:
        """Where a worker connects. The host of an IPv6 address is kept in brackets."""
        return f"{self.hostname}:{self.port}"

    @property
    def local_address(self) -> str:
        """Where people's own programs connect; empty when there was no port left."""
        return f"127.0.0.1:{self.port_override}" if self.port_override else ""


class HealthCheck(models.Model):
    """What a worker found when it tried a resource last: connected, signed in, asked for something trivial."""

    worker = models.ForeignKey(Worker, on_delete=models.CASCADE, related_name="+", db_index=False)
    resource = models.ForeignKey(
        Resource, on_delete=models.CASCADE, related_name="health_checks", db_index=False
    )
    healthy = models.BooleanField()
    # In a sentence, without a credential; empty when it is healthy.
    problem = models.CharField(max_length=MAX_PROBLEM, blank=True)
    milliseconds = models.PositiveIntegerField()
    # By the worker's clock, and by ours.
    checked_at = models.DateTimeField()
    reported_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["worker", "resource"], name="health_check_unique")]
        indexes = [models.Index(fields=["resource", "worker"], name="health_check_resource")]

    def __str__(self) -> str:
        return f"{self.resource_id} from {self.worker_id}"


class ResourceTag(Tag):
    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, related_name="tags", db_index=False)

    class Meta(Tag.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(fields=["resource", "key"], name="resource_tag_unique")]
        indexes = [models.Index(fields=["key", "value", "resource"], name="resource_tag_search")]


class Credential(models.Model):
    """One sealed secret of a resource, such as its password. Written, replaced and used; never shown."""

    resource = models.ForeignKey(
        Resource, on_delete=models.CASCADE, related_name="credentials", db_index=False
    )
    field = models.CharField(max_length=32)
    # `sealing.envelope`, bound to the resource's id and the field.
    sealed = models.BinaryField()
    key_id = models.CharField(max_length=16, db_index=True)  # rotation finds what an old key sealed
    set_at = models.DateTimeField(default=timezone.now)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["resource", "field"], name="credential_unique")]

    def __str__(self) -> str:
        return f"{self.field} of {self.resource_id}"

    @property
    def context(self) -> str:
        """What the sealed value is bound to: moved to another row or field, it does not open."""
        return f"resources.credential:{self.resource_id}:{self.field}"
