"""What the pages about people read."""

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404

from accounts.models import Account, Invitation
from accounts.policy import Level
from audit.services import Actor, require

# More than a handful at a time is rare; the page tells how many are not shown.
INVITATIONS_SHOWN = 50


def accounts() -> QuerySet[Account]:
    """Each with `has_second_factor`. Recovery codes alone protect nothing."""
    factors = Authenticator.objects.filter(user=OuterRef("pk"))
    return Account.objects.annotate(
        has_second_factor=Exists(factors.exclude(type=Authenticator.Type.RECOVERY_CODES))
    )


def people() -> QuerySet[Account]:
    """Those that are no services."""
    return accounts().filter(is_service=False)


def service_accounts() -> QuerySet[Account]:
    return Account.objects.filter(is_service=True).select_related("service_token__created_by")


def service_account_or_404(actor: Actor, account_id: str, permission: str) -> Account:
    account = account_or_404(actor, account_id, permission)
    if not account.is_service:
        raise Http404
    return account


def invitations() -> QuerySet[Invitation]:
    return Invitation.objects.select_related("invited_by").order_by("-created_at", "-pk")


def administrators() -> QuerySet[Account]:
    """Those who can administer now."""
    return Account.objects.filter(level=Level.ADMIN, is_active=True)


def is_last_administrator(account: Account) -> bool:
    """For pages; the services look again under a lock."""
    return (
        account.level == Level.ADMIN
        and account.is_active
        and not administrators().exclude(pk=account.pk).exists()
    )


def administrator_exists() -> bool:
    """Whether there ever was a set-up, also when every administrator is suspended."""
    return Account.objects.filter(level=Level.ADMIN).exists()


def account_or_404(actor: Actor, account_id: str, permission: str = "accounts.view") -> Account:
    """Asks for the permission first: who may not see people learns nothing about which there are."""
    require(actor, permission)
    account = accounts().filter(pk=account_id).first() if "\0" not in account_id else None
    if account is None:
        raise Http404
    return account


def invitation_or_404(actor: Actor, pk: int) -> Invitation:
    require(actor, "accounts.change")
    invitation = Invitation.objects.filter(pk=pk).first()
    if invitation is None:
        raise Http404
    return invitation
