"""Giving access to people, for good by a role and for a while by a grant, and taking it away. Each function is one
act, as in `access.services`."""

import datetime as dt

from django.db import transaction
from django.utils import timezone

from access.decisions import Decision
from access.models import MAX_GRANT, MAX_ROLES, Attachment, Grant, Role
from access.services import Refused
from accounts.models import Account
from audit.models import Activity
from audit.refusals import A_MINUTE_AT_MOST, MINUTE
from audit.services import record, require
from audit.verbs import Verb
from events.topics import access_changed
from resources.models import Resource


def account_attach(*, actor: Account, account: Account, role: Role) -> Attachment:
    """Refused where the account has the role, or as many as can be. Role.DoesNotExist when it is gone."""
    require(actor, "access.change")
    with transaction.atomic():
        role = Role.objects.select_for_update(no_key=True).get(pk=role.pk)
        account = Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if account.attachments.filter(role=role).exists():
            raise Refused(f"{account} has the role {role.name} already.")
        if account.attachments.count() >= MAX_ROLES:
            raise Refused(
                f"{account} has {MAX_ROLES} roles already, which is the most that somebody can have."
            )
        attachment = Attachment.objects.create(account=account, role=role, created_by=actor)
        after = {"account": account.email, "account_id": account.pk, "role": role.name, "role_id": role.pk}
        record(actor=actor, verb=Verb.ROLE_ATTACHED, entity=attachment, after=after)
        access_changed(account=account.pk)
    return attachment


def account_detach(*, actor: Account, attachment: Attachment) -> bool:
    """False when it was taken away meanwhile."""
    require(actor, "access.change")
    with transaction.atomic():
        account, role = attachment.account, attachment.role
        gone, _ = Attachment.objects.filter(pk=attachment.pk).delete()
        if not gone:
            return False
        before = {"account": account.email, "account_id": account.pk, "role": role.name, "role_id": role.pk}
        record(actor=actor, verb=Verb.ROLE_DETACHED, entity=attachment, before=before)
        access_changed(account=account.pk)
    return True


# --- For a while --------------------------------------------------------------------------------


def grant_create(
    *,
    actor: Account,
    account: Account,
    target: Resource | Role,
    starts_at: dt.datetime,
    ends_at: dt.datetime,
    reason: str,
) -> Grant:
    """Refused where the times make no sense, or when what it would open is gone."""
    require(actor, "access.change")
    if problem := period_problem(starts_at, ends_at):
        raise Refused(problem)
    with transaction.atomic():
        # It stays until the transaction ends.
        locked = type(target)._default_manager.select_for_update(no_key=True).filter(pk=target.pk).first()
        if locked is None:
            raise Refused(f"{target} was deleted meanwhile.")
        grant = Grant.objects.create(
            account=account,
            resource=locked if isinstance(locked, Resource) else None,
            role=locked if isinstance(locked, Role) else None,
            starts_at=starts_at,
            ends_at=ends_at,
            reason=reason,
            created_by=actor,
        )
        record(actor=actor, verb=Verb.GRANT_CREATED, entity=grant, after=_recorded(grant))
        access_changed(account=account.pk)
    return grant


def period_problem(starts_at: dt.datetime, ends_at: dt.datetime) -> str:
    """Why a grant cannot have these times; empty when it can."""
    if ends_at <= starts_at:
        return "The end must be after the start."
    if ends_at <= timezone.now():
        return "The end is over already. Choose one that is still to come."
    if ends_at - starts_at > MAX_GRANT:
        return f"Temporary access lasts {MAX_GRANT.days} days at most. For longer, give a role."
    return ""


def grant_end(*, actor: Account, grant: Grant) -> bool:
    """End it now, or before it begins. False when it had ended already."""
    require(actor, "access.change")
    now = timezone.now()
    with transaction.atomic():
        end = max(now, grant.starts_at)
        holding = Grant.objects.filter(pk=grant.pk, ends_at__gt=now, ended_by__isnull=True)
        if not holding.update(ends_at=end, ended_by=actor):
            return False
        before, after = {"ends": grant.ends_at.isoformat()}, {"ends": end.isoformat()}
        record(actor=actor, verb=Verb.GRANT_ENDED, entity=grant, before=before, after=after)
        access_changed(account=grant.account_id)
    return True


def _recorded(grant: Grant) -> dict[str, str]:
    what = "role" if grant.role_id else "resource"
    return {
        "account": grant.account.email,
        "account_id": grant.account_id,
        what: grant.target.name,
        f"{what}_id": grant.target.pk,
        "starts": grant.starts_at.isoformat(),
        "ends": grant.ends_at.isoformat(),
        "reason": grant.reason,
    }


# --- Refused ------------------------------------------------------------------------------------


def refusal_record(*, actor: Account, resource: Resource, decision: Decision) -> None:
    """Record that `actor` was refused `resource`: by whoever acts on a decision, once for each attempt.

    As with other refusals, what somebody repeats all the time does not fill the log.
    """
    recent = Activity.objects.filter(
        actor=actor, verb=Verb.ACCESS_REFUSED, created_at__gt=timezone.now() - MINUTE
    ).count()
    if decision.refusal is None or recent >= A_MINUTE_AT_MOST:
        return
    after = {"reason": decision.refusal.value, "words": decision.sentence}
    record(
        actor=actor,
        verb=Verb.ACCESS_REFUSED,
        entity=resource,
        after=after,
        outcome=Activity.Outcome.DENIED,
    )
