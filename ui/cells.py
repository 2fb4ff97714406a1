"""Pieces of the tables, each a function to safe HTML. A list draws hundreds of them on a page: as templates they took
most of its time."""

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from urllib.parse import quote

from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from heroicons.templatetags.heroicons import heroicon_micro

from search.grammar import Pattern, Term

# The longest first; a moment that is nearer than a minute is "just now".
_UNITS = (("year", 365 * 86400), ("month", 30 * 86400), ("day", 86400), ("hour", 3600), ("minute", 60))
# Routes take it for an id, be it a text or a number.
_ANY_ID = "9" * 16


def html(markup: str, *values: object) -> SafeString:
    """Django's `format_html`, in a third of its time: nothing of ours is lazy."""
    # Exactly this class: what a subclass holds is not known to be safe.
    safe = [value if value.__class__ is SafeString else escape(str(value)) for value in values]
    return SafeString(markup.format(*safe))


def html_join(markup: str, rows: Iterable[Sequence[object]]) -> SafeString:
    return joined(html(markup, *row) for row in rows)


def joined(pieces: Iterable[SafeString]) -> SafeString:
    """Pieces that are safe already."""
    return SafeString("".join(pieces))


@lru_cache
def icon(name: str) -> SafeString:
    """A drawing that says nothing a word does not."""
    return SafeString(heroicon_micro(name, size=16, aria_hidden="true"))  # a file of the package


def ago(moment: dt.datetime | None) -> SafeString | str:
    """A `<time>` that reads "3 days ago" or "in 2 hours" and shows the exact UTC time on hover."""
    if moment is None:
        return ""
    exact = moment.astimezone(dt.UTC).isoformat(timespec="seconds")
    words = _distance((timezone.now() - moment).total_seconds())
    shown = f"{exact[:10]} {exact[11:19]} UTC"
    return SafeString(f'<time datetime="{exact}" title="{shown}">{words}</time>')  # digits and words


def _distance(seconds: float) -> str:
    size = abs(seconds)
    for unit, length in _UNITS:
        if size >= length:
            # What has just been given seven days ends in seven, not in six and almost another.
            count = int(size // length) if seconds > 0 else round(size / length)
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "just now"


def copy_button(text: str, label: str) -> SafeString:
    """`label` says what is copied, as in "the access key"."""
    return html(
        '<button type="button" class="copy needs-js" data-copy="{}" aria-label="Copy {}" title="Copy {}">{}</button>',
        text,
        label,
        label,
        icon("clipboard-document"),
    )


def copyable(text: str, label: str) -> SafeString:
    return html('<span class="copyable"><code>{}</code>{}</span>', text, copy_button(text, label))


def status(kind: str, words: str) -> SafeString:
    """`kind` is good, warn, bad or none; the words say the same without the colour."""
    return html('<span class="status status--{}">{}</span>', kind, words)


def tag_list(tags: Iterable[tuple[str, str]], url: str = "") -> SafeString:
    """Tags of an object; with the `url` of a list, each leads to all in it that have the tag."""
    drawn = joined(_tag(key, value, url) for key, value in tags)
    return html('<span class="tags">{}</span>', drawn) if drawn else drawn


# The same few tags stand in most rows of a page, and on most pages.
@lru_cache(maxsize=4096)
def _tag(key: str, value: str, url: str) -> SafeString:
    text = html('<span class="tag__key">{}</span>{}', key, f"={value}" if value else "")
    if not url:
        return html('<span class="tag">{}</span>\n', text)
    search = quote(str(Term("tags", Pattern((f"{key}={value}",)))), safe="")
    title = f"Show all with {key}={value}"
    return html('<a class="tag" href="{}?q={}" title="{}">{}</a>\n', url, search, title, text)


def path(name: str, entity_id: str | int = "") -> str:
    """`reverse` for a route that takes one id or none, which is what a list needs for each of its rows."""
    before, after = _around_id(name, bool(entity_id))
    return before + quote(str(entity_id)) + after


@lru_cache
def _around_id(name: str, has_id: bool) -> tuple[str, str]:
    before, _, after = reverse(name, args=[_ANY_ID] if has_id else []).partition(_ANY_ID)
    return before, after
