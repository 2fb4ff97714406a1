"""For people who are not signed in: set-up, invitations and lost passwords."""

from allauth.core import ratelimit
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import entrance, mail
from accounts.adapters import AccountAdapter
from accounts.forms import AcceptForm, ForgottenForm, NewPasswordForm, SetupForm
from accounts.limits import WrongLink, slow_guessing
from accounts.models import Account
from accounts.sign_in import sign_in
from ui import messages
from ui.responses import render_form


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters()
@slow_guessing
def setup(request: HttpRequest, token: str) -> HttpResponse:
    if not entrance.setup_is_open(token):
        raise WrongLink
    form = SetupForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return render_form(request, "accounts/setup.html", form, {})
    data = form.cleaned_data
    try:
        account = entrance.first_administrator_create(
            token=token, email=data["email"], name=data["name"], password=data["password"]
        )
    except entrance.LinkGone as error:
        raise WrongLink from error
    return sign_in(request, account)


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters()
@slow_guessing
def invitation_accept(request: HttpRequest, token: str) -> HttpResponse:
    invitation = entrance.invitation_for(token)
    if invitation is None:
        raise WrongLink
    form = AcceptForm(
        request.POST if request.method == "POST" else None, account=Account(email=invitation.email)
    )
    if not form.is_valid():
        return render_form(request, "accounts/invitation_accept.html", form, {"invitation": invitation})
    data = form.cleaned_data
    try:
        account = entrance.invitation_accept(token=token, name=data["name"], password=data["password"])
    except entrance.LinkGone as error:
        raise WrongLink from error
    return sign_in(request, account)


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters()
@slow_guessing
def password_set(request: HttpRequest, token: str) -> HttpResponse:
    """Not signed in afterwards: a second factor, where there is one, is asked for at the sign-in page."""
    link = entrance.password_link_for(token)
    if link is None:
        raise WrongLink
    form = NewPasswordForm(request.POST if request.method == "POST" else None, account=link.account)
    if not form.is_valid():
        return render_form(request, "accounts/password_set.html", form, {"account": link.account})
    try:
        account = entrance.password_set(token=token, password=form.cleaned_data["password"])
    except entrance.LinkGone as error:
        raise WrongLink from error
    AccountAdapter(request).forget_failures(request, account)
    messages.success(request, "The new password is set. Sign in with it.")
    return redirect("account_login")


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def password_forgotten(request: HttpRequest) -> HttpResponse:
    """Says the same for every address, after the same time."""
    if not mail.is_configured():
        return render(request, "accounts/password_forgotten.html", {"mail": False})
    form = ForgottenForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return render_form(request, "accounts/password_forgotten.html", form, {"mail": True})
    email = form.cleaned_data["email"].lower()
    if refused := ratelimit.consume_or_429(request, action="reset_password", key=email):
        response: HttpResponse = refused
        return response
    if issued := entrance.password_link_request(email=email):
        path = reverse("accounts:password-set", args=[issued.token])
        mail.send_password_link_later(email=email, url=f"{settings.CONSOLE_URL}{path}")
    return render(request, "accounts/password_forgotten.html", {"mail": True, "sent_to": email})
