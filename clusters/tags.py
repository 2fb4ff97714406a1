"""Tags as people type them: rows of key and value, checked against the limits of the compatible system."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Manager, ManyToOneRel, Model
from django.http import QueryDict

from clusters.models import MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS, Tag

Pairs = list[tuple[str, str]]

_PUNCTUATION = frozenset(" +-=._:/@")
# Rows that stand ready without JavaScript.
_SPARE_ROWS = 2


def check_tags(pairs: Pairs) -> dict[str, str]:
    """The tags by key; ValidationError with one sentence for each that cannot be."""
    problems = [problem for key, value in pairs if (problem := _problem(key, value))]
    if len(pairs) > MAX_TAGS:
        problems.append(f"There can be at most {MAX_TAGS} tags, these are {len(pairs)}.")
    keys = [key for key, _ in pairs]
    problems += [
        f"“{key}” stands here twice. A key has one value."
        for key in dict.fromkeys(keys)
        if keys.count(key) > 1
    ]
    if problems:
        raise ValidationError(problems[:5])
    return dict(pairs)


def _problem(key: str, value: str) -> str:
    if not key:
        return f"The value “{_short(value)}” has no key."
    if len(key) > MAX_TAG_KEY or len(value) > MAX_TAG_VALUE:
        return f"“{_short(key)}”: a key has at most {MAX_TAG_KEY} characters and a value {MAX_TAG_VALUE}."
    if "=" in key:
        return f"“{_short(key)}”: a key cannot contain “=”, which stands between key and value."
    wrong = next((character for character in key + value if not _allowed(character)), None)
    if wrong is not None:
        return f"“{_short(key)}”: tags cannot contain {_named(wrong)}. Use letters, digits, spaces and + - = . _ : / @"
    return ""


def _allowed(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character)[0] in "LMN"


def _named(character: str) -> str:
    return f"“{character}”" if character.isprintable() else f"the character U+{ord(character):04X}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


class TagRows(forms.Widget):
    """Rows of two inputs named `<name>_key` and `<name>_value`."""

    template_name = "components/tag_rows.html"
    use_fieldset = True

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Pairs:
        keys, values = (_all(data, f"{name}_{part}") for part in ("key", "value"))
        values = values + [""] * (len(keys) - len(values))
        return [
            (key, value) for key, value in zip(keys, values, strict=False) if key.strip() or value.strip()
        ]

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return f"{name}_key" not in data

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        pairs = list(value.items()) if isinstance(value, dict) else list(value or [])
        spare = [("", "")] * _SPARE_ROWS if len(pairs) < MAX_TAGS else []
        context["widget"]["rows"] = [
            # The row that is wrong is the one that takes the focus.
            (key, text, bool((key or text) and _problem(key.strip(), text.strip())))
            for key, text in pairs[:MAX_TAGS] + spare
        ]
        return context


def _all(data: Mapping[str, Any], name: str) -> list[str]:
    return data.getlist(name) if isinstance(data, QueryDict) else list(data.get(name, []))


class TagsField(forms.Field):
    """Cleans to a dictionary of tags, keys and values without the white space around them."""

    widget = TagRows

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "label": "Tags", **kwargs})

    def clean(self, value: Pairs | None) -> dict[str, str]:
        return check_tags([(key.strip(), text.strip()) for key, text in value or []])


def tags_by_owner(owners: type[Model], ids: Sequence[str]) -> dict[str, Pairs]:
    """The tags of each of these, by its id, in one query; none where there are none."""
    relation = cast("ManyToOneRel", owners._meta.get_field("tags"))
    owner = relation.field.attname
    tags = relation.related_model._default_manager.filter(**{f"{owner}__in": ids}).order_by("key")
    found: dict[str, Pairs] = {}
    for owner_id, key, value in tags.values_list(owner, "key", "value"):
        found.setdefault(owner_id, []).append((key, value))
    return found


def tags_of(tags: Sequence[Tag]) -> dict[str, str]:
    return {tag.key: tag.value for tag in tags}


def replace_tags(manager: "Manager[Any]", wanted: Mapping[str, str]) -> None:
    """Make the tags behind a related manager be `wanted`, touching only rows that differ."""
    current = {tag.key: tag for tag in manager.all()}
    manager.filter(key__in=[key for key in current if key not in wanted]).delete()
    for key, value in wanted.items():
        if key not in current:
            manager.create(key=key, value=value)
        elif current[key].value != value:
            manager.filter(key=key).update(value=value)
