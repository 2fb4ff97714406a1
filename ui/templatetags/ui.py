"""Tags and filters for all templates."""

from collections.abc import Iterable
from typing import Protocol

from django import template
from django.template.defaulttags import querystring
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from ui import cells, messages, text
from ui.pagination import Sort

register = template.Library()

# What tells that a column is sorted, upwards and downwards.
_ARIA_SORT = mark_safe(' aria-sort="ascending"'), mark_safe(' aria-sort="descending"')
_ARROW = mark_safe(' <span aria-hidden="true">↑</span>'), mark_safe(' <span aria-hidden="true">↓</span>')

register.filter("visible", text.visible)
register.filter("undo", messages.undo_of)
register.filter("ago", cells.ago)
register.simple_tag(cells.copy_button)


class TagLike(Protocol):
    key: str
    value: str


@register.simple_tag
def tag_list(tags: Iterable[TagLike], url: str = "") -> SafeString:
    """Tags of an object; with the `url` of a list, each leads to all in it that have the tag."""
    return cells.tag_list(((tag.key, tag.value) for tag in tags), url)


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
