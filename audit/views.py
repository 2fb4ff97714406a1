from typing import cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from audit import selectors, services
from audit.downloads import download
from audit.export import ACTIVITY_COLUMNS, FORMATS, activity_fields
from audit.forms import ExportForm, FilterForm, spans, without_empty
from audit.models import Activity
from audit.services import Actor, require
from ui.live import live_response
from ui.pagination import paginate
from ui.responses import is_fragment_request


def _actor(request: HttpRequest) -> Actor:
    # Sign-in is required for every view here.
    return cast("Actor", request.user)


@require_safe
def activity_list(request: HttpRequest) -> HttpResponse:
    require(_actor(request), "audit.view")
    if "" in request.GET.values():
        return redirect(without_empty(request))
    return _render_list(request, FilterForm(request.GET))


def _render_list(request: HttpRequest, form: FilterForm) -> HttpResponse:
    # Callables are asked by the page, not by the fragment that is polled.
    context = {"form": form, "people": selectors.people, "spans": spans, "formats": FORMATS}
    if not form.is_valid():
        return render(request, "audit/activity_list.html", context, status=422)
    rows = selectors.matching(form.filters())
    page = paginate(
        rows,
        request.GET,
        field="created_at",
        descending=True,
        total=selectors.count(rows),
        counted_to=selectors.COUNTED_TO,
    )
    is_newest = not {"after", "before"} & request.GET.keys()
    context |= {"page": page, "chips": form.chips(), "is_newest": is_newest}
    if is_fragment_request(request):
        return live_response(request, "audit/activity_list.html#activities", context)
    return render(request, "audit/activity_list.html", context)


@require_safe
def activity_detail(request: HttpRequest, pk: int) -> HttpResponse:
    require(_actor(request), "audit.view")
    activity = get_object_or_404(Activity, pk=pk)
    return render(request, "audit/activity_detail.html", {"activity": activity})


@require_POST
def activity_export(request: HttpRequest) -> HttpResponseBase:
    require(_actor(request), "audit.view")
    form = ExportForm(request.POST)
    if not form.is_valid():
        return _render_list(request, form)
    chosen = FORMATS[form.cleaned_data["format"]]
    activities = services.activities_export(
        actor=_actor(request), filters=form.filters(), file_format=chosen.label
    )
    return download("activities", chosen, ACTIVITY_COLUMNS, map(activity_fields, activities))
