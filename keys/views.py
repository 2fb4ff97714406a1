"""The Keys tab of a cluster, and the modal that shows a new key once."""

import uuid
from contextlib import suppress

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render, resolve_url
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.http import AccountRequest
from accounts.reauthentication import reauthenticate, recently_authenticated
from audit.services import require
from clusters.forms import DeletionForm
from clusters.selectors import cluster_head, cluster_or_404
from keys import selectors, services
from keys.commands import start_commands
from keys.models import ClusterKey
from ui import messages
from ui.live import live_response
from ui.responses import go, is_fragment_request, render_form


@require_safe
def cluster_keys(request: AccountRequest, cluster_id: str) -> HttpResponse:
    require(request.user, "keys.view")
    cluster = cluster_or_404(request.user, cluster_id)
    context = {
        "cluster": cluster,
        "head": cluster_head(cluster),
        "tab": "keys",
        "rows": selectors.key_rows(cluster),
        "limit": settings.KEYS_PER_CLUSTER,
        "request_id": uuid.uuid4(),
    }
    return render(request, "keys/cluster_keys.html", context)


@require_POST
def key_create(request: AccountRequest, cluster_id: str) -> HttpResponse:
    cluster = cluster_or_404(request.user, cluster_id, "keys.change")
    if not recently_authenticated(request):
        messages.info(request, "Confirm that it is you, then add the key.")
        page = resolve_url("keys:cluster-keys", cluster.pk)
        return reauthenticate(request, next_url=page, button="Add authentication key")
    try:
        key, secret = services.key_create(
            actor=request.user, cluster=cluster, request_id=_request_id(request)
        )
    except services.LimitReached:
        messages.error(
            request, "This cluster has as many keys as it may. Delete one that no worker needs first."
        )
        return go(request, "keys:cluster-keys", cluster.pk)
    except services.AlreadyMade:
        messages.error(
            request,
            "That key was made and shown once already. If nobody copied it, delete it and add another.",
        )
        return go(request, "keys:cluster-keys", cluster.pk)
    # The one response that holds the secret: from here on it exists only where the person puts it.
    revealed = secret.reveal()
    context = {
        "cluster": cluster,
        "key": key,
        "secret_key": revealed,
        "commands": start_commands(cluster, access_key=key.pk, secret_key=revealed),
        "workers": [],
    }
    part = "#modal" if is_fragment_request(request) else ""
    return render(request, f"keys/key_created.html{part}", context)


def _request_id(request: AccountRequest) -> uuid.UUID:
    """The form's own id. Without a usable one the request stands for itself."""
    try:
        return uuid.UUID(request.POST.get("request_id", ""))
    except ValueError:
        return uuid.uuid4()


@require_safe
def key_arrivals(request: AccountRequest, cluster_id: str, key_id: str) -> HttpResponse:
    key = selectors.key_or_404(request.user, cluster_id, key_id, "keys.view")
    context = {"cluster": key.cluster, "key": key, "workers": selectors.workers_that_joined_with(key)}
    return live_response(request, "keys/key_created.html#arrivals", context)


@require_http_methods(["GET", "HEAD", "POST"])
def key_deletion(request: AccountRequest, cluster_id: str, key_id: str) -> HttpResponse:
    key = selectors.key_or_404(request.user, cluster_id, key_id, "keys.change")
    workers = selectors.workers_that_stop_without(key)
    sent = request.method == "POST"
    form = DeletionForm(request.POST if sent else None, expected=key.cluster.name)
    if sent and (not workers or form.is_valid()):
        # Somebody else may have been faster; it is gone either way.
        with suppress(ClusterKey.DoesNotExist):
            services.key_delete(actor=request.user, key=key)
        messages.success(request, f"The key {key_id} is deleted. No worker can join with it any more.")
        return go(request, "keys:cluster-keys", cluster_id)
    context = {"key": key, "cluster": key.cluster, "workers": workers}
    return render_form(request, "keys/key_deletion.html", form, context)
