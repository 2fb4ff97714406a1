"""How resources read in a list."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol

from django import template
from django.utils.safestring import SafeString, mark_safe

from clusters.models import Cluster
from resources.models import Resource
from resources.selectors import ResourceRow
from ui import cells

register = template.Library()

_PICK = '<td data-label="Attach"><input type="checkbox" name="move" value="{}" aria-label="Attach {}"></td>'
_DETACH = """
<td class="table__actions">
  <form method="post" action="{}">
    {}
    <input type="hidden" name="move" value="{}">
    <button class="link-button" aria-label="Detach {}">Detach</button>
  </form>
</td>"""
_HEALTH = {
    True: cells.status("good", "Healthy"),
    False: cells.status("bad", "Unhealthy"),
    None: cells.status("none", "Not checked"),
}
_NO_CLUSTER = mark_safe('<td data-label="Cluster"><span class="muted">None</span></td>')


@register.simple_tag
def health(resource: Resource) -> SafeString:
    return _HEALTH[resource.healthy]


class OfResource(Protocol):
    resource_id: str


@register.simple_tag
def resources_of(rows: Iterable[OfResource]) -> set[str]:
    """The ids of those resources that are still there: what is remembered of the others has no page to lead to."""
    return set(Resource.objects.filter(pk__in={row.resource_id for row in rows}).values_list("pk", flat=True))


@register.simple_tag(takes_context=True)
def resource_rows(context: template.Context) -> SafeString:
    """A `<tr>` for each of `rows`, with the context of resources/resource_table.html."""
    columns = list(_columns(context))
    rows: Iterable[ResourceRow] = context["rows"]
    drawn = (cells.joined(column(row) for column in columns) for row in rows)
    return cells.joined(cells.html("<tr>{}</tr>\n", row) for row in drawn)


def _columns(context: template.Context) -> Iterator[Callable[[ResourceRow], SafeString]]:
    if cluster := context.get("picks"):
        yield partial(_pick, cluster)
    yield from (_name, _kind, _host)
    if context.get("shows_cluster"):
        yield _cluster
    yield from (_health, partial(_tags, context["url"]), _created)
    if cluster := context.get("detach"):
        yield partial(_detach, cluster, _detach_fields(cluster, context))


def _name(row: ResourceRow) -> SafeString:
    url = cells.path("resources:resource-detail", row.resource.pk)
    return cells.html('<th scope="row"><a href="{}"><bdi>{}</bdi></a></th>', url, row.resource.name)


def _kind(row: ResourceRow) -> SafeString:
    return cells.html('<td data-label="Kind">{}</td>', row.resource.kind_label)


def _host(row: ResourceRow) -> SafeString:
    return cells.html('<td data-label="Host">{}</td>', cells.copyable(row.resource.address, "the address"))


def _cluster(row: ResourceRow) -> SafeString:
    if row.resource.cluster_id is None:
        return _NO_CLUSTER
    url = cells.path("resources:cluster-resources", row.resource.cluster_id)
    return cells.html('<td data-label="Cluster"><a href="{}">{}</a></td>', url, row.cluster_name)


def _health(row: ResourceRow) -> SafeString:
    return cells.html('<td data-label="Health">{}</td>', health(row.resource))


def _tags(url: str, row: ResourceRow) -> SafeString:
    return cells.html('<td data-label="Tags">{}</td>', cells.tag_list(row.tags, url))


def _created(row: ResourceRow) -> SafeString:
    return cells.html('<td data-label="Created">{}</td>', cells.ago(row.resource.created_at))


def _pick(cluster: Cluster, row: ResourceRow) -> SafeString:
    move = f"{row.resource.pk}:{row.resource.cluster_id or ''}:{cluster.pk}"
    return cells.html(_PICK, move, row.resource.name)


def _detach(cluster: Cluster, fields: SafeString, row: ResourceRow) -> SafeString:
    url, move = cells.path("resources:resource-moves"), f"{row.resource.pk}:{cluster.pk}:"
    return cells.html(_DETACH, url, fields, move, row.resource.name)


def _detach_fields(cluster: Cluster, context: template.Context) -> SafeString:
    """What each row's form says alike."""
    fields = {
        "csrfmiddlewaretoken": context["csrf_token"],
        "back": cluster.pk,
        "query": context["request"].GET.urlencode(),
    }
    return cells.html_join('<input type="hidden" name="{}" value="{}">', fields.items())
