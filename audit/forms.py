"""What the log can be narrowed to, and in which form it can be taken away."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, QueryDict
from django.utils import timezone

from audit import selectors
from audit.export import FORMATS
from audit.models import MAX_NAME, Activity
from audit.selectors import Filters
from audit.verbs import EntityType, Verb
from ui.forms import Select
from ui.text import visible

# What is repeated of a value that makes no sense.
_MAX_SHOWN = 100


class MomentField(forms.DateTimeField):
    """A time in UTC, from the browser's own picker or typed into the address."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"})

    def to_python(self, value: Any) -> dt.datetime | None:
        try:
            moment = super().to_python(value)
            return moment and moment.astimezone(dt.UTC)
        except (ValidationError, OverflowError) as error:
            shown = visible(str(value)[:_MAX_SHOWN])
            raise ValidationError(
                f"“{shown}” is no time. Give date and time in UTC, as in 2026-11-22T14:30."
            ) from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        """The picker shows times in this one form only."""
        try:
            moment = self.to_python(data)
        except ValidationError:
            return data
        return moment and moment.replace(tzinfo=None).isoformat(timespec="minutes")


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter."""

    name: str
    label: str
    text: str
    # What was sent, for the form that exports just this.
    value: str
    # The query string without it.
    remaining: str


def _verbs() -> list[Any]:
    groups = groupby(Verb, key=lambda verb: verb.entity_type)
    return [
        ("", "Anything"),
        *((kind.label, [(verb.value, verb.value) for verb in some]) for kind, some in groups),
    ]


def choice_field(label: str, choices: list[Any] | Callable[[], list[Any]]) -> forms.ChoiceField:
    errors = {"invalid_choice": "“%(value)s” is not in the list. Choose what is."}
    return forms.ChoiceField(
        label=label, choices=choices, required=False, error_messages=errors, widget=Select
    )


class ChipsForm(forms.Form):
    """Filters that stand as chips above what they leave, each with a way to remove it."""

    def chips(self) -> list[Chip]:
        return [self._chip(name) for name in self.filter_names() if self.cleaned_data.get(name)]

    @classmethod
    def filter_names(cls) -> list[str]:
        return [name for name in cls.base_fields if name != "format"]

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        since, until = data.get("since"), data.get("until")
        if since and until and until <= since:
            self.add_error("until", "This is not later than the time it begins from.")
        return data

    def _chip(self, name: str) -> Chip:
        remaining = cast(QueryDict, self.data).copy()
        for key in (name, "after", "before"):
            remaining.pop(key, None)
        field = self.fields[name]
        text = str(dict(getattr(field, "choices", [])).get(self.data[name], self[name].value()))
        return Chip(name, str(field.label), visible(text), self.data[name], remaining.urlencode())


def person_field() -> forms.CharField:
    return forms.CharField(
        label="Who",
        required=False,
        max_length=MAX_NAME,
        widget=forms.TextInput(
            attrs={"list": "people", "placeholder": "E-mail address", "autocomplete": "off"}
        ),
    )


def clean_person(email: str) -> Any:
    """The account with this address; None for no address."""
    if not email:
        return None
    person = selectors.person(email)
    if person is None:
        shown = visible(email[:_MAX_SHOWN])
        raise ValidationError(f"Nobody here has the address “{shown}”. Choose one of those offered.")
    return person


class FilterForm(ChipsForm):
    actor = person_field()
    verb = choice_field("What", _verbs())
    entity_type = choice_field("Kind", [("", "Any"), *EntityType.choices])
    entity = forms.CharField(
        label="Name or id",
        required=False,
        max_length=MAX_NAME,
        widget=forms.TextInput(attrs={"placeholder": "In full, as it was then", "autocomplete": "off"}),
    )
    outcome = choice_field("Outcome", [("", "Any"), *Activity.Outcome.choices])
    since = MomentField(label="From (UTC)", required=False)
    until = MomentField(label="Before (UTC)", required=False)

    def clean_actor(self) -> Any:
        return clean_person(self.cleaned_data["actor"])

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        verb, kind = data.get("verb"), data.get("entity_type")
        if verb and kind and Verb(verb).entity_type != kind:
            self.add_error("entity_type", f"“{verb}” is of another kind: {Verb(verb).entity_type.label}.")
        return data

    def filters(self) -> Filters:
        return Filters(**{name: self.cleaned_data[name] for name in self.filter_names()})


class ExportForm(FilterForm):
    format = forms.ChoiceField(choices=[(name, form.label) for name, form in FORMATS.items()])


def without_empty(request: HttpRequest) -> str:
    """Where to go instead: the filters' form sends every field, an address that is shared holds those that were set."""
    query = request.GET.copy()
    for name in [name for name, value in query.items() if value == ""]:
        del query[name]
    return f"{request.path}?{query.urlencode()}"


def spans() -> list[tuple[str, str]]:
    """Usual spans of time, each with the `since` that begins it."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [("Today", 0), ("7 days", 7), ("30 days", 30)]
    return [(label, f"{today - dt.timedelta(days=days):%Y-%m-%dT%H:%M}") for label, days in starts]
