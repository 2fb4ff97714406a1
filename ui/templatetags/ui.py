"""Tags and filters for all templates."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from django import template
from django.template.defaulttags import querystring
from django.templatetags.static import static
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from ui import cells, messages, text
from ui.context_processors import Heading
from ui.pagination import Sort

register = template.Library()

# What tells that a column is sorted, upwards and downwards.
_ARIA_SORT = mark_safe(' aria-sort="ascending"'), mark_safe(' aria-sort="descending"')
_ARROW = mark_safe(' <span aria-hidden="true">↑</span>'), mark_safe(' <span aria-hidden="true">↓</span>')

_CURRENT = mark_safe(' aria-current="page"')
_HEADING = """
<div>
  <p class="navigation__heading" id="{}">{}</p>
  <ul class="navigation__entries" aria-labelledby="{}">{}</ul>
</div>"""

register.filter("visible", text.visible)
register.filter("undo", messages.undo_of)
register.filter("ago", cells.ago)
register.simple_tag(cells.copy_button)
register.simple_tag(cells.copyable)


class TagLike(Protocol):
    key: str
    value: str


@register.simple_tag
def tag_list(tags: Iterable[TagLike], url: str = "") -> SafeString:
    """Tags of an object; with the `url` of a list, each leads to all in it that have the tag."""
    return cells.tag_list(((tag.key, tag.value) for tag in tags), url)


@register.simple_tag
@lru_cache
def navigation_entries(navigation: tuple[Heading, ...], scope: str) -> SafeString:
    """Drawn once for all who see the same: on every page it stands twice. `scope` tells the two apart."""
    return cells.joined(
        cells.html(
            _HEADING, f"nav-{scope}-{number}", heading.label, f"nav-{scope}-{number}", _entries(heading)
        )
        for number, heading in enumerate(navigation, 1)
    )


def _entries(heading: Heading) -> SafeString:
    return cells.html_join(
        '<li><a href="{}"{}>{}</a></li>\n',
        (
            (reverse(entry.url_name), _CURRENT if entry.is_current else "", entry.label)
            for entry in heading.entries
        ),
    )


@register.simple_tag
@lru_cache
def stylesheet_links(names: tuple[str, ...]) -> SafeString:
    """Drawn once: their addresses change with a new version only."""
    return cells.html_join('<link rel="stylesheet" href="{}">\n', ([static(name)] for name in names))


@register.simple_tag
def live_attributes(url_name: str, *args: str) -> SafeString:
    """What makes an element a live part that asks `url_name` for itself; see ui.live."""
    return cells.html(
        'data-live hx-get="{}" hx-trigger="console:tick" hx-swap="outerHTML"', reverse(url_name, args=args)
    )


@register.simple_tag(takes_context=True)
def sort_heading(context: template.Context, column: str, label: str) -> SafeString:
    """A `<th>` whose link sorts by `column`, or turns the order round where it already does."""
    sort: Sort = context["sort"]
    is_sorted = sort.column == column
    next_sort = f"-{column}" if is_sorted and not sort.descending else column
    return cells.html(
        '<th scope="col"{}><a href="{}">{}{}</a></th>',
        _ARIA_SORT[sort.descending] if is_sorted else "",
        querystring(context, sort=next_sort, after=None, before=None),
        label,
        _ARROW[sort.descending] if is_sorted else "",
    )
