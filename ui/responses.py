"""Answers that are right for a browser with and without htmx."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django_htmx.http import HttpResponseClientRedirect


def is_fragment_request(request: HttpRequest) -> bool:
    """Whether htmx asks for the part of a page that it will swap."""
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def go(request: HttpRequest, to: str, *args: str) -> HttpResponse:
    """A redirect to a URL or a named route, which the whole page follows, a dialog's fragment too."""
    url = resolve_url(to, *args)
    if is_fragment_request(request):
        return HttpResponseClientRedirect(url)
    return HttpResponseRedirect(url)


def render_form(
    request: HttpRequest,
    template: str,
    form: forms.BaseForm,
    context: dict[str, Any],
    *,
    status: int | None = None,
) -> HttpResponse:
    """The page of a form, or for a dialog its `form` partial; 422 when what was sent cannot be."""
    part = "#form" if is_fragment_request(request) else ""
    response = render(request, f"{template}{part}", {"form": form, **context})
    response.status_code = status or (422 if form.is_bound else 200)
    return response
