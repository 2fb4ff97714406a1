"""Signing somebody in who has just set a password with a one-time link."""

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.http import HttpRequest, HttpResponse

from accounts.models import Account


def sign_in(request: HttpRequest, account: Account) -> HttpResponse:
    """On to the front page, in a new session, as if the password had been typed at the sign-in page."""
    # Whoever was signed in here before, perhaps the administrator who made the link, is not any more.
    request.session.flush()
    record_authentication(request, account, method="password", email=account.email)
    response: HttpResponse = perform_login(request, Login(user=account, email=account.email))
    return response
