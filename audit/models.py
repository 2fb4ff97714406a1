from typing import Any, NoReturn

from django.conf import settings
from django.db import models

from sdm.contract import ids


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
    actor_name = models.CharField(max_length=254, blank=True)
    source_address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True)
    verb = models.CharField(max_length=64)
    outcome = models.CharField(max_length=8, choices=Outcome.choices, default=Outcome.DONE)
    entity_type = models.CharField(max_length=32, blank=True)
    entity_id = models.CharField(max_length=ids.MAX_LENGTH, blank=True)
    entity_name = models.CharField(max_length=254, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    objects = ActivityQuerySet.as_manager()

    class Meta:
        # Each index serves one filter of the activities page, newest first; ids grow with time.
        indexes = [
            models.Index(fields=["created_at", "id"], name="activity_time"),
            models.Index(fields=["actor", "id"], name="activity_actor"),
            models.Index(fields=["verb", "id"], name="activity_verb"),
            models.Index(fields=["entity_type", "id"], name="activity_entity_type"),
            models.Index(fields=["entity_id", "id"], name="activity_entity"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name or 'nobody'}: {self.verb} {self.entity_name}".rstrip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError("activities are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("activities are never removed")
