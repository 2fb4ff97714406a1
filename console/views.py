"""The front page, and the pages that say what went wrong."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from access.decisions import reachable_by
from access.selectors import COUNTED_TO
from access.ways import end_of, ways_of
from accounts.http import AccountRequest
from accounts.services import Forbidden
from audit.refusals import record_refusal
from audit.verbs import Verb
from ui.pagination import paginate


@require_safe
def home(request: AccountRequest) -> HttpResponse:
    """What whoever administers and audits nothing came for: what they can reach, and how."""
    if request.user.has_perm("clusters.view"):
        return redirect("clusters:cluster-list")
    now = timezone.now()
    resources = reachable_by(request.user, now)
    page = paginate(
        resources,
        request.GET,
        field="name_folded",
        descending=False,
        total=resources.order_by()[:COUNTED_TO].count(),
        counted_to=COUNTED_TO,
    )
    ways = ways_of(request.user, [resource.pk for resource in page.rows], now)
    rows = [(resource, end_of(ways[resource.pk])) for resource in page.rows]
    return render(request, "console/home.html", {"page": page, "rows": rows})


def _problem(request: HttpRequest, status: int, title: str, advice: str) -> HttpResponse:
    return render(request, "console/problem.html", {"title": title, "advice": advice}, status=status)


@login_not_required
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(
        request, 400, "This request makes no sense", "Go back and try again from the page before."
    )


@login_not_required
def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, Forbidden):
        return _problem(request, 403, "This is not allowed", str(exception))
    return _problem(
        request,
        403,
        "Your level does not allow this",
        "Ask an administrator to change your level if you need it.",
    )


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    record_refusal(request, Verb.REQUEST_REFUSED, reason=reason)
    return _problem(
        request,
        403,
        "This form was not sent from a page of this console",
        "Nothing was changed. Open the page again and send it from there; cookies must be allowed.",
    )


@login_not_required
def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(
        request,
        404,
        "There is nothing here",
        "It may have been deleted, or the address was copied incompletely.",
    )


@login_not_required
def server_error(request: HttpRequest) -> HttpResponse:
    # Rendered without the request: whatever failed may fail again in a context processor.
    return render(None, "console/server_error.html", status=500)
