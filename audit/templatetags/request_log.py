"""How sessions and queries read on a page. Their texts come from anybody: what cannot be seen is written out."""

from django import template
from django.utils.safestring import SafeString

from audit import kinds
from audit.models import Query, Session
from sdm.contract.endings import Ending
from ui import cells
from ui.text import visible, visible_lines

register = template.Library()

# Folded in lists beyond this.
_SHORT = 200
# Nothing is wrong about these.
_PLAIN_ENDINGS = {
    Ending.CLIENT_LEFT,
    Ending.RESOURCE_LEFT,
    Ending.IDLE,
    Ending.LOGGED_OUT,
    Ending.WORKER_STOPPED,
}
# What workers say of a request that did not end by itself.
_ERRORS = {
    **{ending.value: ending.sentence for ending in Ending},
    "broken-off": "Broken off before all of it had arrived.",
}


@register.simple_tag
def query_text(query: Query) -> SafeString:
    """The text of a query in a list: on one line, long ones folded."""
    text = visible(query.text)
    if len(text) <= _SHORT:
        return cells.html("<code><bdi>{}</bdi></code>", text)
    more = " …" if query.text_length > len(query.text.encode()) else ""
    return cells.html(
        '<details id="{}"><summary><code><bdi>{}…</bdi></code></summary><code><bdi>{}{}</bdi></code></details>',
        query.pk,
        text[:_SHORT],
        text,
        more,
    )


@register.filter
def whole_text(query: Query) -> str:
    return visible_lines(query.text + query.text_rest)


@register.filter
def took(query: Query) -> str:
    """How long it took, with three digits at most: 850 µs, 1.5 ms, 12 s."""
    if query.microseconds is None:
        return ""
    for unit, size in (("µs", 1), ("ms", 1_000), ("s", 1_000_000)):
        if query.microseconds < 1_000 * size or unit == "s":
            number = query.microseconds / size
            return f"{number:,.0f} {unit}" if number >= 100 or size == 1 else f"{number:.1f} {unit}"
    raise AssertionError


@register.filter
def error_words(query: Query) -> str:
    """A sentence where we have one for the word; a SQLSTATE or an HTTP status stands for itself."""
    session = query.session
    if session.ending_words and query.error == session.ending:
        # Cut with its session: in the words that the person was told.
        return visible(session.ending_words)
    return visible(_ERRORS.get(query.error, query.error))


@register.filter
def kind_label(slug: str) -> str:
    return visible(kinds.label(slug))


@register.filter
def logs_requests(session: Session) -> bool:
    return session.requests > 0 or kinds.logs_requests(session.kind)


@register.filter
def ending_tone(session: Session) -> str:
    return "none" if session.ending in _PLAIN_ENDINGS else "warn"
