"""How a machine is logged in, stays so, and is logged out."""

import datetime as dt
import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Account
from accounts.service_accounts import account_with_token
from accounts.tokens import hash_of, new_token
from audit.models import Activity
from audit.services import PermissionRequired, record
from audit.verbs import Verb
from authority.services import Issued, issue_client, revoke
from events.topics import access_changed
from logins.models import ClientLogin, LoginCertificate, PendingLogin
from sdm.pki import chain

State = PendingLogin.State

PENDING_FOR = dt.timedelta(minutes=10)
# An office behind one address may come to work at once; somebody who fills the table may not.
PENDING_FROM_NETWORK = 100
PENDING_IN_ALL = 5_000
# Consonants that look like no other letter or digit, and spell no words.
ALPHABET = "BCDFGHJKMNPQRSTVWXZ"
_SEEN_EVERY = dt.timedelta(minutes=5)
# Ended logins are of use for a while, to those who look what was there.
_REMEMBERED = dt.timedelta(days=30)
_SWEPT_AT_ONCE = 200


class TooManyPending(Exception):
    """More machines wait to be let in than may at once."""


class WrongToken(Exception):
    """No service account has this token, or it is suspended."""


class UnknownLogin(Exception):
    """There is no such login, or it is not theirs who ask for it."""


@dataclass(frozen=True, slots=True)
class Machine:
    host_name: str
    version: str
    address: str | None


@dataclass(frozen=True, slots=True)
class Begun:
    pending: PendingLogin
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    login: ClientLogin
    certificate: Issued


# --- Approved by a person ---------------------------------------------------------------------------


def login_begin(machine: Machine) -> Begun:
    """TooManyPending when as many as may wait already, from there or in all."""
    open_now = PendingLogin.objects.filter(expires_at__gt=timezone.now())
    network = network_of(machine.address)
    if open_now.filter(network=network).count() >= PENDING_FROM_NETWORK or open_now.count() >= PENDING_IN_ALL:
        raise TooManyPending
    secret = new_token()
    pending = PendingLogin.objects.create(
        **_columns(machine),
        network=network,
        secret_hash=hash_of(secret),
        code=_new_code(),
        expires_at=timezone.now() + PENDING_FOR,
    )
    return Begun(pending, secret)


@transaction.atomic
def login_decide(*, actor: Account, pending: PendingLogin, approve: bool) -> bool:
    """Let the machine speak for `actor`, or not. False when it was decided meanwhile, or is too old."""
    actor = Account.objects.select_for_update().get(pk=actor.pk)
    if actor.is_service or not actor.is_active:
        raise PermissionRequired("login")
    waiting = PendingLogin.objects.filter(pk=pending.pk, state=State.PENDING, expires_at__gt=timezone.now())
    state = State.APPROVED if approve else State.DENIED
    if not waiting.update(state=state, account=actor, epoch=actor.session_epoch):
        return False
    after = {"machine": pending.host_name, "address": pending.source_address, "code": pending.code}
    if approve:
        record(actor=actor, verb=Verb.LOGIN_APPROVED, entity=actor, after=after)
    else:
        record(actor=actor, verb=Verb.LOGIN_DENIED, entity_name=pending.host_name, after=after)
    return True


@transaction.atomic
def login_finish(*, login_id: str, secret: str, csr_pem: bytes) -> LoggedIn | PendingLogin:
    """The login, once after it was approved; until then what it waits for, and whether it was denied.

    UnknownLogin also when it has expired, or was fetched before. csr.BadRequest leaves it to be fetched.
    """
    rows = PendingLogin.objects.select_for_update(of=("self",)).select_related("account")
    pending = rows.filter(pk=login_id, expires_at__gt=timezone.now()).first()
    known = pending.secret_hash if pending else hash_of("")
    if not hmac.compare_digest(known, hash_of(secret)) or pending is None:
        raise UnknownLogin
    if pending.state != State.APPROVED or pending.account is None:
        return pending
    account = Account.objects.select_for_update().get(pk=pending.account.pk)
    pending.delete()
    if not account.is_active or account.session_epoch != pending.epoch:
        # Suspended, or signed out everywhere, after it was approved. It is gone, and stays so.
        return PendingLogin(state=State.DENIED)
    return _log_in(account, Machine(pending.host_name, pending.version, pending.source_address), csr_pem)


# --- By token ---------------------------------------------------------------------------------------


def login_with_token(*, token: str, csr_pem: bytes, machine: Machine) -> LoggedIn:
    """For service accounts. WrongToken is recorded, once a minute for each place it comes from."""
    try:
        return _with_token(token, csr_pem, machine)
    except WrongToken:
        if cache.add(f"login-failed:{network_of(machine.address)}", 1, 60):
            record(
                actor=None,
                verb=Verb.LOGIN_FAILED,
                entity_name=machine.host_name,
                outcome=Activity.Outcome.DENIED,
            )
        raise


