"""What sessions and queries can be narrowed to."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from audit import kinds
from audit.export import FORMATS
from audit.forms import ChipsForm, MomentField, choice_field, clean_person, person_field
from audit.log_selectors import LogFilters
from audit.models import MAX_NAME

MAX_TEXT = 200
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_STATES = {"running": True, "ended": False}


def _named(label: str, placeholder: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"placeholder": placeholder, "autocomplete": "off"})
    return forms.CharField(label=label, required=False, max_length=MAX_NAME, widget=widget)


def _text(label: str, help_text: str = "") -> forms.CharField:
    attrs = {"placeholder": "A part of it; * is anything", "autocomplete": "off"}
    return forms.CharField(
        label=label,
        required=False,
        max_length=MAX_TEXT,
        help_text=help_text,
        widget=forms.TextInput(attrs=attrs),
    )


class LogForm(ChipsForm):
    person = person_field()
    resource = _named("Resource", "Name or id, in full")
    cluster = _named("Proxy cluster", "Name or id, in full")
    kind = choice_field("Kind", kinds.choices)
    since = MomentField(label="From (UTC)", required=False)
    until = MomentField(label="Before (UTC)", required=False)

    def clean_person(self) -> Any:
        return clean_person(self.cleaned_data["person"])

    def filters(self) -> LogFilters:
        data = self.cleaned_data
        given = {name: data[name] for name in self.filter_names() if name not in ("person", "state")}
        return LogFilters(account=data["person"], running=_STATES.get(data.get("state", "")), **given)


class SessionForm(LogForm):
    state = forms.ChoiceField(
        label="State", choices=[("", "Any"), ("running", "Running"), ("ended", "Ended")], required=False
    )
    text = _text("Text of a query", "With a text, From and Before are the query's times.")


class QueryForm(LogForm):
    text = _text("Text")
    sha256 = forms.CharField(label="Hash of the text", required=False, max_length=64)

    def clean_sha256(self) -> str:
        text = str(self.cleaned_data["sha256"]).strip().lower()
        if text and not _SHA256.fullmatch(text):
            raise ValidationError("A hash has 64 hexadecimal digits. Copy it from a query's page.")
        return text


def _format() -> forms.ChoiceField:
    return forms.ChoiceField(choices=[(name, form.label) for name, form in FORMATS.items()])


class SessionExportForm(SessionForm):
    format = _format()


class QueryExportForm(QueryForm):
    format = _format()
