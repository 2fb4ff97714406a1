"""What people do who are not signed in: the bearer of a one-time link acts, once.

A link is used by removing its row. Of two who use it at once one removes it, and the other finds it gone.
"""

import datetime as dt

from django.db import transaction
from django.utils import timezone

from accounts import selectors, tokens
from accounts.models import (
    PASSWORD_LINK_VALID,
    RECOVERY_LINK_VALID,
    Account,
    Invitation,
    PasswordLink,
    SetupLink,
)
from accounts.policy import Level
from accounts.services import Issued, password_link_replace
from audit.services import record
from audit.verbs import Verb
from events.topics import access_changed


class LinkGone(Exception):
    """The link was used, replaced, withdrawn, or is too old."""


# --- The first administrator -------------------------------------------------------------------


def setup_link_issue() -> str:
    """The token of a new set-up link, which replaces the one before."""
    token = tokens.new_token()
    values = {"token_hash": tokens.hash_of(token), "created_at": timezone.now()}
    SetupLink.objects.update_or_create(pk=SetupLink.ONLY, defaults=values)
    return token


def setup_is_open(token: str) -> bool:
    link = SetupLink.objects.filter(token_hash=tokens.hash_of(token))
    return link.exists() and not selectors.administrator_exists()


@transaction.atomic
def first_administrator_create(*, token: str, email: str, name: str, password: str) -> Account:
    used, _ = SetupLink.objects.filter(token_hash=tokens.hash_of(token)).delete()
    if not used or selectors.administrator_exists():
        raise LinkGone
    return _account_create(email=email, name=name, level=Level.ADMIN, password=password)


# --- Invitations -------------------------------------------------------------------------------


def invitation_for(token: str) -> Invitation | None:
    return Invitation.objects.filter(token_hash=tokens.hash_of(token), expires_at__gt=timezone.now()).first()


@transaction.atomic
def invitation_accept(*, token: str, name: str, password: str) -> Account:
    invitation = invitation_for(token)
    if invitation is None:
        raise LinkGone
    # Renewed since it was read, it has another hash.
    used, _ = Invitation.objects.filter(pk=invitation.pk, token_hash=invitation.token_hash).delete()
    if not used or Account.objects.filter(email=invitation.email).exists():
        raise LinkGone
    return _account_create(
        email=invitation.email, name=name, level=Level(invitation.level), password=password
    )


def _account_create(*, email: str, name: str, level: Level, password: str) -> Account:
    account = Account(email=email, name=name, level=level)
    account.set_password(password)
    account.save()
    after = {"email": account.email, "name": name, "level": level}
    record(actor=account, verb=Verb.ACCOUNT_CREATED, entity=account, after=after)
    return account


# --- Lost passwords ----------------------------------------------------------------------------


def password_link_for(token: str) -> PasswordLink | None:
    links = PasswordLink.objects.select_related("account")
    return links.filter(
        token_hash=tokens.hash_of(token), expires_at__gt=timezone.now(), account__is_active=True
    ).first()


@transaction.atomic
def password_set(*, token: str, password: str) -> Account:
    """Sets the password, which ends all sessions. Second factors stay: the next sign-in asks for them."""
    link = password_link_for(token)
    if link is None:
        raise LinkGone
    used, _ = PasswordLink.objects.filter(pk=link.pk, token_hash=link.token_hash).delete()
    if not used:
        raise LinkGone
    account = Account.objects.select_for_update().get(pk=link.account_id)
    account.set_password(password)
    account.session_epoch += 1  # machines that the old password let in are out as well
    account.save(update_fields=["password", "session_epoch"])
    record(actor=account, verb=Verb.PASSWORD_CHANGED, entity=account)
    access_changed(account=account.pk)
    return account


def password_link_request(*, email: str) -> Issued[PasswordLink] | None:
    """A link to mail to whoever asked for it; None where there is nobody to mail it to."""
    return _password_link_issue(email, valid=PASSWORD_LINK_VALID)


def password_link_recover(*, email: str) -> Issued[PasswordLink] | None:
    """A link for the console's own machine: whoever can run its commands may let anybody in."""
    return _password_link_issue(email, valid=RECOVERY_LINK_VALID)


@transaction.atomic
def _password_link_issue(email: str, *, valid: dt.timedelta) -> Issued[PasswordLink] | None:
    people = Account.objects.select_for_update().filter(is_active=True, is_service=False)
    account = people.filter(email=email.lower()).first()
    if account is None:
        return None
    issued = password_link_replace(account, valid=valid)
    record(actor=None, verb=Verb.PASSWORD_LINK_MADE, entity=account)
    return issued
