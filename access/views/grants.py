"""Access > Temporary access: what is open for a while, and what was."""

import re

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from access import giving, selectors, services
from access.forms import GrantForm
from access.models import Role
from accounts.http import AccountRequest
from audit.services import require
from resources.models import Resource
from ui import messages
from ui.pagination import paginate
from ui.responses import render_form

_ID = re.compile(r"(a|rs|r)-[0-9a-f]{16}")


@require_safe
def grant_list(request: AccountRequest) -> HttpResponse:
    """Those that hold, and those that will; what ends first on top."""
    return _render_list(request, past=False)


@require_safe
def grant_past(request: AccountRequest) -> HttpResponse:
    return _render_list(request, past=True)


def _render_list(request: AccountRequest, *, past: bool) -> HttpResponse:
    require(request.user, "access.view")
    now = timezone.now()
    grants = selectors.grants()
    rows = grants.filter(ends_at__lte=now) if past else grants.filter(ends_at__gt=now)
    total = rows.order_by()[: selectors.COUNTED_TO].count()
    page = paginate(
        rows,
        request.GET,
        field="ends_at",
        descending=past,
        total=total,
        counted_to=selectors.COUNTED_TO,
    )
    return render(request, "access/grant_list.html", {"page": page, "past": past})


@require_http_methods(["GET", "HEAD", "POST"])
def grant_create(request: AccountRequest) -> HttpResponse:
    require(request.user, "access.change")
    if request.method == "POST":
        form = GrantForm(request.POST)
        if form.is_valid() and _give(request, form):
            return redirect("access:grant-list")
    else:
        form = GrantForm(initial=_chosen(request))
    return render_form(request, "access/grant_form.html", form, {})


def _chosen(request: AccountRequest) -> dict[str, object]:
    """What the page before has chosen, by id. A stale link chooses nothing."""
    ids = {name: request.GET.get(name, "") for name in ("person", "resource", "role")}
    known = {name: value if _ID.fullmatch(value) else "" for name, value in ids.items()}
    return GrantForm.initial_of(
        account=selectors.accounts().filter(pk=known["person"]).first(),
        resource=Resource.objects.filter(pk=known["resource"]).first(),
        role=Role.objects.filter(pk=known["role"]).first(),
    )


def _give(request: AccountRequest, form: GrantForm) -> bool:
    """Whether it was given; if not, the form says why."""
    data = form.cleaned_data
    target = data["resource"] or data["role"]
    try:
        giving.grant_create(
            actor=request.user,
            account=data["person"],
            target=target,
            starts_at=data["starts_at"],
            ends_at=data["ends_at"],
            reason=data["reason"],
        )
    except services.Refused as error:
        form.add_error(None, str(error))
        return False
    messages.success(request, f"{data['person']} has temporary access to {target}.")
    return True


@require_POST
def grant_end(request: AccountRequest, grant_id: str) -> HttpResponse:
    grant = selectors.grant_or_404(request.user, grant_id)
    if giving.grant_end(actor=request.user, grant=grant):
        messages.success(
            request,
            f"The temporary access of {grant.account} to {grant.target} is ended. What they reached by it alone is "
            "cut within seconds.",
        )
    else:
        messages.info(
            request, f"The temporary access of {grant.account} to {grant.target} had ended already."
        )
    return redirect(_page(request.POST.get("back", "")))


def _page(back: str) -> str:
    """The page that the button was on, by the id of what it shows."""
    if _ID.fullmatch(back) and back.startswith("a-"):
        return reverse("access:person-access", args=[back])
    if _ID.fullmatch(back) and back.startswith("r-"):
        return reverse("access:role-members", args=[back])
    return reverse("access:grant-list")
