"""Attaching and detaching: both, and undoing either, are moves of resources between clusters."""

import re
from collections.abc import Sequence

from django.core.exceptions import BadRequest
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.http import AccountRequest
from audit.services import require
from clusters.selectors import cluster_head, cluster_or_404
from resources import selectors, services
from resources.services import Move
from resources.views.lists import listing_context
from ui import messages
from ui.responses import is_fragment_request

_ID = re.compile(r"(rs|n)-[0-9a-f]{16}")

# A page of checked rows, with room to spare.
MAX_MOVES = 200

# What a list shows, as it stands in its address. Longer than a server takes one, it came from no page.
_KEPT = ("q", "sort", "after", "before")
_MAX_QUERY = 4_000


@require_safe
def cluster_attach(request: AccountRequest, cluster_id: str) -> HttpResponse:
    """Resources that are attached elsewhere or nowhere, to pick several from."""
    require(request.user, "resources.change")
    cluster = cluster_or_404(request.user, cluster_id)
    context = listing_context(
        request, selectors.listed_resources().filter(selectors.not_attached_to(cluster))
    )
    context |= {"cluster": cluster, "tab": "resources"}
    if is_fragment_request(request):
        return render(request, "resources/cluster_attach.html#results", context)
    return render(request, "resources/cluster_attach.html", {**context, "head": cluster_head(cluster)})


@require_POST
def resource_moves(request: AccountRequest) -> HttpResponse:
    """`move` holds moves, in one field or many; `back` the id of the page to go back to, `query` what it showed."""
    require(request.user, "resources.change")
    moves = _read_moves(" ".join(request.POST.getlist("move")))
    try:
        done = services.resources_move(actor=request.user, moves=moves)
    except services.ClusterGone:
        messages.error(request, "The proxy cluster was deleted meanwhile. Nothing was changed.")
    else:
        _report(request, moves, done)
    return redirect(_page(request.POST.get("back", ""), request.POST.get("query", "")))


def _read_moves(text: str) -> list[Move]:
    try:
        return [Move.parse(move) for move in text.split()[:MAX_MOVES]]
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _report(request: AccountRequest, moves: Sequence[Move], done: Sequence[Move]) -> None:
    if not moves:
        messages.warning(request, "Nothing was chosen, so nothing was changed.")
    if len(done) < len(moves):
        count = len(moves) - len(done)
        messages.warning(
            request,
            f"{count} of {len(moves)} had been moved or deleted by somebody else and stayed as they are.",
        )
    if done:
        fields = {"move": " ".join(str(move.back()) for move in done)}
        fields |= {name: request.POST.get(name, "") for name in ("back", "query")}
        undo_url = reverse("resources:resource-moves")
        messages.undoable(request, _told(done), undo_url=undo_url, fields=fields)


def _told(done: Sequence[Move]) -> str:
    """What was done, in a sentence. The moves of one request nearly always have one destination."""
    what = f"{len(done)} resources are"
    if len(done) == 1:
        what = f"{selectors.name_of(done[0].resource)} is"
    destinations = {move.destination for move in done}
    if destinations == {""}:
        return f"{what} detached. Nobody can reach {'it' if len(done) == 1 else 'them'} now."
    if len(destinations) == 1:
        return f"{what} attached to {selectors.name_of(done[0].destination)}."
    return f"{what} back where they were."


def _page(back: str, query: str) -> str:
    """The page that the form was on, by the id of what it shows: a resource, or a cluster's tab with its search."""
    if not _ID.fullmatch(back):
        return reverse("resources:resource-list")
    if back.startswith("rs-"):
        return reverse("resources:resource-detail", args=[back])
    shown = QueryDict(query[:_MAX_QUERY])
    kept = {name: shown[name] for name in _KEPT if shown.get(name)}
    return reverse("resources:cluster-resources", args=[back], query=kept)
