"""Where allauth asks us: how sign-in is limited and recorded, what stays sealed, where it may lead."""

import base64
from typing import Any

import qrcode
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme
from qrcode.image.svg import SvgPathFillImage

import sealing
from accounts import reauthentication
from accounts.factors import SEALED_FOR
from accounts.models import Account
from accounts.services import proof_failed
from audit.middleware import client_address
from events.topics import access_changed


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "This address and this password do not belong together.",
        "too_many_login_attempts": "Too many attempts. Wait five minutes, then try again.",
        "incorrect_password": "This is not your password.",
        "enter_current_password": "This is not your password.",
        "rate_limited": "Too many attempts. Wait a few minutes, then try again.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str | None) -> bool:
        """Only paths of this console: another name for this machine is another place."""
        return (
            bool(url)
            and str(url).startswith("/")
            and url_has_allowed_host_and_scheme(url, allowed_hosts=None)
        )

    def get_client_ip(self, request: HttpRequest) -> str:
        # One reading of the address for the limits and for the audit log, and no error for a peer without one.
        return client_address(request) or "unknown"

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        return not reauthentication.recently_authenticated(context.request)

    def set_password(self, user: Account, password: str) -> None:
        user.session_epoch += 1  # machines that the old password let in are out as well
        super().set_password(user, password)
        access_changed(account=user.pk)

    def login(self, request: HttpRequest, user: Account) -> None:
        # Suspended after the password was accepted, while the second factor was asked for.
        if not user.is_active:
            raise ImmediateHttpResponse(self.respond_user_inactive(request, user))
        super().login(request, user)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            proof_failed(by=request.user, email=credentials.get("email", ""), reason="too many attempts")
            raise

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        email = credentials.get("email", "")
        account = Account.objects.filter(email=email.lower()).first()
        reason = "wrong password" if account else "no such account"
        proof_failed(by=request.user, email=email, reason=reason, account=account)

    def forget_failures(self, request: HttpRequest, account: Account) -> None:
        """After a new password was set, the failures with the old one no longer count."""
        key = self._get_login_attempts_cache_key(request, email=account.email)
        ratelimit.clear(request, app="allauth.account", action="login_failed", key=key)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth counts for each host name and port that the browser claims, so naming another one would
        # start the count anew.
        return f"sign-in:{credentials.get('email', '').lower()}"


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "This code is wrong, or was used already. Wait for the next one.",
    }

    def encrypt(self, text: str) -> str:
        return base64.b64encode(sealing.seal(text.encode(), context=SEALED_FOR)).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return sealing.unseal(base64.b64decode(encrypted_text), context=SEALED_FOR).decode()

    def generate_authenticator_name(self, user: Account, type: Authenticator.Type) -> str:
        count = Authenticator.objects.filter(user=user, type=type).count()
        return f"Security key {count + 1}" if count else "Security key"

    def build_totp_svg(self, url: str) -> str:
        # With a white ground: on a dark page, black on nothing could not be scanned.
        return str(qrcode.make(url, image_factory=SvgPathFillImage).to_string(encoding="unicode"))

    def get_totp_issuer(self) -> str:
        return f"Proxy Clusters {settings.CONSOLE_HOST}"
