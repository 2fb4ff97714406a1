"""What an administrator does on the Workers tab: disconnect a worker, and try the advertised address."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.http import AccountRequest
from clusters.reach import reach_check
from clusters.selectors import cluster_or_404
from clusters.workers import worker_disconnect, worker_or_404
from ui import messages
from ui.responses import go, is_fragment_request


@require_http_methods(["GET", "HEAD", "POST"])
def worker_disconnection(request: AccountRequest, cluster_id: str, worker_id: str) -> HttpResponse:
    worker = worker_or_404(request.user, cluster_id, worker_id, "clusters.change")
    if request.method == "POST":
        if worker_disconnect(actor=request.user, worker=worker):
            messages.success(request, f"{worker.host_name} is told to stop.")
        else:
            messages.info(request, f"{worker.host_name} had stopped already.")
        return go(request, "clusters:cluster-workers", cluster_id)
    part = "#form" if is_fragment_request(request) else ""
    context = {"worker": worker, "cluster": worker.cluster}
    return render(request, f"clusters/worker_disconnection.html{part}", context)


@require_POST
def cluster_reach(request: AccountRequest, cluster_id: str) -> HttpResponse:
    cluster = cluster_or_404(request.user, cluster_id, "clusters.change")
    reach_check(cluster)
    return go(request, "clusters:cluster-workers", cluster.pk)
