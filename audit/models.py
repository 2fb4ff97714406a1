"""The log of what happened: append-only, and kept for good.

Nothing removes activities after a while. An installation that must, does so in the database, with the guards
of `audit.append_only` lifted by its owner.
"""

from functools import cached_property
from typing import Any, NoReturn

from django.conf import settings
from django.db import models

from audit.verbs import Verb
from sdm.contract import ids

MAX_NAME = 254
MAX_USER_AGENT = 300

_PHRASES = {verb.value: verb.phrase for verb in Verb}


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
