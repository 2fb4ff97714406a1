"""A machine asks to be logged in, and a person decides."""

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.http import AccountRequest
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
