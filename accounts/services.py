"""What people do to accounts. What is done with a one-time link instead of an account is in `entrance`."""

import datetime as dt
from dataclasses import dataclass
from typing import Generic, TypeVar

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import timezone

from accounts import selectors, tokens
from accounts.models import INVITATION_VALID, PASSWORD_LINK_VALID, Account, Invitation, PasswordLink
from accounts.policy import Level
from audit.models import Activity
from audit.services import record, require
from audit.verbs import Verb
from events.topics import access_changed

CHANGE = "accounts.change"
LAST_ADMINISTRATOR = "{} is the last active administrator. Make somebody else an administrator first."


Link = TypeVar("Link", Invitation, PasswordLink)


class Refused(Exception):
    """What the actor may do, and yet not here and now. The message says why."""


class Forbidden(PermissionDenied):
    """What a rule about people forbids, whatever the level. The message says which; the attempt is recorded where
    every refused permission is."""


@dataclass(frozen=True, slots=True)
class Issued(Generic[Link]):
    """A one-time link to hand over. `token` is a secret and exists nowhere else."""

    link: Link
    token: str


# --- Levels and suspension ---------------------------------------------------------------------


@transaction.atomic
def level_change(*, actor: Account, account: Account, was: str, level: Level) -> bool:
    """Whether anything changed. `was` is the level that `actor` believes to change.

    Raises Refused where somebody else changed it meanwhile, Forbidden where it would leave nobody to administer,
    and for one's own level.
    """
    require(actor, CHANGE)
    account = _locked(account)
    if account.is_service:
        raise Refused("A service account is a user: it reaches resources, and has no way into this console.")
    if account.pk == actor.pk:
        raise Forbidden("You cannot change your own level. Ask another administrator to do it.")
    if level != Level.ADMIN:
        _forbid_last_administrator(account)
    if account.level == level:
        return False
    if account.level != was:
        raise Refused(
            f"{account} has the level {account.get_level_display()} by now: somebody else changed it meanwhile. "
            "Nothing was changed here."
        )
    account.level = level
    account.save(update_fields=["level"])
    record(
        actor=actor, verb=Verb.LEVEL_CHANGED, entity=account, before={"level": was}, after={"level": level}
    )
    access_changed(account=account.pk)
    return True


@transaction.atomic
def account_suspend(*, actor: Account, account: Account) -> bool:
    """Close the account and end its sessions at once. False when that was done already."""
    require(actor, CHANGE)
    account = _locked(account)
    if account.pk == actor.pk:
        raise Forbidden("You cannot suspend yourself. Ask another administrator to do it.")
    _forbid_last_administrator(account)
    if not account.is_active:
        return False
    account.is_active = False
    # Sessions stay dead when the account is opened again.
    account.session_epoch += 1
    account.save(update_fields=["is_active", "session_epoch"])
    PasswordLink.objects.filter(account=account).delete()
    record(actor=actor, verb=Verb.ACCOUNT_SUSPENDED, entity=account)
    access_changed(account=account.pk)
    return True


@transaction.atomic
def account_reinstate(*, actor: Account, account: Account) -> bool:
    """False when that was done already."""
    require(actor, CHANGE)
    account = _locked(account)
    if account.is_active:
        return False
    account.is_active = True
    account.session_epoch += 1  # also ends what began while it was closed
    account.save(update_fields=["is_active", "session_epoch"])
    record(actor=actor, verb=Verb.ACCOUNT_REINSTATED, entity=account)
    access_changed(account=account.pk)
    return True


def _locked(account: Account) -> Account:
    """`account` as it is now, with all administrators locked: of two who demote each other, one waits.

    Locked in one order, so that two transactions cannot wait for each other. On SQLite the transaction itself
    is the lock.
    """
    list(selectors.administrators().order_by("pk").select_for_update())
    return Account.objects.select_for_update().get(pk=account.pk)


def _forbid_last_administrator(account: Account) -> None:
    if selectors.is_last_administrator(account):
        raise Forbidden(LAST_ADMINISTRATOR.format(account))


# --- Invitations -------------------------------------------------------------------------------


@transaction.atomic
def invitation_create(*, actor: Account, email: str, level: Level) -> Issued[Invitation]:
    require(actor, CHANGE)
    email = email.lower()
    if Account.objects.filter(email=email).exists():
        raise ValidationError({"email": f"{email} has an account already."})
    token = tokens.new_token()
    invitation, created = Invitation.objects.get_or_create(
        email=email,
        defaults={
            "token_hash": tokens.hash_of(token),
            "level": level,
            "invited_by": actor,
            "expires_at": timezone.now() + INVITATION_VALID,
        },
    )
    if not created:
        raise ValidationError(
            {"email": f"{email} is invited already. Withdraw that invitation, or make a new link for it."}
        )
    record(actor=actor, verb=Verb.ACCOUNT_INVITED, entity=invitation, after={"email": email, "level": level})
    return Issued(invitation, token)


