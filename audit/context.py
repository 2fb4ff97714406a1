"""Where the act under way comes from, set once at each front door and read when it is recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """The peer's IP address (None when there is no peer) and what it calls itself."""

    address: str | None = None
    user_agent: str = ""


_source: ContextVar[Source] = ContextVar("source", default=Source())  # noqa: B039  # frozen


def current_source() -> Source:
    return _source.get()


@contextmanager
def acting_from(source: Source) -> Iterator[None]:
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)
