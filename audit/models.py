"""The log of what happened, append-only: activities of the console, and the sessions and queries of people.

Nothing removes activities after a while. An installation that must, does so in the database, with the guards
of `audit.append_only` lifted by its owner. Sessions and queries are kept for a time that is set, since there are
many of them; what a query was can no more be changed than an activity, only how it ended is added.
"""

import datetime as dt
from functools import cached_property
from typing import Any, NoReturn

from django.conf import settings
from django.db import models

from audit.verbs import Verb
from sdm.contract import ids

MAX_NAME = 254
MAX_USER_AGENT = 300
MAX_KIND = 64
MAX_WORDS = 500
# Of a query's text, in characters.
MAX_BEGINNING = 2_000

RUNNING = models.Q(ended_at__isnull=True)

_PHRASES = {verb.value: verb.phrase for verb in Verb}
_BY = {verb.value: verb.by for verb in Verb}


class AppendOnlyError(Exception):
    """Someone tried to change or remove history."""


class ActivityQuerySet(models.QuerySet["Activity"]):
    """Reads only: what was recorded stays as it was."""

    def update(self, **values: Any) -> NoReturn:
        raise AppendOnlyError("activities are never changed")

    def delete(self) -> NoReturn:
        raise AppendOnlyError("activities are never removed")


