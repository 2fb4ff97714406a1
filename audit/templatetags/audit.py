"""How activities read on a page. Names come from anybody: what cannot be seen is written out, and each stands
isolated, so that none turns the reading order of the rest round."""

from django import template
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString

from audit.difference import FieldChange, difference
from audit.models import Activity
from ui.text import visible

register = template.Library()


@register.filter
def deed(activity: Activity) -> SafeString:
    """What follows the actor's name: "created proxy cluster keen-coffee"."""
    before, placeholder, after = activity.phrase.partition("{entity}")
    if not placeholder:
        return conditional_escape(before)
    return format_html("{}<bdi>{}</bdi>{}", before, visible(activity.whom), after)


@register.filter
def field_changes(activity: Activity) -> list[FieldChange]:
    return difference(activity)
