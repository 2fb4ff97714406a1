"""Adding, changing and deleting a resource."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.http import AccountRequest
from accounts.reauthentication import reauthenticate_url, recently_authenticated
from audit.services import require
from clusters.conflicts import Conflict, NameTaken, conflicting_changes
from clusters.forms import DeletionForm
from clusters.models import Cluster
from resources import selectors, services
from resources.forms import CLUSTER_GONE, NAME_TAKEN, ResourceForm, port_taken
from resources.health import check_request
from resources.kinds import KINDS
from resources.kinds.base import Category, Kind
from resources.models import Resource
from resources.ports import PortTaken
from ui import messages
from ui.responses import go, render_form


@require_safe
def kind_list(request: AccountRequest) -> HttpResponse:
    require(request.user, "resources.change")
    categories = [
        (category.label, [kind for kind in KINDS.values() if kind.category == category])
        for category in Category
    ]
    return render(
        request, "resources/kind_list.html", {"categories": categories, "cluster": _chosen_cluster(request)}
    )


def _chosen_cluster(request: AccountRequest) -> Cluster | None:
    """The cluster that `?cluster=` names by its id. A stale link chooses none."""
    return selectors.cluster_with_id(request.GET.get("cluster", ""))


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def resource_create(request: AccountRequest, slug: str) -> HttpResponse:
    require(request.user, "resources.change")
    kind = KINDS.get(slug)
    if kind is None:
        raise Http404
    cluster = _chosen_cluster(request)
    form = ResourceForm(request.POST if request.method == "POST" else None, kind=kind, cluster=cluster)
    if request.method == "POST" and form.is_valid():
        resource = _create(request, kind, form)
        if resource is not None:
            messages.success(request, f"{resource.name} is there.")
            return redirect("resources:resource-detail", resource.pk)
    context = {"kind": kind, "part": form.part, "cluster": cluster}
    return render_form(request, "resources/resource_form.html", form, context)


def _create(request: AccountRequest, kind: Kind, form: ResourceForm) -> Resource | None:
    """None when something changed since the form was checked; the form says what."""
    try:
        return services.resource_create(
            actor=request.user, kind=kind, details=form.details(), secrets=form.part.secrets()
        )
    except NameTaken:
        form.add_error("name", NAME_TAKEN)
    except services.ClusterGone:
        form.add_error("cluster", CLUSTER_GONE)
    except PortTaken as error:
        form.add_error("port_override", port_taken(str(error)))
    return None


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def resource_edit(request: AccountRequest, resource_id: str) -> HttpResponse:
    resource = selectors.resource_or_404(request.user, resource_id, "resources.change")
    kind = KINDS[resource.kind]
    form = ResourceForm(request.POST if request.method == "POST" else None, kind=kind, resource=resource)
    context: dict[str, Any] = {"resource": resource, "kind": kind, "part": form.part}
    status = None
    if request.method == "POST" and form.is_valid():
        if _must_confirm(request, resource, form):
            back = resolve_url("resources:resource-detail", resource.pk)
            context["confirm_url"] = reauthenticate_url(back)
        else:
            try:
                if _update(request, resource, form):
                    return redirect("resources:resource-detail", resource.pk)
            except Conflict:
                context |= {"conflict": conflicting_changes(resource, form), "is_conflict": True}
                status = 409
    return render_form(request, "resources/resource_form.html", form, context, status=status)


def _must_confirm(request: AccountRequest, resource: Resource, form: ResourceForm) -> bool:
    """Sending stored credentials to another server gives them away as surely as showing them would."""
    moves = services.moves_target(resource, form.details().target)
    return moves and resource.credentials.exists() and not recently_authenticated(request)


def _update(request: AccountRequest, resource: Resource, form: ResourceForm) -> bool:
    """Whether it was saved, or needed no saving; if not, the form says why."""
    version = form.cleaned_data["version"] or 0
    try:
        changed = services.resource_update(
            actor=request.user, resource=resource, version=version, details=form.details()
        )
    except NameTaken:
        form.add_error("name", NAME_TAKEN)
    except services.ClusterGone:
        form.add_error("cluster", CLUSTER_GONE)
    except PortTaken as error:
        form.add_error("port_override", port_taken(str(error)))
    else:
        messages.success(request, "Saved." if changed else "Nothing was different, so nothing was changed.")
        return True
    return False


@require_POST
def resource_check(request: AccountRequest, resource_id: str) -> HttpResponse:
    resource = selectors.resource_or_404(request.user, resource_id, "resources.change")
    if check_request(actor=request.user, resource=resource):
        messages.success(
            request, "The workers are told to check it. What they find appears here within seconds."
        )
    else:
        messages.info(request, "A check is under way already.")
    return redirect("resources:resource-detail", resource.pk)


@require_http_methods(["GET", "HEAD", "POST"])
def resource_deletion(request: AccountRequest, resource_id: str) -> HttpResponse:
    resource = selectors.resource_or_404(request.user, resource_id, "resources.change")
    sent = request.method == "POST"
    form = DeletionForm(request.POST if sent else None, expected=resource.name)
    if sent and form.is_valid():
        services.resource_delete(actor=request.user, resource=resource)
        messages.success(request, f"{resource.name} is deleted.")
        return go(request, "resources:resource-list")
    stored = [row for row in selectors.credential_rows(resource) if row.credential]
    context = {"resource": resource, "stored": stored}
    return render_form(request, "resources/resource_deletion.html", form, context)
