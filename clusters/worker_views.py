"""What an administrator does on the Workers tab: restart, disconnect or forget a worker, and try the address."""

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.http import AccountRequest
from clusters import restarts
from clusters.reach import reach_check
from clusters.selectors import cluster_or_404, windows_of
from clusters.windows import default_windows, expectation
from clusters.workers import worker_disconnect, worker_forget, worker_or_404
from ui import messages
from ui.responses import go, is_fragment_request


@require_http_methods(["GET", "HEAD", "POST"])
def worker_restart(request: AccountRequest, cluster_id: str, worker_id: str) -> HttpResponse:
    worker = worker_or_404(request.user, cluster_id, worker_id, "clusters.change")
    windows = windows_of(cluster_id) or default_windows(worker.maintenance_hour)
    expected = expectation(windows, timezone.now())
    if request.method == "POST":
        if restarts.worker_restart(actor=request.user, worker=worker):
            messages.success(request, f"{worker.host_name} {expected}.")
        else:
            messages.info(request, f"{worker.host_name} restarts already, or does not run.")
        return go(request, "clusters:cluster-workers", cluster_id)
    part = "#form" if is_fragment_request(request) else ""
    context = {"worker": worker, "cluster": worker.cluster, "expected": expected}
    return render(request, f"clusters/worker_restart.html{part}", context)


@require_POST
def worker_restart_withdrawal(request: AccountRequest, cluster_id: str, worker_id: str) -> HttpResponse:
    worker = worker_or_404(request.user, cluster_id, worker_id, "clusters.change")
    if restarts.worker_restart_withdraw(actor=request.user, worker=worker):
        messages.success(request, f"{worker.host_name} does not restart.")
    else:
        messages.info(request, f"{worker.host_name} has begun to restart, or was not asked to.")
    return go(request, "clusters:cluster-workers", cluster_id)


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
def worker_forgetting(request: AccountRequest, cluster_id: str, worker_id: str) -> HttpResponse:
    worker = worker_or_404(request.user, cluster_id, worker_id, "clusters.change")
    if worker_forget(actor=request.user, worker=worker):
        messages.success(request, f"{worker.host_name} ({worker.pk}) is forgotten.")
    else:
        messages.info(request, f"{worker.host_name} is not dead, so it is kept.")
    return go(request, "clusters:cluster-workers", cluster_id)


@require_POST
def cluster_reach(request: AccountRequest, cluster_id: str) -> HttpResponse:
    cluster = cluster_or_404(request.user, cluster_id, "clusters.change")
    reach_check(cluster)
    return go(request, "clusters:cluster-workers", cluster.pk)
