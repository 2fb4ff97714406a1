"""Sign-in is asked for everywhere but where a view says it is not needed."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import resolve_url
from django_htmx.http import HttpResponseClientRedirect


class SignInRequiredMiddleware(LoginRequiredMiddleware):
    def handle_no_permission(  # type: ignore[override]  # htmx is not redirected by a redirect
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponseBase:
        """A page that was asked for is where the person is taken afterwards; a form that was sent cannot be.

        htmx would draw the sign-in page into the fragment it asked for: the whole page goes there instead,
        and afterwards back to the page, not to the fragment. A page that asks for itself, as a search does, has
        got as far as what it asked for."""
        if "HX-Request" not in request.headers:
            if request.method in ("GET", "HEAD"):
                return super().handle_no_permission(request, view_func)
            return redirect_to_login(page_before(request), resolve_url(settings.LOGIN_URL))
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
        if request.method == "GET" and page.path == request.path:
            back = request.get_full_path()
        else:
            back = f"{page.path}?{page.query}" if page.query else page.path
        return HttpResponseClientRedirect(redirect_to_login(back or "/", resolve_url(settings.LOGIN_URL)).url)


def page_before(request: HttpRequest) -> str:
    """The path of the page of ours that this request was sent from, or the front page."""
    before = urlsplit(request.headers.get("Referer", ""))
    if before.netloc != request.get_host():
        return "/"
    return f"{before.path}?{before.query}" if before.query else before.path or "/"
