"""Logins that wait for a person, and those that stand, with the certificates that they were given."""

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from sdm.contract import ids
from sdm.contract.address import MAX_HOST_LENGTH

MAX_VERSION = 64


def new_pending_id() -> str:
    return ids.new_id("lg")


def new_login_id() -> str:
    return ids.new_id("cl")


class Machine(models.Model):
    """What `sdm` says of where it runs, and where that was seen to be."""

    host_name = models.CharField(max_length=MAX_HOST_LENGTH)
    version = models.CharField(max_length=MAX_VERSION, blank=True)
    source_address = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True


class PendingLogin(Machine):
    """A machine that asks to be logged in. A person decides in the browser, and then it fetches its certificate."""

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        APPROVED = "approved", "Approved"
        DENIED = "denied", "Denied"

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=new_pending_id, editable=False)
    # By which the one who began is known; the hash of it.
    secret_hash = models.CharField(max_length=64)
    # Shown on the terminal and in the browser, to be compared by eye.
    code = models.CharField(max_length=9)
    # What the number of those that wait is counted by: an IPv4 address, or an IPv6 network.
    network = models.CharField(max_length=64)
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    # Who decided, and the epoch of their sessions then.
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    epoch = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["network", "expires_at"], name="pending_login_network"),  # counting
            models.Index(fields=["expires_at"], name="pending_login_expiry"),  # removing
        ]

    def __str__(self) -> str:
        return f"{self.code} from {self.host_name}"

    @property
    def is_open(self) -> bool:
        """Whether it still can be decided."""
        return self.state == self.State.PENDING and self.expires_at > timezone.now()


class ClientLoginQuerySet(models.QuerySet["ClientLogin"]):
    def standing(self, at: dt.datetime | None = None) -> "ClientLoginQuerySet":
        """Those that may renew their certificate and ask for tickets."""
        return self.filter(
            ended_at=None,
            ends_at__gt=at or timezone.now(),
            account__is_active=True,
            epoch=models.F("account__session_epoch"),
        )


class ClientLogin(Machine):
    """A machine that speaks for an account, until its end or somebody ends it. It renews its certificate meanwhile."""

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=new_login_id, editable=False)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="client_logins", db_index=False
    )
    # The account's `session_epoch` when it began. What ends the sessions of the account ends this as well.
    epoch = models.PositiveIntegerField()
    ends_at = models.DateTimeField()
    # To some minutes: not every call is a write.
    last_seen_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    objects = ClientLoginQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["account", "created_at", "id"], name="login_of_account"),
            # Those that upkeep looks after.
            models.Index(fields=["ends_at"], condition=Q(ended_at=None), name="login_open"),
        ]

    def __str__(self) -> str:
        return self.host_name


class LoginCertificate(models.Model):
    """A certificate that a login was given. Kept as long as the login, so that a session that outlives the
    certificate it began with is still known to be of this login."""

    fingerprint = models.CharField(primary_key=True, max_length=64)
    serial = models.CharField(max_length=40)
    login = models.ForeignKey(ClientLogin, on_delete=models.CASCADE, related_name="certificates")
    not_after = models.DateTimeField()

    def __str__(self) -> str:
        return f"certificate of {self.login_id}"
