"""Who is at the keyboard right now: asked again before a key is made or a credential replaced.

allauth's own decorator keeps the interrupted POST in the session to replay it. A POST of ours can hold a
credential, which must not be stored, so we send people to confirm first and let them act again.
"""

import time
from collections.abc import Callable
from functools import wraps
from urllib.parse import urlencode

from allauth.account import app_settings
from allauth.account.authentication import get_authentication_records
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from ui import messages
from ui.responses import go

# Where in the session the interrupted act is kept: the page that it is on, and the name of its button.
_INTERRUPTED = "interrupted_by_confirming"


def recently_authenticated(request: HttpRequest) -> bool:
    """Whether this session proved who it is within the last minutes, by signing in or by confirming.

    Its last proof counts, whatever it was: password, code or security key. allauth alone would not count the
    sign-in, and ask for a password that was typed a moment ago.
    """
    if not request.user.is_authenticated:
        return False
    records = get_authentication_records(request, request.user)
    return bool(records) and 0 <= time.time() - records[-1]["at"] < app_settings.REAUTHENTICATION_TIMEOUT


def reauthenticate_url(next_url: str) -> str:
    return f"{reverse('account_reauthenticate')}?{urlencode({'next': next_url})}"


def reauthenticate(request: HttpRequest, *, next_url: str, button: str = "") -> HttpResponse:
    """Send the person to confirm who they are, and from there to `next_url`, to press `button` again."""
    if button:
        request.session[_INTERRUPTED] = [next_url, button]
    return go(request, reauthenticate_url(next_url))


def tells_to_go_on(confirm: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page that asks for a proof, after which the person is told which button they had pressed."""

    @wraps(confirm)
    def telling(request: HttpRequest) -> HttpResponse:
        response = confirm(request)
        page, button = request.session.get(_INTERRUPTED, ("", ""))
        if response.headers.get("Location") == page:
            del request.session[_INTERRUPTED]
            messages.info(request, f"You are confirmed, and nothing was done yet. Choose “{button}” again.")
        return response

    return telling
