"""What the log knows of each kind of resource. Kinds are another part's, which tells of them when it is set up."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoggedKind:
    slug: str
    label: str
    # Of some only bytes and times are known.
    logs_requests: bool


_known: dict[str, LoggedKind] = {}


def register(kinds: Iterable[LoggedKind]) -> None:
    """In the order in which they are offered."""
    _known.update((kind.slug, kind) for kind in kinds)


def choices() -> list[tuple[str, str]]:
    return [("", "Any"), *((kind.slug, kind.label) for kind in _known.values())]


def label(slug: str) -> str:
    """Of a kind that is no longer known, its own word."""
    return _known[slug].label if slug in _known else slug


def logs_requests(slug: str) -> bool:
    return slug not in _known or _known[slug].logs_requests