@transaction.atomic
def invitation_renew(*, actor: Account, invitation: Invitation) -> Issued[Invitation]:
    """A new link for the same invitation; the old one ends."""
    require(actor, CHANGE)
    invitation = Invitation.objects.select_for_update().get(pk=invitation.pk)
    token = tokens.new_token()
    invitation.token_hash = tokens.hash_of(token)
    invitation.expires_at = timezone.now() + INVITATION_VALID
    invitation.invited_by = actor
    invitation.save()
    after = {"email": invitation.email, "level": invitation.level}
    record(actor=actor, verb=Verb.ACCOUNT_INVITED, entity=invitation, after=after)
    return Issued(invitation, token)


@transaction.atomic
def invitation_withdraw(*, actor: Account, invitation: Invitation) -> bool:
    """False when it was accepted or withdrawn meanwhile."""
    require(actor, CHANGE)
    gone, _ = Invitation.objects.filter(pk=invitation.pk).delete()
    if gone:
        before = {"email": invitation.email, "level": invitation.level}
        record(actor=actor, verb=Verb.INVITATION_WITHDRAWN, entity=invitation, before=before)
    return bool(gone)


# --- Lost passwords and second factors ---------------------------------------------------------


@transaction.atomic
def password_link_create(*, actor: Account, account: Account) -> Issued[PasswordLink]:
    """A link that sets a new password. The old one works until it is used."""
    require(actor, CHANGE)
    account = Account.objects.select_for_update().get(pk=account.pk)
    if not account.is_active:
        raise Refused(f"{account} is suspended. Reinstate the account first.")
    if account.is_service:
        raise Refused("A service account has a token and no password.")
    issued = password_link_replace(account, valid=PASSWORD_LINK_VALID)
    record(actor=actor, verb=Verb.PASSWORD_LINK_MADE, entity=account)
    return issued


def password_link_replace(account: Account, *, valid: dt.timedelta) -> Issued[PasswordLink]:
    """A new link for `account`, whose row the caller has locked; the one before ends."""
    token, now = tokens.new_token(), timezone.now()
    values = {"token_hash": tokens.hash_of(token), "created_at": now, "expires_at": now + valid}
    link, _ = PasswordLink.objects.update_or_create(account=account, defaults=values)
    return Issued(link, token)


def second_factor_remove(*, actor: Account, account: Account) -> int:
    """Remove every second factor of somebody who lost theirs; how many there were, recovery codes not counted."""
    require(actor, CHANGE)
    return factors_remove(actor=actor, account=account)


@transaction.atomic
def factors_remove(*, actor: Account | None, account: Account) -> int:
    """The same for the console's own machine, where there is no actor and nobody to ask."""
    account = Account.objects.select_for_update().get(pk=account.pk)
    factors = Authenticator.objects.filter(user=account)
    types = sorted(factors.exclude(type=Authenticator.Type.RECOVERY_CODES).values_list("type", flat=True))
    factors.delete()
    if types:
        # Whoever has the lost factor may have a session as well.
        account.session_epoch += 1
        account.save(update_fields=["session_epoch"])
        record(actor=actor, verb=Verb.FACTOR_REMOVED, entity=account, before={"types": types})
        access_changed(account=account.pk)
    return len(types)


# --- One's own account -------------------------------------------------------------------------


@transaction.atomic
def name_change(*, actor: Account, name: str) -> None:
    account = Account.objects.select_for_update().get(pk=actor.pk)
    if account.name != name:
        before, account.name = account.name, name
        account.save(update_fields=["name"])
        record(
            actor=account,
            verb=Verb.ACCOUNT_RENAMED,
            entity=account,
            before={"name": before},
            after={"name": name},
        )


@transaction.atomic
def sessions_end(*, actor: Account) -> Account:
    """End every session of `actor`; the caller keeps the one at hand."""
    account = Account.objects.select_for_update().get(pk=actor.pk)
    account.session_epoch += 1
    account.save(update_fields=["session_epoch"])
    record(actor=account, verb=Verb.SESSIONS_ENDED, entity=account)
    access_changed(account=account.pk)
    return account


def proof_failed(
    *, by: Account | AnonymousUser, email: str, reason: str, account: Account | None = None
) -> None:
    """A wrong password, code or key. Whoever gave it is signed in already, or wanted to be, as `email`.

    Recorded for addresses nobody has as well: who tries many is worth seeing.
    """
    record(
        actor=by if by.is_authenticated else None,
        verb=Verb.CONFIRMATION_FAILED if by.is_authenticated else Verb.SIGN_IN_FAILED,
        entity=account,
        entity_name=email,
        after={"reason": reason},
        outcome=Activity.Outcome.DENIED,
    )
