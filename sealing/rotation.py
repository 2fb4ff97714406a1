"""Sealing everything again with the current key.

Apps say in `AppConfig.ready` where they keep what is sealed, with `register`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from django.db.models import Model

import sealing
from sealing import keyring

M = TypeVar("M", bound=Model)

BATCH = 500


@dataclass(frozen=True, slots=True)
class Item:
    """One sealed value: what it is bound to, and how to put another in its place."""

    context: str
    sealed: bytes
    # Takes the new value; False when the old one is no longer there, because somebody wrote another.
    replace: Callable[[bytes], bool]


class Store(Protocol):
    """A place where sealed values are kept."""

    @property
    def name(self) -> str:
        """For people, in the plural, such as `resource credentials`."""

    def count(self, *, except_key: str) -> int:
        """How many values were sealed with another key than this one."""

    def items(self, *, except_key: str) -> Iterator[Item]:
        """Those values, each once, read in batches."""

    def key_ids(self) -> set[str]:
        """The keys that sealed anything that is kept."""


@dataclass(frozen=True)
class Column(Generic[M]):
    """A store that is a column of a model: `sealed` the envelope, `key_id` beside it with an index."""

    name: str
    model: type[M]
    context: Callable[[Any], str]

    def count(self, *, except_key: str) -> int:
        return self.model._default_manager.exclude(key_id=except_key).count()

    def items(self, *, except_key: str) -> Iterator[Item]:
        rows = self.model._default_manager.exclude(key_id=except_key).order_by("pk")
        last: object = None
        while batch := list((rows if last is None else rows.filter(pk__gt=last))[:BATCH]):
            last = batch[-1].pk
            yield from (self._item(row) for row in batch)

    def key_ids(self) -> set[str]:
        return set(self.model._default_manager.order_by().values_list("key_id", flat=True).distinct())

    def _item(self, row: M) -> Item:
        sealed = bytes(row.sealed)  # type: ignore[attr-defined]  # the columns this class is for

        def replace(new: bytes) -> bool:
            unchanged = self.model._default_manager.filter(pk=row.pk, sealed=sealed)
            return unchanged.update(sealed=new, key_id=sealing.key_id(new)) == 1

        return Item(self.context(row), sealed, replace)


_stores: list[Store] = []


def register(store: Store) -> None:
    _stores.append(store)


def stores() -> tuple[Store, ...]:
    return tuple(_stores)


def outstanding() -> int:
    """How many values another key than the current one sealed."""
    current = keyring.load().current.id
    return sum(store.count(except_key=current) for store in _stores)


def unused_keys() -> set[str]:
    """Keys that are there and seal nothing, without the current one."""
    ring = keyring.load()
    used = {ring.current.id}.union(*(store.key_ids() for store in _stores))
    return set(ring.keys) - used


@dataclass(slots=True)
class Outcome:
    resealed: int = 0
    # Somebody else wrote another value meanwhile, or removed it. Seen again by the next run if need be.
    passed_over: int = 0
    # Why single values do not open; they stay as they are.
    problems: list[str] = field(default_factory=list)

    @property
    def seen(self) -> int:
        return self.resealed + self.passed_over + len(self.problems)


def reseal(store: Store) -> Iterator[Outcome]:
    """Seal all of a store with the current key, and tell how far it is after each batch and at the end.

    Each value is written by itself: ended half-way, the next run goes on with what is left.
    """
    outcome = Outcome()
    for item in store.items(except_key=keyring.load().current.id):
        try:
            plaintext = sealing.unseal(item.sealed, context=item.context)
        except sealing.SealingError as error:
            outcome.problems.append(f"{item.context}: {error}")
        else:
            if item.replace(sealing.seal(plaintext, context=item.context)):
                outcome.resealed += 1
            else:
                outcome.passed_over += 1
        if outcome.seen % BATCH == 0:
            yield outcome
    yield outcome
