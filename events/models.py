from typing import ClassVar

from django.db import models
from django.utils import timezone


class EventRow(models.Model):
    """An event on its way, where the database itself carries none (SQLite). Read once, purged soon."""

    topic = models.CharField(max_length=100)
    payload = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return self.topic


class Lease(models.Model):
    """Which process does a job that only one may do, and until when nobody else may take it over."""

    job = models.CharField(primary_key=True, max_length=50)
    holder = models.CharField(max_length=64)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.job}: {self.holder}"
