"""Networking > Proxy Clusters: the list, adding, and the tabs Workers and Settings of a cluster."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.http import AccountRequest
from audit.models import Activity
from audit.services import require
from authority.models import Purpose
from authority.selectors import has_authority
from clusters import selectors, services
from clusters.conflicts import Conflict, NameTaken, conflicting_changes
from clusters.forms import NAME_TAKEN, ClusterForm, DeletionForm, WindowsForm
from clusters.models import Cluster
from clusters.names import free_name
from clusters.windows import explain, next_openings
from sdm.contract.address import Address, has_ambiguous_zeros
from ui import messages
from ui.listing import list_rows, render_completions
from ui.live import live_response
from ui.responses import go, is_fragment_request, render_form


@require_safe
def cluster_list(request: AccountRequest) -> HttpResponse:
    require(request.user, "clusters.view")
    listing = list_rows(
        request,
        selectors.listed_clusters(),
        selectors.CLUSTER_FILTERS,
        sorts=selectors.CLUSTER_SORTS,
        ties=selectors.CLUSTER_TIES,
    )
    context = {"listing": listing, "sort": listing.sort, "rows": selectors.cluster_rows(listing.page.rows)}
    part = "#results" if is_fragment_request(request) else ""
    return render(request, f"clusters/cluster_list.html{part}", context)


@require_safe
def cluster_completions(request: AccountRequest) -> HttpResponse:
    require(request.user, "clusters.view")
    return render_completions(request, selectors.CLUSTER_FILTERS)


@require_http_methods(["GET", "HEAD", "POST"])
def cluster_create(request: AccountRequest) -> HttpResponse:
    require(request.user, "clusters.change")
    name = free_name(selectors.is_name_taken)
    form = ClusterForm(
        request.POST if request.method == "POST" else None, initial={"name": name, "proposed": name}
    )
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            cluster = services.cluster_create(
                actor=request.user, name=data["name"], address=data["address"], tags=data["tags"]
            )
        except NameTaken:
            form.add_error("name", NAME_TAKEN)
        else:
            messages.success(
                request, f"{cluster.name} was added. Add an authentication key to let workers join it."
            )
            _warn_of_zeros(request, data["address"])
            return go(request, "keys:cluster-keys", cluster.pk)
    return render_form(request, "clusters/cluster_form.html", form, {})


def _warn_of_zeros(request: AccountRequest, address: Address) -> None:
    if has_ambiguous_zeros(address.host):
        messages.warning(
            request,
            f"{address.host} has a leading zero, which some programs read as octal. "
            "It is kept as you typed it; write it without the zero if clients cannot connect.",
        )


@require_safe
def cluster_head(request: AccountRequest, cluster_id: str) -> HttpResponse:
    cluster = selectors.cluster_or_404(request.user, cluster_id)
    return live_response(
        request, "clusters/cluster_base.html#head", {"head": selectors.cluster_head(cluster)}
    )


@require_safe
def cluster_workers(request: AccountRequest, cluster_id: str) -> HttpResponse:
    cluster = selectors.cluster_or_404(request.user, cluster_id)
    workers = selectors.workers_of(cluster)
    expected = selectors.restarts_expected(cluster, workers, timezone.now())
    context = {
        "rows": [(worker, expected.get(worker.pk)) for worker in workers],
        "is_online": any(worker.is_online for worker in workers),
        "reach_is_of_now": selectors.reach_is_of_now(cluster, workers),
    }
    if is_fragment_request(request):
        return live_response(
            request, "clusters/cluster_workers.html#workers", {**context, "cluster": cluster}
        )
    return render_tab(request, "clusters/cluster_workers.html", cluster, "workers", context)


def render_tab(
    request: AccountRequest,
    template: str,
    cluster: Cluster,
    tab: str,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """A tab of a cluster; its template extends clusters/cluster_base.html."""
    head = selectors.cluster_head(cluster)
    return render(request, template, {"cluster": cluster, "head": head, "tab": tab, **context}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def cluster_settings(request: AccountRequest, cluster_id: str) -> HttpResponse:
    permission = "clusters.change" if request.method == "POST" else "clusters.view"
    cluster = selectors.cluster_or_404(request.user, cluster_id, permission)
    form = ClusterForm(
        request.POST if request.method == "POST" else None,
        initial=ClusterForm.initial_of(cluster),
        cluster=cluster,
    )
    conflict: Sequence[Activity] = ()
    if request.method == "POST" and form.is_valid():
        try:
            changed = _update(request, cluster, form)
        except NameTaken:
            form.add_error("name", NAME_TAKEN)
        except Conflict:
            conflict = conflicting_changes(cluster, form)
        else:
            messages.success(
                request, "Saved." if changed else "Nothing was different, so nothing was changed."
            )
            return redirect("clusters:cluster-settings", cluster.pk)
    return _render_settings(
        request, cluster, form, WindowsForm(initial=WindowsForm.initial_of(cluster)), conflict
    )


def _update(request: AccountRequest, cluster: Cluster, form: ClusterForm) -> bool:
    data = form.cleaned_data
    changed = services.cluster_update(
        actor=request.user,
        cluster=cluster,
        version=data["version"],
        name=data["name"],
        address=data["address"],
        tags=data["tags"],
    )
    _warn_of_zeros(request, data["address"])
    return changed


@require_POST
def cluster_windows(request: AccountRequest, cluster_id: str) -> HttpResponse:
    cluster = selectors.cluster_or_404(request.user, cluster_id, "clusters.change")
    form = WindowsForm(request.POST, initial=WindowsForm.initial_of(cluster))
    conflict: Sequence[Activity] = ()
    if form.is_valid():
        data = form.cleaned_data
        try:
            changed = services.maintenance_windows_replace(
                actor=request.user, cluster=cluster, version=data["version"], windows=data["windows"]
            )
        except Conflict:
            conflict = conflicting_changes(cluster, form)
        else:
            messages.success(
                request, "Saved." if changed else "Nothing was different, so nothing was changed."
            )
            return redirect("clusters:cluster-settings", cluster.pk)
    details = ClusterForm(initial=ClusterForm.initial_of(cluster), cluster=cluster)
    return _render_settings(request, cluster, details, form, conflict)


def _render_settings(
    request: AccountRequest,
    cluster: Cluster,
    form: ClusterForm,
    windows_form: WindowsForm,
    conflict: Sequence[Activity],
) -> HttpResponse:
    now = timezone.now()
    windows = [
        {
            "window": window,
            "words": explain(window.cron_schedule),
            "openings": next_openings(window.cron_schedule, now),
        }
        for window in cluster.maintenance_windows.all()
    ]
    bound = form.is_bound or windows_form.is_bound
    status = (409 if conflict else 422) if bound else 200
    context = {
        "form": form,
        "windows_form": windows_form,
        "windows": windows,
        "conflict": conflict,
        "has_authority": has_authority(Purpose.WORKER),
    }
    return render_tab(request, "clusters/cluster_settings.html", cluster, "settings", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def cluster_deletion(request: AccountRequest, cluster_id: str) -> HttpResponse:
    cluster = selectors.cluster_or_404(request.user, cluster_id, "clusters.change")
    head = selectors.cluster_head(cluster)
    sent = request.method == "POST"
    form = DeletionForm(request.POST if sent else None, expected=cluster.name)
    if sent and (not head.loses_more_than_itself or form.is_valid()):
        # Somebody else may have been faster; it is gone either way.
        with suppress(Cluster.DoesNotExist):
            services.cluster_delete(actor=request.user, cluster=cluster)
        messages.success(request, f"{cluster.name} is deleted.")
        return go(request, "clusters:cluster-list")
    return render_form(request, "clusters/cluster_deletion.html", form, {"head": head, "cluster": cluster})