class Activity(models.Model):
    """One thing that somebody did, or was refused.

    `before` and `after` hold the fields that changed, never a secret. The names of actor and entity
    are copies: what happened stays readable after they are renamed or gone.
    """

    class Outcome(models.TextChoices):
        DONE = "done", "Done"
        DENIED = "denied", "Denied"

    id = models.BigAutoField(primary_key=True)
    created_at = models.DateTimeField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        # People are suspended, never deleted.
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        # The index below leads with the actor.
        db_index=False,
    )
    actor_name = models.CharField(max_length=MAX_NAME, blank=True)
    source_address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=MAX_USER_AGENT, blank=True)
    verb = models.CharField(max_length=64)
    outcome = models.CharField(max_length=8, choices=Outcome.choices, default=Outcome.DONE)
    entity_type = models.CharField(max_length=32, blank=True)
    entity_id = models.CharField(max_length=ids.MAX_LENGTH, blank=True)
    entity_name = models.CharField(max_length=MAX_NAME, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    objects = ActivityQuerySet.as_manager()

    class Meta:
        # Each serves one filter of the activities page in the page's order, with a span of time or without.
        indexes = [
            models.Index(fields=["created_at", "id"], name="activity_time"),
            models.Index(fields=["actor", "created_at", "id"], name="activity_actor"),
            models.Index(fields=["verb", "created_at", "id"], name="activity_verb"),
            models.Index(fields=["outcome", "created_at", "id"], name="activity_outcome"),
            models.Index(fields=["entity_type", "created_at", "id"], name="activity_entity_type"),
            models.Index(fields=["entity_id", "created_at", "id"], name="activity_entity"),
            models.Index(fields=["entity_name", "created_at", "id"], name="activity_entity_name"),
        ]

    def __str__(self) -> str:
        return f"{self.who} {self.phrase.format(entity=self.whom)}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError("activities are never changed")
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("activities are never removed")

    @property
    def who(self) -> str:
        if self.actor_name:
            return self.actor_name
        if by := _BY.get(self.verb):
            return by
        # Nobody is signed in: a stranger has an address, a command on the console's machine has none.
        return "Somebody" if self.source_address else "The command line"

    @property
    def whom(self) -> str:
        """The entity in a sentence."""
        if self.entity_id and self.entity_id == self.actor_id:
            return "their own account"
        return self.entity_name

    @cached_property
    def phrase(self) -> str:
        """What follows the actor's name, with `{entity}` where the entity's belongs."""
        # A verb of another version of the console is shown as it is.
        return _PHRASES.get(self.verb, f"{self.verb} {{entity}}").rstrip()


class Session(models.Model):
    """A person's connection to a resource through a worker.

    Of accounts, resources and clusters it has copies, not references: a worker may tell of what was deleted
    meanwhile, and what happened stays readable.
    """

    # As the worker named it: `s-` and 16 hexadecimal digits.
    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH)
    account_id = models.CharField(max_length=ids.MAX_LENGTH, blank=True)
    account_name = models.CharField(max_length=MAX_NAME, blank=True)
    resource_id = models.CharField(max_length=ids.MAX_LENGTH, blank=True)
    resource_name = models.CharField(max_length=MAX_NAME, blank=True)
    kind = models.CharField(max_length=MAX_KIND, blank=True)
    cluster_id = models.CharField(max_length=ids.MAX_LENGTH)
    cluster_name = models.CharField(max_length=MAX_NAME)
    worker_id = models.CharField(max_length=ids.MAX_LENGTH, blank=True)
    client_address = models.GenericIPAddressField(null=True)
    started_at = models.DateTimeField()
    # Missing while it runs.
    ended_at = models.DateTimeField(null=True)
    # One of `sdm.contract.endings`, and its sentence or a better one.
    ending = models.CharField(max_length=32, blank=True)
    ending_words = models.CharField(max_length=MAX_WORDS, blank=True)
    # So far, while it runs.
    requests = models.PositiveBigIntegerField(default=0)
    # Known when it has ended.
    bytes_sent = models.PositiveBigIntegerField(null=True)
    bytes_received = models.PositiveBigIntegerField(null=True)
    # An administrator wants it to end; the worker is told, and says when it has.
    end_requested_at = models.DateTimeField(null=True)
    end_requested_by = models.CharField(max_length=MAX_NAME, blank=True)

    class Meta:
        # Each serves one filter of the sessions page in the page's order.
        indexes = [
            models.Index(fields=["started_at", "id"], name="session_time"),
            models.Index(fields=["account_id", "started_at", "id"], name="session_account"),
            models.Index(fields=["resource_id", "started_at", "id"], name="session_resource"),
            models.Index(fields=["cluster_id", "started_at", "id"], name="session_cluster"),
            models.Index(fields=["kind", "started_at", "id"], name="session_kind"),
            # Those that run: the page's filter, and what is closed when their worker is gone.
            models.Index(fields=["started_at", "id"], condition=RUNNING, name="session_running"),
            models.Index(fields=["worker_id"], condition=RUNNING, name="session_of_worker"),
            # What is named in a filter.
            models.Index(fields=["resource_name", "resource_id"], name="session_resource_name"),
            models.Index(fields=["cluster_name", "cluster_id"], name="session_cluster_name"),
            # Retention.
            models.Index(fields=["ended_at"], name="session_ended"),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def is_running(self) -> bool:
        return self.ended_at is None

    @property
    def who(self) -> str:
        return self.account_name or self.account_id or "unknown"

    @property
    def what(self) -> str:
        return self.resource_name or self.resource_id or "unknown"


class Query(models.Model):
    """A request of a session: a query, a command, or method and path."""

    # The session's id and the request's number, as in `s-5d41402abc4b2a76-12`: delivered twice, it is stored once.
    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH + 21)
    # Queries are stored after their session and removed before it.
    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="queries", db_index=False)
    number = models.PositiveBigIntegerField()
    # Of the session: what queries are found by.
    account_id = models.CharField(max_length=ids.MAX_LENGTH, blank=True)
    resource_id = models.CharField(max_length=ids.MAX_LENGTH, blank=True)
    cluster_id = models.CharField(max_length=ids.MAX_LENGTH)
    kind = models.CharField(max_length=MAX_KIND, blank=True)
    started_at = models.DateTimeField()
    # The beginning is what lists show and what is searched; hardly any query is longer.
    text = models.CharField(max_length=MAX_BEGINNING, blank=True)
    text_rest = models.TextField(blank=True)
    # In bytes, of the whole text as it was sent; less of it may be here.
    text_length = models.PositiveBigIntegerField(default=0)
    is_cut = models.BooleanField(default=False)
    # Hexadecimal, of the whole text.
    sha256 = models.CharField(max_length=64, blank=True)
    # Bind values, None for NULL. There were more of them, or longer ones, when they are cut; how many there were, and
    # how many bytes the last one had when it is cut, is missing where older workers did not say.
    parameters = models.JSONField(null=True)
    parameters_cut = models.BooleanField(default=False)
    parameters_total = models.PositiveBigIntegerField(null=True)
    parameters_last_length = models.PositiveBigIntegerField(null=True)
    # Missing until it has ended.
    microseconds = models.PositiveBigIntegerField(null=True)
    rows = models.PositiveBigIntegerField(null=True)
    bytes_sent = models.PositiveBigIntegerField(null=True)
    bytes_received = models.PositiveBigIntegerField(null=True)
    result = models.CharField(max_length=MAX_WORDS, blank=True)
    # A SQLSTATE, an HTTP status; empty when it went well.
    error = models.CharField(max_length=MAX_WORDS, blank=True)

    class Meta:
        # Each serves one filter of the queries page in the page's order.
        indexes = [
            models.Index(fields=["started_at", "id"], name="query_time"),
            models.Index(fields=["account_id", "started_at", "id"], name="query_account"),
            models.Index(fields=["resource_id", "started_at", "id"], name="query_resource"),
            models.Index(fields=["cluster_id", "started_at", "id"], name="query_cluster"),
            models.Index(fields=["kind", "started_at", "id"], name="query_kind"),
            models.Index(fields=["sha256", "started_at", "id"], name="query_same_text"),
            models.Index(fields=["session", "number"], name="query_of_session"),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def has_ended(self) -> bool:
        return self.microseconds is not None

    @property
    def duration(self) -> dt.timedelta | None:
        return None if self.microseconds is None else dt.timedelta(microseconds=self.microseconds)
