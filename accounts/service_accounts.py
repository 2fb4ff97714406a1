"""Accounts of programs: what is done to them, and how one is known by its token."""

from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts import tokens
from accounts.models import Account, ServiceToken
from accounts.policy import Level
from accounts.services import CHANGE
from audit.services import record, require
from audit.verbs import Verb
from events.topics import access_changed

# By which a scanner knows one in a place where it should not be.
TOKEN_PREFIX = "sdmst_"  # noqa: S105  # the beginning of every token
# With more, it is somebody who tries what a megabyte does.
_MAX_TOKEN = 200


@dataclass(frozen=True, slots=True)
class Issued:
    """A token to hand over: it is a secret and exists nowhere else."""

    account: Account
    token: str = field(repr=False)


def address_of(name: str) -> str:
    return f"{name.lower()}@service"


@transaction.atomic
def service_account_create(*, actor: Account, name: str) -> Issued:
    """ValidationError when the name is taken."""
    require(actor, CHANGE)
    values = {"name": name, "level": Level.USER, "is_service": True}
    account, created = Account.objects.get_or_create(email=address_of(name), defaults=values)
    if not created:
        raise ValidationError({"name": f"There is a service account {account.name} already."})
    account.set_unusable_password()
    account.save(update_fields=["password"])
    record(actor=actor, verb=Verb.SERVICE_ACCOUNT_CREATED, entity=account, after={"name": name})
    return Issued(account, _replace_token(actor, account))


@transaction.atomic
def service_token_renew(*, actor: Account, account: Account) -> Issued:
    """A new token; the old one, and every login that was made with it, ends."""
    require(actor, CHANGE)
    account = Account.objects.select_for_update().get(pk=account.pk, is_service=True)
    account.session_epoch += 1
    account.save(update_fields=["session_epoch"])
    token = _replace_token(actor, account)
    record(actor=actor, verb=Verb.SERVICE_TOKEN_REPLACED, entity=account)
    access_changed(account=account.pk)
    return Issued(account, token)


def _replace_token(actor: Account, account: Account) -> str:
    token = TOKEN_PREFIX + tokens.new_token()
    values = {"token_hash": tokens.hash_of(token), "created_at": timezone.now(), "created_by": actor}
    ServiceToken.objects.update_or_create(account=account, defaults=values)
    return token


def account_with_token(token: str) -> Account | None:
    """The service account whose token it is, unless it is suspended."""
    if not token.startswith(TOKEN_PREFIX) or len(token) > _MAX_TOKEN:
        return None
    accounts = Account.objects.filter(is_service=True, is_active=True)
    return accounts.filter(service_token__token_hash=tokens.hash_of(token)).first()
