"""What holds for all requests: the probe before anything else, and a page where Django has none."""

from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render

PATH = "/healthz"


class HealthMiddleware:
    """`/healthz` is 200 when this process answers and its database does.

    It comes first: a probe asks by address instead of name, without TLS, and is nobody.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path != PATH:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return HttpResponse("ok\n", content_type="text/plain", headers={"Cache-Control": "no-store"})


class NotAllowedMiddleware:
    """405 with a page: Django's own is empty, and a browser shows its own error instead."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not isinstance(response, HttpResponseNotAllowed) or request.method != "GET":
            return response
        context = {
            "title": "This address only takes what a form sends",
            "advice": "Nothing was changed. Go back to the page the form is on.",
        }
        page = render(request, "console/problem.html", context, status=405)
        page.headers["Allow"] = response.headers["Allow"]
        return page
