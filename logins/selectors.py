"""Whose login a certificate is of, and whether it stands."""

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone

from accounts.models import Account
from audit.services import Actor
from authority.models import Certificate, Purpose
from authority.selectors import identify
from logins.models import ClientLogin, LoginCertificate, PendingLogin
from sdm.contract.endings import Ending
from sdm.pki import chain

# A service account may log in from many machines; the page says when there are more.
LOGINS_SHOWN = 100


class LoginOver(Exception):
    """A machine is not logged in (any more). The message is for its person; `ending` is what its sessions end by."""

    def __init__(self, message: str, ending: Ending = Ending.LOGGED_OUT) -> None:
        super().__init__(message)
        self.ending = ending


def login_shown(certificate: x509.Certificate) -> ClientLogin:
    """The login whose certificate a peer shows and has proved to have the key of; LoginOver when it does not stand,
    an `sdm.pki.chain.Untrusted` when the certificate is not to be accepted."""
    identify(Purpose.CLIENT, certificate.public_bytes(Encoding.PEM))
    return standing_login(chain.fingerprint(certificate))


def login_to_renew(certificate: x509.Certificate) -> ClientLogin:
    """The same, for a certificate that may have expired: the machine slept, and its login goes on."""
    serial = chain.serial_of(certificate)
    if Certificate.objects.filter(serial=serial).exclude(revoked_at=None).exists():
        raise LoginOver(_ENDED)
    return standing_login(chain.fingerprint(certificate))


def standing_login(fingerprint: str) -> ClientLogin:
    """The login that the certificate with this fingerprint was given to; LoginOver when it does not stand."""
    rows = LoginCertificate.objects.select_related("login__account")
    row = rows.filter(pk=fingerprint).first()
    if row is None:
        raise LoginOver(_ENDED)
    check_standing(row.login, timezone.now())
    return row.login


def live_login(fingerprint: str) -> ClientLogin:
    """The same, and the certificate itself would be accepted now."""
    login = standing_login(fingerprint)
    serials = LoginCertificate.objects.filter(pk=fingerprint).values("serial")
    if not Certificate.objects.live().filter(serial__in=serials).exists():
        raise LoginOver("The certificate of this machine has expired, or was revoked.")
    return login


_ENDED = "This machine was logged out. Log in again with sdm login."


def check_standing(login: ClientLogin, at: dt.datetime) -> None:
    """`login` with its account; the same as `ClientLoginQuerySet.standing`, in words."""
    if not login.account.is_active:
        raise LoginOver(f"The account {login.account.email} is suspended.", Ending.SUSPENDED)
    if login.ended_at is not None or login.epoch != login.account.session_epoch:
        raise LoginOver(_ENDED)
    if login.ends_at <= at:
        ended = f"{login.ends_at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
        raise LoginOver(f"The login of this machine ended at {ended}. Log in again with sdm login.")


def login_of_session(account_id: str, fingerprint: str) -> ClientLogin:
    """The login that a live session began with; LoginOver when it does not stand.

    A session can outlive what is remembered of its certificate: then any login of the account will do.
    """
    row = LoginCertificate.objects.select_related("login__account").filter(pk=fingerprint).first()
    login = row.login if row else _latest_of(account_id)
    if login is None or login.account_id != account_id:
        raise LoginOver(_ENDED)
    check_standing(login, timezone.now())
    return login


def _latest_of(account_id: str) -> ClientLogin | None:
    rows = ClientLogin.objects.select_related("account").filter(account=account_id)
    return rows.standing().order_by("-ends_at").first()


# --- For pages --------------------------------------------------------------------------------------


def pending_or_404(login_id: str) -> PendingLogin:
    """One that can be decided, or was a moment ago. Any person may look at any: the code is what they compare."""
    pending = PendingLogin.objects.filter(pk=login_id, expires_at__gt=timezone.now()).first()
    if pending is None:
        raise Http404
    return pending


def logins_of(account: Account) -> QuerySet[ClientLogin]:
    """The machines that are logged in, the last first."""
    return ClientLogin.objects.standing().filter(account=account).order_by("-created_at", "-pk")


def login_or_404(actor: Actor, login_id: str) -> ClientLogin:
    """One's own, or anybody's for those who change accounts; somebody else's is not found by others."""
    login = ClientLogin.objects.select_related("account").filter(pk=login_id).first()
    if login is None or (login.account_id != actor.id and not actor.has_perm("accounts.change")):
        raise Http404
    return login
