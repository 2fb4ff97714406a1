"""Signing in, for pages and for the parts of pages that htmx asks for."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django_htmx.http import HttpResponseClientRefresh

from ui.responses import is_fragment_request


class SignInMiddleware(LoginRequiredMiddleware):
    """Sends people who are not signed in to the sign-in page. Where a fragment was asked for, the whole page is
    loaded anew and goes there: the sign-in form must not appear in the middle of a list."""

    def process_view(
        self,
        request: HttpRequest,
        view_func: Callable[..., HttpResponseBase],
        view_args: tuple[Any, ...],
        view_kwargs: dict[Any, Any],
    ) -> HttpResponseBase | None:
        response = super().process_view(request, view_func, view_args, view_kwargs)
        if response is not None and is_fragment_request(request):
            return HttpResponseClientRefresh()
        return response