@transaction.atomic
def _with_token(token: str, csr_pem: bytes, machine: Machine) -> LoggedIn:
    found = account_with_token(token)
    # Looked at again under the lock: it is not suspended, nor its token replaced, before this is done.
    account = Account.objects.select_for_update().filter(pk=found.pk).first() if found else None
    if account is None or account_with_token(token) is None:
        raise WrongToken
    logged_in = _log_in(account, machine, csr_pem)
    after = {"machine": machine.host_name, "login": logged_in.login.pk}
    record(actor=account, verb=Verb.LOGGED_IN, entity=account, after=after)
    return logged_in


# --- While it stands --------------------------------------------------------------------------------


@transaction.atomic
def login_renew(login: ClientLogin, *, csr_pem: bytes) -> Issued:
    """Another certificate for the same login. UnknownLogin when it was ended meanwhile."""
    # Of renewing and ending at once, one waits for the other.
    locked = ClientLogin.objects.select_for_update(of=("self",)).standing().filter(pk=login.pk).first()
    if locked is None:
        raise UnknownLogin
    return _issue(locked, csr_pem)


def login_seen(login: ClientLogin) -> None:
    now = timezone.now()
    if login.last_seen_at < now - _SEEN_EVERY:
        ClientLogin.objects.filter(pk=login.pk).update(last_seen_at=now)


@transaction.atomic
def login_end(*, actor: Account, login: ClientLogin) -> bool:
    """Log a machine out: its own `sdm logout`, its person in the console, or an administrator. Live sessions end."""
    if login.account_id != actor.pk and not actor.has_perm("accounts.change"):
        raise PermissionRequired("accounts.change")
    open_now = ClientLogin.objects.filter(pk=login.pk, ended_at=None)
    if not open_now.update(ended_at=timezone.now()):
        return False
    _revoke([login.pk], login.account_id, "The machine was logged out.")
    after = {"machine": login.host_name, "login": login.pk}
    record(actor=actor, verb=Verb.LOGGED_OUT, entity=login.account, after=after)
    access_changed(account=login.account_id)
    return True


# --- Upkeep -----------------------------------------------------------------------------------------


def logins_sweep() -> None:
    """Revoke what suspended accounts, or those whose sessions were ended, still hold; forget what is long over.

    Nothing waits for this: a login that does not stand gets nothing from here. Workers hear of it in the list of
    revoked certificates.
    """
    fallen = ClientLogin.objects.filter(ended_at=None).filter(
        Q(account__is_active=False) | ~Q(epoch=F("account__session_epoch"))
    )
    for account_id in list(fallen.order_by().values_list("account", flat=True).distinct()[:_SWEPT_AT_ONCE]):
        _end_fallen(account_id)
    now = timezone.now()
    PendingLogin.objects.filter(expires_at__lt=now).delete()
    old = ClientLogin.objects.filter(ends_at__lt=now - _REMEMBERED).order_by("ends_at")
    if found := list(old.values_list("pk", flat=True)[:_SWEPT_AT_ONCE]):
        ClientLogin.objects.filter(pk__in=found).delete()


@transaction.atomic
def _end_fallen(account_id: str) -> None:
    account = Account.objects.select_for_update().get(pk=account_id)
    fallen = ClientLogin.objects.filter(account=account, ended_at=None)
    if account.is_active:
        fallen = fallen.exclude(epoch=account.session_epoch)
    found = list(fallen.values_list("pk", flat=True))
    ClientLogin.objects.filter(pk__in=found).update(ended_at=timezone.now())
    _revoke(found, account_id, "The account was suspended, or signed out everywhere.")


# --- Shared -----------------------------------------------------------------------------------------


def network_of(address: str | None) -> str:
    """An IPv4 address, or the network of an IPv6 address that one subscriber has."""
    if address is None:
        return ""
    parsed = ipaddress.ip_address(address)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


def _log_in(account: Account, machine: Machine, csr_pem: bytes) -> LoggedIn:
    """`account` is locked by the caller."""
    login = ClientLogin.objects.create(
        **_columns(machine),
        account=account,
        epoch=account.session_epoch,
        ends_at=timezone.now() + dt.timedelta(hours=settings.LOGIN_HOURS),
    )
    return LoggedIn(login, _issue(login, csr_pem))


def _issue(login: ClientLogin, csr_pem: bytes) -> Issued:
    issued = issue_client(account_id=login.account_id, csr_pem=csr_pem)
    LoginCertificate.objects.create(
        fingerprint=chain.fingerprint(chain.read(issued.certificate)),
        serial=issued.serial,
        login=login,
        not_after=issued.not_after,
    )
    return issued


def _revoke(login_ids: list[str], account_id: str, reason: str) -> None:
    held = LoginCertificate.objects.filter(login__in=login_ids, not_after__gt=timezone.now())
    serials = list(held.values_list("serial", flat=True))
    revoke(actor=None, subject_id=account_id, reason=reason, serials=serials)


def _columns(machine: Machine) -> dict[str, str | None]:
    return {
        "host_name": machine.host_name,
        "version": machine.version,
        "source_address": machine.address,
    }


def _new_code() -> str:
    letters = [secrets.choice(ALPHABET) for _ in range(8)]
    return f"{''.join(letters[:4])}-{''.join(letters[4:])}"
