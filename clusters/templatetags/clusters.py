"""How clusters read in a list."""

from collections.abc import Iterable

from django import template
from django.utils.safestring import SafeString

from clusters.models import Cluster
from clusters.selectors import ClusterRow, WorkerCount
from ui import cells

register = template.Library()

_ROW = """
<tr>
  <th scope="row"><a href="{}">{}</a></th>
  <td data-label="Address">{}</td>
  <td data-label="Workers">{}</td>
  <td data-label="Resources" class="number">{}</td>
  <td data-label="Tags">{}</td>
  <td data-label="Created">{}</td>
</tr>"""
_COLOURS = {
    Cluster.Status.ONLINE: "good",
    Cluster.Status.DEGRADED: "warn",
    Cluster.Status.OFFLINE: "bad",
    Cluster.Status.NO_WORKERS: "none",
}


@register.simple_tag
def cluster_rows(rows: Iterable[ClusterRow], url: str) -> SafeString:
    """A `<tr>` for each; `url` is the list that a tag filters."""
    return cells.joined(_row(row, url) for row in rows)


def _row(row: ClusterRow, url: str) -> SafeString:
    return cells.html(
        _ROW,
        cells.path("resources:cluster-resources", row.cluster.pk),
        row.cluster.name,
        cells.copyable(row.cluster.address, "the address"),
        _workers(row.workers),
        row.resources,
        cells.tag_list(row.tags, url),
        cells.ago(row.cluster.created_at),
    )


def _workers(workers: WorkerCount) -> SafeString:
    words = f"{workers.online} of {workers.expected} online{workers.trouble}" if workers.expected else "none"
    return cells.status(_COLOURS[workers.status], words)


@register.filter
def colour(workers: WorkerCount) -> str:
    """The class of a status that says how a cluster's workers are."""
    return _COLOURS[workers.status]
