"""`sdm status --filter`: the words of the console's search, as far as this machine knows what they ask.

Terms with spaces between them all have to hold. A bare word is looked for in the name; `*` stands for anything, and
quotes hold spaces together.
"""

import re
import shlex
from collections.abc import Callable
from typing import Any

Resource = dict[str, Any]
Term = Callable[[Resource], bool]

_HEALTH = {"true": True, "false": False, "unknown": None}


class WrongFilter(Exception):
    """The message says what would be right."""


def parse(text: str) -> Term:
    try:
        terms = [_term(word) for word in shlex.split(text)]
    except ValueError:
        raise WrongFilter("A quotation mark in the filter is not closed.") from None
    return lambda resource: all(holds(resource) for holds in terms)


def _term(word: str) -> Term:
    name, colon, value = word.partition(":")
    if not colon:
        return _within("name", word)
    match name.casefold():
        case "name" | "type" | "kind" | "cluster" as known:
            return _within("type" if known == "kind" else known, value)
        case "tags" | "tag":
            return _tagged(value)
        case "status":
            return lambda resource: str(resource["status"]).replace(" ", "-") == value.casefold()
        case "healthy" if value.casefold() in _HEALTH:
            return lambda resource: bool(resource["healthy"] is _HEALTH[value.casefold()])
        case "healthy":
            raise WrongFilter(f"healthy:{value} means nothing. Give {', '.join(_HEALTH)}.")
        case "id":
            return lambda resource: bool(resource["id"] == value)
        case _:
            raise WrongFilter(
                f"There is no filter {name}:. There are name:, type:, cluster:, tags:, status:, healthy: and id:."
            )


def _within(field: str, text: str) -> Term:
    """In any case."""
    pattern = re.compile(_pattern(text), re.IGNORECASE | re.DOTALL)
    return lambda resource: pattern.search(str(resource[field])) is not None


def _tagged(text: str) -> Term:
    """Case counts. Without a value, any value will do."""
    key, equals, value = text.partition("=")
    keys = re.compile(_pattern(key), re.DOTALL)
    values = re.compile(_pattern(value) if equals else ".*", re.DOTALL)
    return lambda resource: any(
        keys.fullmatch(one) and values.fullmatch(other) for one, other in resource["tags"].items()
    )


def _pattern(text: str) -> str:
    return ".*".join(map(re.escape, text.split("*")))
