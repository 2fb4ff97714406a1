"""What changed, field by field, for the eye."""

import json
from dataclasses import dataclass
from typing import Any

from audit.models import Activity
from ui.text import visible


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    # It stands on this side only.
    differs: bool


@dataclass(frozen=True, slots=True)
class FieldChange:
    name: str
    before: list[Line]
    after: list[Line]


def difference(activity: Activity) -> list[FieldChange]:
    before, after = activity.before or {}, activity.after or {}
    return [_change(name, before.get(name), after.get(name)) for name in {**before, **after}]


def _change(name: str, before: Any, after: Any) -> FieldChange:
    was, now = _lines(before), _lines(after)
    return FieldChange(
        visible(name.replace("_", " ")),
        [Line(text, text not in now) for text in was],
        [Line(text, text not in was) for text in now],
    )


def _lines(value: Any) -> list[str]:
    """A set of tags or a list is read line by line."""
    if value is None or value == "":
        return []
    if isinstance(value, dict):
        return [f"{visible(key)}={_text(item)}" for key, item in value.items()]
    if isinstance(value, list):
        return [_text(item) for item in value]
    return [_text(value)]


def _text(value: Any) -> str:
    return visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
