"""Settings > Security: one's own name, password, second factors and sessions."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.views import AddWebAuthnView, ReauthenticateWebAuthnView
from django.contrib.auth import update_session_auth_hash
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts import services
from accounts.forms import NameForm
from accounts.http import AccountRequest
from ui import messages


@require_safe
def security(request: AccountRequest) -> HttpResponse:
    return render(
        request, "accounts/security.html", _context(request, NameForm(initial={"name": request.user.name}))
    )


def _context(request: AccountRequest, form: NameForm) -> dict[str, object]:
    factors = list(Authenticator.objects.filter(user=request.user).order_by("created_at", "pk"))
    by_type = {factor.type: factor for factor in factors}
    codes = by_type.get(Authenticator.Type.RECOVERY_CODES)
    return {
        "form": form,
        "app": by_type.get(Authenticator.Type.TOTP),
        "keys": [factor for factor in factors if factor.type == Authenticator.Type.WEBAUTHN],
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else None,
    }


@require_POST
def name_change(request: AccountRequest) -> HttpResponse:
    form = NameForm(request.POST)
    if not form.is_valid():
        return render(request, "accounts/security.html", _context(request, form), status=422)
    services.name_change(actor=request.user, name=form.cleaned_data["name"])
    messages.success(request, "Your name is changed.")
    return redirect("accounts:security")


@require_POST
def sessions_end(request: AccountRequest) -> HttpResponse:
    account = services.sessions_end(actor=request.user)
    update_session_auth_hash(request, account)  # this session stays
    messages.success(request, "You are signed out everywhere else.")
    return redirect("accounts:security")


class ConfirmWithKeyView(ReauthenticateWebAuthnView):  # type: ignore[misc]  # allauth has no types
    def form_invalid(self, form: BaseForm) -> HttpResponse:
        """Back to the question, not to the sign-in page as allauth does, which sends on whoever is signed in."""
        super().form_invalid(form)  # leaves the message
        return redirect(self.passthrough_next_url(self.request.path))


confirm_with_key = ConfirmWithKeyView.as_view()


class AddKeyView(AddWebAuthnView):  # type: ignore[misc]  # allauth has no types
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "obstacle": _obstacle_to_keys(self.request)}


def _obstacle_to_keys(request: HttpRequest) -> str:
    """Why no browser offers a security key at this address, and which to open instead; empty where they do."""
    address = urlsplit(f"//{request.get_host()}")
    host = address.hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        if request.is_secure() or host == "localhost" or host.endswith(".localhost"):
            return ""
        return "Security keys work over HTTPS only, and this page came without. Open the console over HTTPS."
    if is_loopback:
        port = f":{address.port}" if address.port else ""
        instead = f"Open {request.scheme}://localhost{port}/ on this machine, sign in, and add the key there."
    else:
        instead = "Open the console by its name, over HTTPS."
    return f"Security keys never work under an IP address, as {host} is. {instead}"


add_key = AddKeyView.as_view()
