"""What allauth reports is recorded: its signals are how it tells."""

from typing import Any

from allauth.account.signals import password_changed, user_logged_in
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import (
    authentication_failed,
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
)
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.models import Account
from accounts.services import proof_failed
from audit.services import record
from audit.verbs import Verb


@receiver(user_logged_in)
def signed_in(request: HttpRequest, user: Account, **kwargs: Any) -> None:
    record(actor=user, verb=Verb.SIGNED_IN, entity=user)


@receiver(user_logged_out)
def signed_out(request: HttpRequest, user: Account | None, **kwargs: Any) -> None:
    if user is not None:
        record(actor=user, verb=Verb.SIGNED_OUT, entity=user)


@receiver(password_changed)
def changed_password(request: HttpRequest, user: Account, **kwargs: Any) -> None:
    record(actor=user, verb=Verb.PASSWORD_CHANGED, entity=user)


@receiver(authentication_failed)
def failed_second_factor(request: HttpRequest, user: Account, **kwargs: Any) -> None:
    proof_failed(by=request.user, email=user.email, reason="wrong code", account=user)


@receiver(authenticator_added)
def added_factor(request: HttpRequest, user: Account, authenticator: Authenticator, **kwargs: Any) -> None:
    codes = authenticator.type == Authenticator.Type.RECOVERY_CODES
    verb = Verb.RECOVERY_CODES_MADE if codes else Verb.FACTOR_ADDED
    record(actor=user, verb=verb, entity=user, after=None if codes else {"type": authenticator.type})


@receiver(authenticator_reset)
def renewed_recovery_codes(request: HttpRequest, user: Account, **kwargs: Any) -> None:
    record(actor=user, verb=Verb.RECOVERY_CODES_MADE, entity=user)


@receiver(authenticator_removed)
def removed_factor(request: HttpRequest, user: Account, authenticator: Authenticator, **kwargs: Any) -> None:
    record(actor=user, verb=Verb.FACTOR_REMOVED, entity=user, before={"type": authenticator.type})
