"""Settings > People: who may sign in, and what an administrator does about it."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import mail, selectors, services
from accounts.forms import InvitationForm, LevelForm
from accounts.http import AccountRequest
from accounts.models import Account, Invitation
from accounts.reauthentication import reauthenticate, recently_authenticated
from audit.services import require
from ui import messages
from ui.pagination import paginate
from ui.responses import go, is_fragment_request, render_form


@require_safe
def account_list(request: AccountRequest) -> HttpResponse:
    require(request.user, "accounts.view")
    people, invitations = selectors.people(), selectors.invitations()
    context = {
        "page": paginate(people, request.GET, field="email", descending=False, total=people.count()),
        "invitations": invitations[: selectors.INVITATIONS_SHOWN],
        "invitation_count": invitations.count(),
    }
    return render(request, "accounts/account_list.html", context)


@require_safe
def account_detail(request: AccountRequest, account_id: str) -> HttpResponse:
    account = selectors.account_or_404(request.user, account_id)
    return render(request, "accounts/account_detail.html", _account_context(request, account))


def _account_context(request: AccountRequest, account: Account) -> dict[str, object]:
    return {
        "account": account,
        "form": LevelForm(initial={"level": account.level}),
        "is_self": account.pk == request.user.pk,
        "is_last_administrator": selectors.is_last_administrator(account),
    }


# --- Levels and suspension ---------------------------------------------------------------------


@require_POST
def account_level(request: AccountRequest, account_id: str) -> HttpResponse:
    account = selectors.account_or_404(request.user, account_id, "accounts.change")
    form = LevelForm(request.POST)
    if not form.is_valid():
        context = _account_context(request, account) | {"form": form}
        return render(request, "accounts/account_detail.html", context, status=422)
    if not recently_authenticated(request):
        return _confirm_first(request, resolve_url("accounts:account-detail", account.pk), "Change level")
    # What is no level is none that the account can have.
    was, level = request.POST.get("was", ""), form.cleaned_data["level"]
    try:
        changed = services.level_change(actor=request.user, account=account, was=was, level=level)
    except services.Refused as error:
        messages.error(request, str(error))
    else:
        undo = resolve_url("accounts:account-level", account.pk)
        if changed:
            text = f"{account} now has the level {level.label}."
            messages.undoable(request, text, undo_url=undo, fields={"level": was, "was": level})
        else:
            messages.info(request, f"{account} has the level {level.label} already.")
    return redirect("accounts:account-detail", account.pk)


@require_POST
def account_suspend(request: AccountRequest, account_id: str) -> HttpResponse:
    account = selectors.account_or_404(request.user, account_id, "accounts.change")
    if services.account_suspend(actor=request.user, account=account):
        undo = resolve_url("accounts:account-reinstate", account.pk)
        messages.undoable(request, f"{account} is suspended and signed out.", undo_url=undo, fields={})
    else:
        messages.info(request, f"{account} was suspended already.")
    return redirect("accounts:account-detail", account.pk)


@require_POST
def account_reinstate(request: AccountRequest, account_id: str) -> HttpResponse:
    account = selectors.account_or_404(request.user, account_id, "accounts.change")
    if services.account_reinstate(actor=request.user, account=account):
        messages.success(request, f"{account} can sign in again.")
    else:
        messages.info(request, f"{account} was reinstated already.")
    return redirect("accounts:account-detail", account.pk)


# --- Invitations -------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def invitation_create(request: AccountRequest) -> HttpResponse:
    require(request.user, "accounts.change")
    if not recently_authenticated(request):
        return _confirm_first(request, reverse("accounts:invitation-create"))
    form = InvitationForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        data = form.cleaned_data
        try:
            issued = services.invitation_create(actor=request.user, email=data["email"], level=data["level"])
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return _show_invitation(request, issued)
    return render_form(request, "accounts/invitation_form.html", form, {"mail": mail.is_configured()})


@require_POST
@never_cache
def invitation_renew(request: AccountRequest, pk: int) -> HttpResponse:
    invitation = selectors.invitation_or_404(request.user, pk)
    if not recently_authenticated(request):
        return _confirm_first(request, reverse("accounts:account-list"), "New link")
    try:
        issued = services.invitation_renew(actor=request.user, invitation=invitation)
    except Invitation.DoesNotExist:
        messages.error(request, f"The invitation of {invitation} was accepted or withdrawn meanwhile.")
        return go(request, "accounts:account-list")
    return _show_invitation(request, issued)


def _show_invitation(request: AccountRequest, issued: services.Issued[Invitation]) -> HttpResponse:
    """The one response with the link."""
    assert isinstance(issued.link, Invitation)  # noqa: S101  # for the type checker
    url = _absolute("accounts:invitation-accept", issued.token)
    sent = mail.is_configured() and mail.send_invitation(
        email=issued.link.email, url=url, invited_by=str(request.user)
    )
    context = {"invitation": issued.link, "mail": mail.is_configured(), "sent": sent}
    return _show_once(request, url, context | {"after": reverse("accounts:account-list")})


@require_POST
def invitation_withdraw(request: AccountRequest, pk: int) -> HttpResponse:
    invitation = selectors.invitation_or_404(request.user, pk)
    if services.invitation_withdraw(actor=request.user, invitation=invitation):
        messages.success(request, f"The invitation of {invitation} is withdrawn; its link opens nothing.")
    else:
        messages.error(request, f"The invitation of {invitation} was accepted or withdrawn meanwhile.")
    return redirect("accounts:account-list")


# --- Lost passwords and second factors ---------------------------------------------------------


@require_POST
@never_cache
def password_link_create(request: AccountRequest, account_id: str) -> HttpResponse:
    account = selectors.account_or_404(request.user, account_id, "accounts.change")
    if not recently_authenticated(request):
        page = resolve_url("accounts:account-detail", account.pk)
        return _confirm_first(request, page, "Make password link")
    try:
        issued = services.password_link_create(actor=request.user, account=account)
    except services.Refused as error:
        messages.error(request, str(error))
        return go(request, "accounts:account-detail", account.pk)
    url = _absolute("accounts:password-set", issued.token)
    after = resolve_url("accounts:account-detail", account.pk)
    return _show_once(request, url, {"account": account, "after": after})


@require_http_methods(["GET", "HEAD", "POST"])
def second_factor_remove(request: AccountRequest, account_id: str) -> HttpResponse:
    account = selectors.account_or_404(request.user, account_id, "accounts.change")
    if not recently_authenticated(request):
        return _confirm_first(request, request.path)
    if request.method == "POST":
        services.second_factor_remove(actor=request.user, account=account)
        messages.success(
            request, f"{account} signs in with the password alone until they add a second factor."
        )
        return go(request, "accounts:account-detail", account.pk)
    part = "#form" if is_fragment_request(request) else ""
    return render(request, f"accounts/second_factor_removal.html{part}", {"account": account})


# --- Shared ------------------------------------------------------------------------------------


def _confirm_first(request: AccountRequest, next_url: str, button: str = "") -> HttpResponse:
    messages.info(request, "Confirm that it is you, then go on.")
    return reauthenticate(request, next_url=next_url, button=button)


def _absolute(route: str, token: str) -> str:
    return f"{settings.CONSOLE_URL}{reverse(route, args=[token])}"


def _show_once(request: AccountRequest, url: str, context: dict[str, object]) -> HttpResponse:
    part = "#modal" if is_fragment_request(request) else ""
    return render(request, f"accounts/one_time_link.html{part}", {"url": url, **context})
