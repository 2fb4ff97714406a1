import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from clusters.models import Cluster
from sdm.contract import ids


def new_key_id() -> str:
    return ids.new_id("gk")


class ClusterKey(models.Model):
    """What lets workers join a cluster. The id is the access key; the secret key is not here.

    The secret key is an Ed25519 seed that was shown once; `public_key` (32 bytes) checks its signatures.
    """

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=new_key_id, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="keys")
    public_key = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    last_used_at = models.DateTimeField(null=True)
    last_used_by = models.CharField(
        max_length=255, blank=True, help_text="Host name of the worker that used it last"
    )
    # The form that asked for this key: sent twice, it makes no second one.
    request_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)

    class Meta:
        ordering = ["created_at", "id"]

    def __str__(self) -> str:
        return self.id
