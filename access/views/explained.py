"""Who reaches what, and why: on a resource, on a person; and names to choose from."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from access import selectors
from access.decisions import REACHING_LEVELS, people_reaching, reachable_by, ways, ways_of
from access.models import Role
from accounts.http import AccountRequest
from accounts.selectors import account_or_404
from audit.services import require
from resources.models import Resource
from resources.selectors import RESOURCE_FILTERS, RESOURCE_SORTS, resource_or_404
from search.completions import Completion
from ui.listing import list_rows
from ui.pagination import paginate
from ui.responses import is_fragment_request


@require_safe
def resource_access(request: AccountRequest, resource_id: str) -> HttpResponse:
    require(request.user, "access.view")
    resource = resource_or_404(request.user, resource_id)
    now = timezone.now()
    people = people_reaching(resource, now)
    total = people.order_by()[: selectors.COUNTED_TO].count()
    page = paginate(
        people, request.GET, field="email", descending=False, total=total, counted_to=selectors.COUNTED_TO
    )
    found = ways([account.pk for account in page.rows], resource, now)
    rows = [(account, selectors.why(found.get(account.pk, []))) for account in page.rows]
    return render(request, "access/resource_access.html", {"resource": resource, "page": page, "rows": rows})


@require_safe
def person_access(request: AccountRequest, account_id: str) -> HttpResponse:
    require(request.user, "access.view")
    account = account_or_404(request.user, account_id)
    now = timezone.now()
    listing = list_rows(
        request,
        reachable_by(account, now).prefetch_related("cluster"),
        RESOURCE_FILTERS,
        sorts=RESOURCE_SORTS,
        counted_to=selectors.COUNTED_TO,
        narrow=True,
    )
    found = ways_of(account, [resource.pk for resource in listing.page.rows], now)
    context = {
        "account": account,
        "reaches_nothing": account.level not in REACHING_LEVELS,
        "roles": Role.objects.filter(attachments__account=account).order_by("name_folded"),
        "grants": selectors.grants().filter(account=account, ends_at__gt=now).order_by("ends_at", "pk")[:50],
        "listing": listing,
        "sort": listing.sort,
        "rows": [(resource, selectors.why(found.get(resource.pk, []))) for resource in listing.page.rows],
    }
    part = "#results" if is_fragment_request(request) else ""
    return render(request, f"access/person_access.html{part}", context)


# --- Names to choose from, as comboboxes ask for them -------------------------------------------


@require_safe
def person_suggestions(request: AccountRequest) -> HttpResponse:
    require(request.user, "accounts.view")
    return _suggest(request, selectors.accounts(), "email", "email")


@require_safe
def resource_suggestions(request: AccountRequest) -> HttpResponse:
    require(request.user, "resources.view")
    return _suggest(request, Resource.objects.all(), "name_folded", "name")


@require_safe
def role_suggestions(request: AccountRequest) -> HttpResponse:
    require(request.user, "access.view")
    return _suggest(request, Role.objects.all(), "name_folded", "name")


def _suggest(request: AccountRequest, rows: QuerySet[Any], column: str, shown: str) -> HttpResponse:
    names = selectors.names(rows, column, shown, request.GET.get("q", "")[:254])
    completions = [Completion(name, name, len(name)) for name in names]
    return render(request, "components/completions.html", {"completions": completions})
