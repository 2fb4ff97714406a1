"""A machine asks to be logged in, and a person decides; those that are logged in are listed, and logged out."""

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.http import AccountRequest
from accounts.selectors import account_or_404
from logins import selectors, services
from ui import messages


@require_safe
@never_cache
def approval(request: AccountRequest, login_id: str) -> HttpResponse:
    """For everybody who is signed in: the machine will speak for whoever approves."""
    return render(request, "logins/approval.html", {"pending": selectors.pending_or_404(login_id)})


@require_POST
def approved(request: AccountRequest, login_id: str) -> HttpResponse:
    return _decide(request, login_id, approve=True)


@require_POST
def denied(request: AccountRequest, login_id: str) -> HttpResponse:
    return _decide(request, login_id, approve=False)


def _decide(request: AccountRequest, login_id: str, *, approve: bool) -> HttpResponse:
    pending = selectors.pending_or_404(login_id)
    if not services.login_decide(actor=request.user, pending=pending, approve=approve):
        messages.error(request, "This was decided already, or it took too long. Nothing was changed.")
    return redirect("logins:approval", pending.pk)


@require_safe
def devices(request: AccountRequest, account_id: str) -> HttpResponse:
    account = account_or_404(request.user, account_id)
    context = {"account": account, "logins": selectors.logins_of(account)[: selectors.LOGINS_SHOWN]}
    return render(request, "logins/devices.html", context)


@require_safe
def own_devices(request: AccountRequest) -> HttpResponse:
    context = {"logins": selectors.logins_of(request.user)[: selectors.LOGINS_SHOWN]}
    return render(request, "logins/own_devices.html", context)


@require_POST
def device_sign_out(request: AccountRequest, device_id: str) -> HttpResponse:
    login = selectors.login_or_404(request.user, device_id)
    if services.login_end(actor=request.user, login=login):
        messages.success(request, f"{login.host_name} is logged out. What was connected from it ends.")
    else:
        messages.info(request, f"{login.host_name} was logged out already.")
    if login.account_id == request.user.pk:
        return redirect("logins:own-devices")
    return redirect("logins:devices", login.account_id)
