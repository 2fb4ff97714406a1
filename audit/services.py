"""Recording what happened, and refusing what may not."""

import datetime as dt
from collections.abc import Iterator
from typing import Any, Protocol

from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.utils import timezone

from audit import selectors
from audit.context import current_source
from audit.models import MAX_NAME, MAX_USER_AGENT, Activity
from audit.selectors import Filters
from audit.verbs import Verb

Fields = dict[str, Any]

# Longer values are cut, and say so: an activity is a note of what changed, not a copy of it.
MAX_VALUE = 2_000


class Actor(Protocol):
    """Who acts: an account, seen from below."""

    id: str
    email: str

    @property
    def is_authenticated(self) -> bool: ...

    def has_perm(self, permission: str, obj: object = None) -> bool: ...


class PermissionRequired(PermissionDenied):
    """The actor's level does not include `permission`. The middleware records it, once."""

    def __init__(self, permission: str) -> None:
        super().__init__(permission)
        self.permission = permission


def require(actor: Actor, permission: str) -> None:
    """Raise unless `actor` may do `permission`. Every service calls this first."""
    if not actor.has_perm(permission):
        raise PermissionRequired(permission)


def record(
    *,
    actor: Any,
    verb: Verb,
    entity: models.Model | None = None,
    entity_name: str = "",
    before: Fields | None = None,
    after: Fields | None = None,
    outcome: Activity.Outcome = Activity.Outcome.DONE,
    at: dt.datetime | None = None,
) -> Activity:
    """Write one activity, inside the transaction of the change that it tells of.

    `actor` is an account or None; `before` and `after` hold only what changed, never a secret. `at` is for what
    happened elsewhere, and is told of later.
    """
    source = current_source()
    verb = Verb(verb)
    name = entity_name or (str(entity) if entity is not None else "")
    return Activity.objects.create(
        created_at=at or timezone.now(),
        actor=actor,
        actor_name=actor.email if actor is not None else "",
        source_address=source.address,
        user_agent=_storable(source.user_agent)[:MAX_USER_AGENT],
        verb=verb.value,
        outcome=outcome,
        entity_type=verb.entity_type.value,
        entity_id=str(entity.pk) if entity is not None else "",
        entity_name=_storable(name)[:MAX_NAME],
        before=_storable(before),
        after=_storable(after),
    )


def changes(before: Fields, after: Fields) -> tuple[Fields, Fields]:
    """The entries that differ, on both sides."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}


def _storable(value: Any) -> Any:
    """`value` as every database takes it: without NUL and lone surrogates, and not endlessly long."""
    if isinstance(value, dict):
        return {_storable(str(name)): _storable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item) for item in value]
    if not isinstance(value, str):
        return value
    if len(value) > MAX_VALUE:
        value = f"{value[:MAX_VALUE]}… (cut; {len(value):,} characters)"
    return value.replace("\0", r"\x00").encode("utf-8", "backslashreplace").decode()


def activities_export(*, actor: Actor, filters: Filters, file_format: str) -> Iterator[Activity]:
    """All activities that match, oldest first, up to the one that tells of this export."""
    require(actor, "audit.view")
    with transaction.atomic():
        export = record(
            actor=actor, verb=Verb.ACTIVITIES_EXPORTED, after={"format": file_format, **filters.in_words()}
        )
    return selectors.in_order(selectors.matching(filters).filter(created_at__lt=export.created_at))
