"""Roles with their rules, who has them, and what is given for a while. `access.decisions` says what follows."""

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from clusters.models import MAX_TAG_KEY, MAX_TAG_VALUE, Cluster, Tag
from resources.kinds import KINDS
from resources.models import Resource
from sdm.contract import ids

MAX_NAME = 128
MAX_REASON = 500
# Limits of the compatible system.
MAX_RULES = 10
MAX_RULE_RESOURCES = 2_000
MAX_ROLES = 20
# Longer than that is not for a while: it is a role.
MAX_GRANT = dt.timedelta(days=366)


def new_role_id() -> str:
    return ids.new_id("r")


def new_rule_id() -> str:
    return ids.new_id("ar")


def new_attachment_id() -> str:
    return ids.new_id("aa")


def new_grant_id() -> str:
    return ids.new_id("ag")


class Role(models.Model):
    """What its members may reach, as rules. Without rules it opens nothing."""

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=new_role_id, editable=False)
    name = models.CharField(max_length=MAX_NAME)
    # Folded copies serve searches that mean the same on every database.
    name_folded = models.CharField(max_length=3 * MAX_NAME, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)
    # Raised by every change of name, tags and rules; a form that was opened before it is told what changed.
    version = models.PositiveIntegerField(default=1, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name_folded"], name="role_name_unique")]
        indexes = [models.Index(fields=["created_at", "id"], name="role_created")]  # sort by created

    def __str__(self) -> str:
        return self.name


class RoleTag(Tag):
    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="tags", db_index=False)

    class Meta(Tag.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(fields=["role", "key"], name="role_tag_unique")]
        indexes = [models.Index(fields=["key", "value", "role"], name="role_tag_search")]


class Rule(models.Model):
    """Resources that a role opens: chosen one by one, or whatever fits all conditions now and later.

    Conditions are kinds (any of them), tags (each of them) and a proxy cluster. Without any it opens nothing.
    """

    class Way(models.TextChoices):
        CHOSEN = "chosen", "These resources"
        MATCHING = "matching", "All that match"

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=new_rule_id, editable=False)
    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="rules", db_index=False)
    way = models.CharField(max_length=8, choices=Way.choices)
    # A rule goes with its cluster: without it, it would open every cluster's resources.
    cluster = models.ForeignKey(
        Cluster, on_delete=models.CASCADE, null=True, blank=True, related_name="access_rules"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["role", "created_at", "id"], name="rule_of_role")]

    def __str__(self) -> str:
        return f"rule {self.pk} of {self.role_id}"


class RuleKind(models.Model):
    """One of the kinds that a rule opens."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="kinds", db_index=False)
    kind = models.CharField(max_length=32)

    class Meta:
        ordering = ["kind"]
        constraints = [models.UniqueConstraint(fields=["rule", "kind"], name="rule_kind_unique")]

    def __str__(self) -> str:
        return self.kind

    @property
    def label(self) -> str:
        # A kind of another version is shown as it is.
        return KINDS[self.kind].label if self.kind in KINDS else self.kind


class RuleTag(models.Model):
    """A tag that resources must have, with this value. Case counts."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="tags", db_index=False)
    key = models.CharField(max_length=MAX_TAG_KEY)
    value = models.CharField(max_length=MAX_TAG_VALUE, blank=True)

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["rule", "key"], name="rule_tag_unique")]

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


class RuleResource(models.Model):
    """A resource that was chosen."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="chosen", db_index=False)
    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, related_name="+", db_index=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "resource"], name="rule_resource_unique")]
        indexes = [models.Index(fields=["resource", "rule"], name="rule_resource_reaching")]

    def __str__(self) -> str:
        return f"{self.resource_id} in {self.rule_id}"


class Attachment(models.Model):
    """An account that has a role, until it is taken away."""

    id = models.CharField(
        primary_key=True, max_length=ids.MAX_LENGTH, default=new_attachment_id, editable=False
    )
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="attachments", db_index=False
    )
    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="attachments", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "role"], name="attachment_unique")]
        indexes = [
            models.Index(fields=["role", "account"], name="attachment_reaching"),
            models.Index(fields=["role", "created_at", "id"], name="attachment_of_role"),  # the members' tab
        ]

    def __str__(self) -> str:
        return f"{self.account.email} in {self.role.name}"


class GrantQuerySet(models.QuerySet["Grant"]):
    def holding(self, at: dt.datetime) -> "GrantQuerySet":
        """Those that open what they name at this moment."""
        return self.filter(starts_at__lte=at, ends_at__gt=at)


class Grant(models.Model):
    """One resource, or a role, for one account and for a while. It holds from its start until just before its end."""

    class State(models.TextChoices):
        UPCOMING = "upcoming", "Not begun"
        CURRENT = "current", "Open now"
        ENDED = "ended", "Ended"

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=new_grant_id, editable=False)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="grants", db_index=False
    )
    resource = models.ForeignKey(
        Resource, on_delete=models.CASCADE, null=True, related_name="grants", db_index=False
    )
    role = models.ForeignKey(Role, on_delete=models.CASCADE, null=True, related_name="grants", db_index=False)
    starts_at = models.DateTimeField()
    # The end that was planned, or the moment when somebody ended it before. Without a start it never held.
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=MAX_REASON)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    objects = GrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(resource__isnull=True) ^ Q(role__isnull=True), name="grant_of_one_thing"
            ),
            models.CheckConstraint(condition=Q(ends_at__gte=F("starts_at")), name="grant_ends_after_start"),
        ]
        indexes = [
            models.Index(fields=["ends_at", "id"], name="grant_end"),  # the lists
            models.Index(fields=["account", "ends_at", "id"], name="grant_of_account"),  # decisions
            models.Index(fields=["resource", "ends_at", "id"], name="grant_of_resource"),  # who reaches it
            models.Index(fields=["role", "ends_at", "id"], name="grant_of_role"),
        ]

    def __str__(self) -> str:
        return f"{self.account.email} to {self.target}"

    @property
    def target(self) -> Resource | Role:
        """What it opens."""
        target = self.resource or self.role
        assert target is not None  # noqa: S101  # a constraint of the table
        return target

    def state(self, at: dt.datetime | None = None) -> State:
        at = at or timezone.now()
        if self.ends_at <= at:
            return self.State.ENDED
        return self.State.UPCOMING if at < self.starts_at else self.State.CURRENT
