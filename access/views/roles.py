"""Access > Roles: the list, adding, and the tabs Members and Settings of a role."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from access import giving, selectors, services
from access.forms import NAME_TAKEN, MemberForm, RoleForm
from access.models import Role
from accounts.http import AccountRequest
from audit.models import Activity
from audit.services import require
from clusters.conflicts import Conflict, NameTaken, conflicting_changes
from clusters.forms import DeletionForm
from ui import messages
from ui.listing import list_rows, render_completions
from ui.pagination import paginate
from ui.responses import go, is_fragment_request, render_form


@require_safe
def role_list(request: AccountRequest) -> HttpResponse:
    require(request.user, "access.view")
    listing = list_rows(
        request, Role.objects.prefetch_related("tags"), selectors.ROLE_FILTERS, sorts=selectors.ROLE_SORTS
    )
    context = {"listing": listing, "sort": listing.sort, "rows": selectors.role_rows(listing.page.rows)}
    part = "#results" if is_fragment_request(request) else ""
    return render(request, f"access/role_list.html{part}", context)


@require_safe
def role_completions(request: AccountRequest) -> HttpResponse:
    require(request.user, "access.view")
    return render_completions(request, selectors.ROLE_FILTERS)


@require_http_methods(["GET", "HEAD", "POST"])
def role_create(request: AccountRequest) -> HttpResponse:
    require(request.user, "access.change")
    form = RoleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            role = services.role_create(actor=request.user, name=data["name"], tags=data["tags"])
        except NameTaken:
            form.add_error("name", NAME_TAKEN)
        else:
            messages.success(request, f"{role.name} was added. Add a rule that says what it opens.")
            return go(request, "access:role-rules", role.pk)
    return render_form(request, "access/role_form.html", form, {})


def render_tab(
    request: AccountRequest,
    template: str,
    role: Role,
    tab: str,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """A tab of a role; its template extends access/role_base.html."""
    (head,) = selectors.role_rows([role])
    context = {"role": role, "head": head, "role_tags": list(role.tags.all()), "tab": tab, **context}
    return render(request, template, context, status=status)


# --- Members ------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def role_members(request: AccountRequest, role_id: str) -> HttpResponse:
    sent = request.method == "POST"
    role = selectors.role_or_404(request.user, role_id, "access.change" if sent else "access.view")
    form = MemberForm(request.POST if sent else None)
    if sent and form.is_valid():
        person = form.cleaned_data["person"]
        try:
            giving.account_attach(actor=request.user, account=person, role=role)
        except services.Refused as error:
            form.add_error("person", str(error))
        except Role.DoesNotExist as error:
            raise Http404 from error
        else:
            messages.success(request, f"{person} has the role {role.name} now.")
            return redirect("access:role-members", role.pk)
    members = selectors.members(role)
    now = timezone.now()
    context = {
        "form": form,
        "page": paginate(members, request.GET, field="created_at", descending=True, total=members.count()),
        "grants": selectors.grants().filter(role=role, ends_at__gt=now).order_by("ends_at", "pk")[:50],
    }
    status = 422 if sent else 200
    return render_tab(request, "access/role_members.html", role, "members", context, status=status)


@require_POST
def member_remove(request: AccountRequest, role_id: str, attachment_id: str) -> HttpResponse:
    attachment = selectors.attachment_or_404(request.user, role_id, attachment_id)
    account, role = attachment.account, attachment.role
    if giving.account_detach(actor=request.user, attachment=attachment):
        undo_url = resolve_url("access:role-members", role.pk)
        text = f"{account} has the role {role.name} no longer. What they reached by it alone is cut within seconds."
        messages.undoable(request, text, undo_url=undo_url, fields={"person": account.email})
    else:
        messages.info(request, f"Somebody else took the role {role.name} from {account} meanwhile.")
    return redirect("access:role-members", role.pk)


# --- Settings -----------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def role_settings(request: AccountRequest, role_id: str) -> HttpResponse:
    sent = request.method == "POST"
    role = selectors.role_or_404(request.user, role_id, "access.change" if sent else "access.view")
    form = RoleForm(request.POST if sent else None, initial=RoleForm.initial_of(role), role=role)
    conflict: Sequence[Activity] = ()
    if sent and form.is_valid():
        data = form.cleaned_data
        try:
            changed = services.role_update(
                actor=request.user, role=role, version=data["version"], name=data["name"], tags=data["tags"]
            )
        except NameTaken:
            form.add_error("name", NAME_TAKEN)
        except Conflict:
            conflict = conflicting_changes(role, form)
        else:
            messages.success(
                request, "Saved." if changed else "Nothing was different, so nothing was changed."
            )
            return redirect("access:role-settings", role.pk)
    status = (409 if conflict else 422) if sent else 200
    context = {"form": form, "conflict": conflict}
    return render_tab(request, "access/role_settings.html", role, "settings", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def role_deletion(request: AccountRequest, role_id: str) -> HttpResponse:
    role = selectors.role_or_404(request.user, role_id, "access.change")
    (head,) = selectors.role_rows([role])
    granted = role.grants.filter(ends_at__gt=timezone.now()).count()
    sent = request.method == "POST"
    form = DeletionForm(request.POST if sent else None, expected=role.name)
    loses_more = bool(head.members or head.rules or granted)
    if sent and (not loses_more or form.is_valid()):
        # Somebody else may have been faster; it is gone either way.
        with suppress(Role.DoesNotExist):
            services.role_delete(actor=request.user, role=role)
        messages.success(request, f"{role.name} is deleted.")
        return go(request, "access:role-list")
    context = {"role": role, "head": head, "granted": granted, "loses_more": loses_more}
    return render_form(request, "access/role_deletion.html", form, context)
