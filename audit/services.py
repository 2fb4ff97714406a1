"""Recording what happened, and refusing what may not."""

from typing import Any, Protocol

from django.core.exceptions import PermissionDenied
from django.db import models
from django.utils import timezone

from audit.context import current_source
from audit.models import Activity
from audit.verbs import Verb


class Actor(Protocol):
    """Who acts: an account, seen from below."""

    id: str
    email: str

    @property
    def is_authenticated(self) -> bool: ...

    def has_perm(self, permission: str, obj: object = None) -> bool: ...


Fields = dict[str, Any]


def record(
    *,
    actor: Any,
    verb: Verb,
    entity: models.Model | None = None,
    entity_name: str = "",
    before: Fields | None = None,
    after: Fields | None = None,
    outcome: Activity.Outcome = Activity.Outcome.DONE,
) -> Activity:
    """Write one activity, inside the transaction of the change that it tells of.

    `actor` is an account or None; `before` and `after` hold only what changed, never a secret.
    """
    source = current_source()
    verb = Verb(verb)
    name = entity_name or (str(entity) if entity is not None else "")
    return Activity.objects.create(
        created_at=timezone.now(),
        actor=actor,
        actor_name=actor.email if actor is not None else "",
        source_address=source.address,
        user_agent=source.user_agent[:300],
        verb=verb.value,
        outcome=outcome,
        entity_type=verb.entity_type.value,
        entity_id=str(entity.pk) if entity is not None else "",
        entity_name=name[:254],
        before=before,
        after=after,
    )


class PermissionRequired(PermissionDenied):
    """The actor's level does not include `permission`. The middleware records it, once."""

    def __init__(self, permission: str) -> None:
        super().__init__(permission)
        self.permission = permission


def require(actor: Actor, permission: str) -> None:
    """Raise unless `actor` may do `permission`. Every service calls this first."""
    if not actor.has_perm(permission):
        raise PermissionRequired(permission)


def changes(before: Fields, after: Fields) -> tuple[Fields, Fields]:
    """The entries that differ, on both sides."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}
