"""Slows down who guesses one-time links, by address. allauth counts, in the cache that all processes share."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from allauth.core.internal import ratelimit
from django.http import Http404, HttpRequest, HttpResponse

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


class WrongLink(Http404):
    """The link opens nothing (any more)."""


def slow_guessing(view: View[P]) -> View[P]:
    """Too many wrong links, and even the right one waits; a right one does not count."""

    @wraps(view)
    def limited(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        usage: Any = ratelimit.consume(request, app="allauth.account", action="one_time_link", limit_get=True)
        if usage is None:
            response: HttpResponse = ratelimit.respond_429(request)
            return response
        try:
            response = view(request, *args, **kwargs)
        except WrongLink:
            raise
        except BaseException:
            usage.rollback()
            raise
        usage.rollback()
        return response

    return limited
