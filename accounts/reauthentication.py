"""Who is at the keyboard right now: asked again before a key is made or a credential replaced.

allauth's own decorator keeps the interrupted POST in the session to replay it. A POST of ours can hold a
credential, which must not be stored, so we send people to confirm first and let them act again.
"""

from urllib.parse import urlencode

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect


def recently_authenticated(request: HttpRequest) -> bool:
    return bool(did_recently_reauthenticate(request))


def reauthenticate_url(next_url: str) -> str:
    return f"{reverse('account_reauthenticate')}?{urlencode({'next': next_url})}"


def reauthenticate(request: HttpRequest, *, next_url: str) -> HttpResponse:
    """Send the person to confirm who they are, and from there to `next_url`."""
    url = reauthenticate_url(next_url)
    return HttpResponseClientRedirect(url) if "HX-Request" in request.headers else HttpResponseRedirect(url)
