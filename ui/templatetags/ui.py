"""Tags and filters for all templates."""

import datetime as dt
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from heroicons.templatetags.heroicons import heroicon_micro

from search.grammar import Pattern, Term
from ui import messages, text
from ui.pagination import Sort

register = template.Library()

register.filter("visible", text.visible)
register.filter("undo", messages.undo_of)

# The longest first; a moment that is nearer than a minute is "just now".
_UNITS = (("year", 365 * 86400), ("month", 30 * 86400), ("day", 86400), ("hour", 3600), ("minute", 60))


@register.filter
def ago(moment: dt.datetime | None) -> SafeString | str:
    """A `<time>` that reads "3 days ago" or "in 2 hours" and shows the exact UTC time on hover."""
    if moment is None:
        return ""
    moment = moment.astimezone(dt.UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(timespec="seconds"),
        moment.strftime("%Y-%m-%d %H:%M:%S"),
        _distance((timezone.now() - moment).total_seconds()),
    )


def _distance(seconds: float) -> str:
    size = abs(seconds)
    for unit, length in _UNITS:
        if size >= length:
            count = int(size // length)
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "just now"


class TagLike(Protocol):
    key: str
    value: str


@register.simple_tag
def tag_filter(tag: TagLike) -> str:
    """The search for this tag, ready for a query string."""
    return quote(str(Term("tags", Pattern((f"{tag.key}={tag.value}",)))), safe="")


@register.simple_tag
@lru_cache
def small_icon(name: str) -> str:
    """A drawing that says nothing a word does not. Made once: for each row of a list it took a fifth of the page."""
    drawing: str = heroicon_micro(name, size=16, aria_hidden="true")
    return drawing


@register.simple_tag
def live_attributes(url_name: str, *args: str) -> SafeString:
    """What makes an element a live part that asks `url_name` for itself; see ui.live."""
    return format_html(
        'data-live hx-get="{}" hx-trigger="console:tick" hx-swap="outerHTML"', reverse(url_name, args=args)
    )


@register.inclusion_tag("components/sort.html", takes_context=True)
def sort_heading(context: template.Context, column: str, label: str) -> dict[str, Any]:
    """A `<th>` whose link sorts by `column`, or turns the order round where it already does."""
    sort: Sort = context["sort"]
    return {
        "request": context["request"],
        "column": column,
        "label": label,
        "sort": sort,
        "next_sort": f"-{column}" if sort.column == column and not sort.descending else column,
    }
