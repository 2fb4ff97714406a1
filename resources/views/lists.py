"""Reading: all resources, those of a cluster, and the page of one."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.http import AccountRequest
from audit.services import require
from clusters.selectors import cluster_head, cluster_or_404
from resources import selectors
from resources.health import health_rows
from resources.models import Resource
from resources.reachability import chain
from search.completions import Completion
from ui.listing import list_rows, render_completions
from ui.live import live_response
from ui.responses import is_fragment_request


def listing_context(
    request: AccountRequest, resources: QuerySet[Resource], *, of_one_cluster: bool = False
) -> dict[str, Any]:
    listing = list_rows(
        request,
        resources,
        selectors.RESOURCE_FILTERS,
        sorts=selectors.RESOURCE_SORTS,
        counted_to=selectors.COUNTED_TO,
        narrow=of_one_cluster,
    )
    rows = selectors.resource_rows(listing.page.rows, of_one_cluster=of_one_cluster)
    return {"listing": listing, "sort": listing.sort, "rows": rows}


@require_safe
def resource_list(request: AccountRequest) -> HttpResponse:
    require(request.user, "resources.view")
    context = listing_context(request, selectors.listed_resources())
    part = "#results" if is_fragment_request(request) else ""
    return render(request, f"resources/resource_list.html{part}", context)


@require_safe
def resource_completions(request: AccountRequest) -> HttpResponse:
    require(request.user, "resources.view")
    return render_completions(request, selectors.RESOURCE_FILTERS)


@require_safe
def cluster_suggestions(request: AccountRequest) -> HttpResponse:
    """Names for the field “Proxy Cluster”, as its combobox asks for them."""
    require(request.user, "clusters.view")
    names = [cluster.name for cluster in selectors.suggested_clusters(request.GET.get("q", "")[:100])]
    completions = [Completion(name, name, len(name)) for name in names]
    return render(request, "components/completions.html", {"completions": completions})


@require_safe
def cluster_resources(request: AccountRequest, cluster_id: str) -> HttpResponse:
    require(request.user, "resources.view")
    cluster = cluster_or_404(request.user, cluster_id)
    attached = selectors.listed_resources().filter(cluster=cluster)
    context = listing_context(request, attached, of_one_cluster=True)
    context |= {"cluster": cluster, "tab": "resources"}
    if is_fragment_request(request):
        return render(request, "resources/cluster_resources.html#results", context)
    return render(request, "resources/cluster_resources.html", {**context, "head": cluster_head(cluster)})


@require_safe
def resource_detail(request: AccountRequest, resource_id: str) -> HttpResponse:
    resource = selectors.resource_or_404(request.user, resource_id)
    credentials = selectors.credential_rows(resource)
    context = {
        "resource": resource,
        "credentials": credentials,
        "facts": selectors.facts(resource),
        "tags": list(resource.tags.all()),
        "chain": chain(resource, credentials),
        "health": health_rows(resource),
    }
    return render(request, "resources/resource_detail.html", context)


@require_safe
def resource_health(request: AccountRequest, resource_id: str) -> HttpResponse:
    """A live part of its page."""
    resource = selectors.resource_or_404(request.user, resource_id)
    if not is_fragment_request(request):
        return redirect("resources:resource-detail", resource.pk)
    context = {"resource": resource, "health": health_rows(resource)}
    return live_response(request, "resources/health_section.html#health", context)
