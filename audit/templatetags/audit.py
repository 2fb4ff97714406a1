"""How activities read on a page. Names come from anybody: what cannot be seen is written out, and each stands
isolated, so that none turns the reading order of the rest round."""

import datetime as dt
from collections.abc import Iterable, Iterator
from urllib.parse import urlencode

from django import template
from django.utils.safestring import SafeString, mark_safe

from audit.difference import Line, difference
from audit.models import Activity
from ui import cells
from ui.text import visible

register = template.Library()

_ROW = """
<tr>
  <td data-label="When"><a href="{}">{}</a></td>
  <td data-label="Who"><bdi>{}</bdi></td>
  <td class="activities__what"><details id="activity-{}"><summary>{}</summary>{}</details></td>
  <td data-label="From">{}</td>
  <td data-label="Outcome">{}</td>
</tr>"""
_DIFFERENCE = """
<table class="difference">
  <thead><tr><th scope="col">Field</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
  <tbody>{}</tbody>
</table>"""
_CHANGE = '<tr><th scope="row"><bdi>{}</bdi></th><td>{}</td><td>{}</td></tr>\n'
_NOTHING = mark_safe('<span class="muted">nothing</span>')


@register.filter
def deed(activity: Activity) -> SafeString:
    """What follows the actor's name: "created proxy cluster keen-coffee"."""
    before, placeholder, after = activity.phrase.partition("{entity}")
    if not placeholder:
        return cells.html("{}", before)
    return cells.html("{}<bdi>{}</bdi>{}", before, visible(activity.whom), after)


@register.simple_tag
def activity_rows(activities: Iterable[Activity]) -> SafeString:
    return cells.joined(_row(activity) for activity in activities)


def _row(activity: Activity) -> SafeString:
    return cells.html(
        _ROW,
        cells.path("audit:activity-detail", activity.pk),
        cells.ago(activity.created_at),
        visible(activity.who),
        activity.pk,
        deed(activity),
        activity_facts(activity),
        cells.html("<code>{}</code>", activity.source_address) if activity.source_address else "",
        outcome(activity),
    )


@register.simple_tag
def outcome(activity: Activity) -> SafeString:
    is_denied = activity.outcome == Activity.Outcome.DENIED
    return cells.status("bad" if is_denied else "none", activity.get_outcome_display())


@register.simple_tag
def activity_facts(activity: Activity) -> SafeString:
    """All that was recorded of it but the sentence."""
    facts = cells.html_join("<dt>{}</dt><dd>{}</dd>\n", _facts(activity))
    return cells.html('{}<dl class="facts">{}</dl>', changes(activity), facts)


def _facts(activity: Activity) -> Iterator[tuple[str, SafeString | str]]:
    yield "Time", f"{activity.created_at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    if activity.actor_id:
        by_them = _search("All they did", actor=activity.actor_name)
        yield "Account", cells.html("{} {}", cells.copyable(activity.actor_id, "the account's id"), by_them)
    if activity.entity_id:
        to_it = _search("All that happened to it", entity=activity.entity_id)
        yield "Id", cells.html("{} {}", cells.copyable(activity.entity_id, "the id"), to_it)
    if activity.user_agent:
        yield "Program", cells.html("<bdi>{}</bdi>", visible(activity.user_agent))
    url = cells.path("audit:activity-detail", activity.pk)
    yield "Recorded as", cells.html('{}, <a href="{}">activity {}</a>', activity.verb, url, activity.pk)


def _search(words: str, **query: str) -> SafeString:
    url = cells.path("audit:activity-list")
    return cells.html('<a class="small" href="{}?{}">{}</a>', url, urlencode(query), words)


@register.simple_tag
def changes(activity: Activity) -> SafeString:
    """What stood in each field before and after, if any field changed."""
    found = difference(activity)
    rows = ((change.name, _lines(change.before, "del"), _lines(change.after, "ins")) for change in found)
    drawn = cells.html_join(_CHANGE, rows)
    return cells.html(_DIFFERENCE, drawn) if drawn else drawn


def _lines(lines: Iterable[Line], element: str) -> SafeString:
    named = ((element if line.differs else "div", line.text) for line in lines)
    drawn = ((name, text, name) for name, text in named)
    return cells.html_join("<{}><bdi>{}</bdi></{}>", drawn) or _NOTHING
