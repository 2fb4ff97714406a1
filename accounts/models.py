import datetime as dt
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils import timezone

from accounts import policy
from sdm.contract import ids

INVITATION_VALID = dt.timedelta(days=7)
# A link from an administrator or by mail, and one from the console's own machine.
PASSWORD_LINK_VALID = dt.timedelta(days=1)
RECOVERY_LINK_VALID = dt.timedelta(hours=1)


def new_account_id() -> str:
    return ids.new_id("a")


class AccountManager(BaseUserManager["Account"]):
    def get_by_natural_key(self, username: str | None) -> "Account":
        return self.get(email=(username or "").lower())


class Account(AbstractBaseUser):
    """A person who signs in, or a service. Accounts are suspended, never deleted, so that history keeps its actors."""

    id = models.CharField(primary_key=True, max_length=ids.MAX_LENGTH, default=new_account_id, editable=False)
    # Always lower case, so that one person cannot be two.
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=150, blank=True)
    level = models.CharField(max_length=16, choices=policy.Level.choices, default=policy.Level.USER)
    is_active = models.BooleanField(default=True)
    # A program, not a person: it has a token for `sdm login`, and no way into this console. Its address is
    # `name@service`, which nobody can be invited by.
    is_service = models.BooleanField(default=False)
    # Part of every session's hash: raising it ends all sessions of this person, and all logins of their machines,
    # for good.
    session_epoch = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[AccountManager] = AccountManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        indexes = [
            models.Index(fields=["level", "is_active"], name="account_level")
        ]  # "the last administrator"

    def __str__(self) -> str:
        return self.name or self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email.lower()
        super().save(*args, **kwargs)

    def has_perm(self, permission: str, obj: object = None) -> bool:
        """Whether this person may do `permission`, such as `clusters.change`. The one place that decides."""
        return policy.allows(self.level, permission, active=self.is_active)

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        return f"{self.session_epoch}:{super()._get_session_auth_hash(secret=secret)}"  # type: ignore[misc]  # private in Django, but the only hook that covers key rotation too


class ServiceToken(models.Model):
    """What a service account logs in with, as often as it likes. One each; only the hash is here."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="service_token")
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"token of {self.account_id}"


class OneTimeLink(models.Model):
    """A link that lets its bearer do one thing once. Whoever uses it removes the row; only the hash is here."""

    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True


class SetupLink(OneTimeLink):
    """Makes the first administrator. There is never more than this one row."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="setup_link_single")]

    def __str__(self) -> str:
        return "set-up link"


class Invitation(OneTimeLink):
    """Makes an account for somebody who was invited. One for each address; a new one replaces it."""

    email = models.EmailField(unique=True)
    level = models.CharField(max_length=16, choices=policy.Level.choices, default=policy.Level.USER)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.email

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()


class PasswordLink(OneTimeLink):
    """Sets a new password for somebody who lost the old one. One for each account; a new one replaces it."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="password_link")
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"password link of {self.account_id}"
