"""Settings > Service accounts: accounts of programs, and their tokens."""

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import selectors, service_accounts
from accounts.forms import ServiceAccountForm
from accounts.http import AccountRequest
from accounts.reauthentication import reauthenticate, recently_authenticated
from audit.services import require
from ui import messages
from ui.pagination import paginate
from ui.responses import is_fragment_request, render_form


@require_safe
def service_account_list(request: AccountRequest) -> HttpResponse:
    require(request.user, "accounts.view")
    rows = selectors.service_accounts()
    page = paginate(rows, request.GET, field="email", descending=False, total=rows.count())
    return render(request, "accounts/service_account_list.html", {"page": page})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def service_account_create(request: AccountRequest) -> HttpResponse:
    require(request.user, "accounts.change")
    if not recently_authenticated(request):
        return _confirm_first(request, reverse("accounts:service-account-create"))
    form = ServiceAccountForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            issued = service_accounts.service_account_create(
                actor=request.user, name=form.cleaned_data["name"]
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return _show_once(request, issued)
    return render_form(request, "accounts/service_account_form.html", form, {})


@require_POST
@never_cache
def service_token_renew(request: AccountRequest, account_id: str) -> HttpResponse:
    account = selectors.service_account_or_404(request.user, account_id, "accounts.change")
    if not recently_authenticated(request):
        page = resolve_url("accounts:account-detail", account.pk)
        return _confirm_first(request, page, "Replace the token")
    return _show_once(request, service_accounts.service_token_renew(actor=request.user, account=account))


def _confirm_first(request: AccountRequest, next_url: str, button: str = "") -> HttpResponse:
    messages.info(request, "Confirm that it is you, then go on.")
    return reauthenticate(request, next_url=next_url, button=button)


def _show_once(request: AccountRequest, issued: service_accounts.Issued) -> HttpResponse:
    """The one response with the token."""
    part = "#modal" if is_fragment_request(request) else ""
    after = resolve_url("accounts:account-detail", issued.account.pk)
    context = {"account": issued.account, "token": issued.token, "after": after}
    return render(request, f"accounts/service_token_shown.html{part}", context)
