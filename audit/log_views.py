"""Audit > Queries and Audit > Sessions."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit import log_selectors, selectors
from audit import sessions as acts
from audit.downloads import download
from audit.export import FORMATS, QUERY_COLUMNS, SESSION_COLUMNS, query_fields, session_fields
from audit.forms import spans, without_empty
from audit.log_forms import LogForm, QueryExportForm, QueryForm, SessionExportForm, SessionForm
from audit.log_selectors import LogFilters, Searched
from audit.models import Query, Session
from audit.services import Actor, require
from ui import messages
from ui.live import live_response
from ui.pagination import Page, paginate
from ui.responses import go, is_fragment_request

_ID = re.compile(r"s-[0-9a-f]{16}(-[0-9]{1,20})?", re.ASCII)
# Of a session's page.
QUERIES_SHOWN = 50


def _actor(request: HttpRequest) -> Actor:
    # Sign-in is required for every view here.
    return cast("Actor", request.user)


# --- Sessions -----------------------------------------------------------------------------------


@require_safe
def session_list(request: HttpRequest) -> HttpResponse:
    require(_actor(request), "audit.view")
    return _list(request, "session", SessionForm(request.GET), _sessions)


def _sessions(request: HttpRequest, filters: LogFilters) -> dict[str, Any]:
    if filters.text:
        return _search(request, log_selectors.searched_sessions(filters))
    rows = log_selectors.sessions(filters)
    total = selectors.count(rows)
    page = paginate(
        rows, request.GET, field="started_at", descending=True, total=total, counted_to=selectors.COUNTED_TO
    )
    return {"page": page}


@require_safe
def session_detail(request: HttpRequest, session_id: str) -> HttpResponse:
    require(_actor(request), "audit.view")
    session = _session(session_id)
    rows = session.queries.select_related("session")
    page = paginate(
        rows, request.GET, field="started_at", descending=True, total=session.requests, size=QUERIES_SHOWN
    )
    context = {"session": session, "page": page, "is_newest": _is_newest(request)}
    if is_fragment_request(request):
        return live_response(request, "audit/session_detail.html#session", context)
    return render(request, "audit/session_detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def session_end(request: HttpRequest, session_id: str) -> HttpResponse:
    require(_actor(request), "audit.end_sessions")
    session = _session(session_id)
    if request.method == "POST":
        if acts.session_end(actor=_actor(request), session=session):
            messages.success(request, f"The session of {session.who} with {session.what} is told to end.")
        else:
            messages.info(request, "This session has ended already, or was told to.")
        return go(request, "audit:session-detail", session.pk)
    part = "#form" if is_fragment_request(request) else ""
    return render(request, f"audit/session_end.html{part}", {"session": session})


@require_POST
def session_export(request: HttpRequest) -> HttpResponseBase:
    require(_actor(request), "audit.view")
    form = SessionExportForm(request.POST)
    if not form.is_valid():
        return _list(request, "session", form, _sessions)
    chosen = FORMATS[form.cleaned_data["format"]]
    rows = acts.sessions_export(actor=_actor(request), filters=form.filters(), file_format=chosen.label)
    return download("sessions", chosen, SESSION_COLUMNS, map(session_fields, rows))


# --- Queries ------------------------------------------------------------------------------------


@require_safe
def query_list(request: HttpRequest) -> HttpResponse:
    require(_actor(request), "audit.view")
    return _list(request, "query", QueryForm(request.GET), _queries)


def _queries(request: HttpRequest, filters: LogFilters) -> dict[str, Any]:
    # Lists show the beginning; the rest can have 64 kB.
    rows = log_selectors.queries(filters).defer("text_rest", "parameters")
    if filters.text:
        return _search(request, Searched.among(rows, filters.text))
    total = selectors.count(rows.select_related(None))
    page = paginate(
        rows, request.GET, field="started_at", descending=True, total=total, counted_to=selectors.COUNTED_TO
    )
    return {"page": page}


def _search(request: HttpRequest, searched: Searched[Any]) -> dict[str, Any]:
    """Counting all that match would be searching a second time."""
    page: Page[Any] = paginate(searched.rows, request.GET, field="started_at", descending=True, total=0)
    total = len(page.rows)
    counted_to = total if page.next or page.previous or searched.until else None
    return {"page": replace(page, total=total, counted_to=counted_to), "searched_until": searched.until}


@require_safe
def query_detail(request: HttpRequest, query_id: str) -> HttpResponse:
    require(_actor(request), "audit.view")
    query = get_object_or_404(Query.objects.select_related("session"), pk=_id(query_id))
    return render(request, "audit/query_detail.html", {"query": query})


@require_POST
def query_export(request: HttpRequest) -> HttpResponseBase:
    require(_actor(request), "audit.view")
    form = QueryExportForm(request.POST)
    if not form.is_valid():
        return _list(request, "query", form, _queries)
    chosen = FORMATS[form.cleaned_data["format"]]
    rows = acts.queries_export(actor=_actor(request), filters=form.filters(), file_format=chosen.label)
    return download("queries", chosen, QUERY_COLUMNS, map(query_fields, rows))


# --- Both ---------------------------------------------------------------------------------------


def _session(session_id: str) -> Session:
    return get_object_or_404(Session, pk=_id(session_id))


def _id(text: str) -> str:
    """Not every text can be asked for in every database."""
    if not _ID.fullmatch(text):
        raise Http404
    return text


def _list(
    request: HttpRequest,
    what: str,
    form: LogForm,
    read: Callable[[HttpRequest, LogFilters], dict[str, Any]],
) -> HttpResponse:
    if "" in request.GET.values():
        return redirect(without_empty(request))
    # Callables are asked by the page, not by the fragment that is polled.
    context = {"form": form, "people": selectors.people, "spans": spans, "formats": FORMATS}
    if not form.is_valid():
        return render(request, f"audit/{what}_list.html", context, status=422)
    context |= {"chips": form.chips(), "is_newest": _is_newest(request), **read(request, form.filters())}
    if is_fragment_request(request):
        return live_response(request, f"audit/{what}_list.html#rows", context)
    return render(request, f"audit/{what}_list.html", context)


def _is_newest(request: HttpRequest) -> bool:
    return not {"after", "before"} & request.GET.keys()
