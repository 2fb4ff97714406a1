"""What can be done to resources. Each function is one act: permission, change and record in one transaction."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

import sealing
from accounts.models import Account
from audit.services import changes, record, require
from audit.verbs import Verb
from clusters.conflicts import NameTaken, raise_version
from clusters.models import Cluster
from clusters.tags import replace_tags, tags_of
from events.topics import access_changed
from resources.kinds.base import Kind, Target
from resources.models import Credential, Resource
from resources.ports import PortTaken, free_port, holder_of
from resources.selectors import is_name_taken

# Longer values are recorded by their digest: a chain of certificates would bury what else changed.
_MAX_RECORDED = 200


_MOVE = re.compile(r"(rs-[0-9a-f]{16}):(|n-[0-9a-f]{16}):(|n-[0-9a-f]{16})")


# Instead of a port: the one it has, or a free one.
KEEP_PORT, NEW_PORT = 0, -1
# So many at once take the port that was free a moment ago.
_PORT_ATTEMPTS = 10


class ClusterGone(Exception):
    """The cluster was deleted after the form was opened."""


@dataclass(frozen=True, slots=True)
class Details:
    """All that can be changed of a resource, besides its credentials."""

    name: str
    cluster: Cluster | None
    target: Target
    tags: Mapping[str, str]
    port_override: int = KEEP_PORT

    def columns(self, present: Resource | None = None) -> dict[str, Any]:
        """PortTaken when the port that was asked for is another resource's."""
        return {
            "port_override": self._port(present),
            "name": self.name,
            "name_folded": self.name.casefold(),
            "cluster": self.cluster,
            "hostname": self.target.hostname,
            "port": self.target.port,
            "username": self.target.username,
            "config": dict(self.target.config),
        }

    def _port(self, present: Resource | None) -> int | None:
        if self.port_override > 0:
            if holder := holder_of(self.port_override, but=present):
                raise PortTaken(holder)
            return self.port_override
        if present is not None and self.port_override == KEEP_PORT:
            return present.port_override
        return free_port()


def resource_create(*, actor: Account, kind: Kind, details: Details, secrets: Mapping[str, str]) -> Resource:
    require(actor, "resources.change")
    with transaction.atomic():
        _lock_clusters([details.cluster])
        resource = _insert(actor, kind, details)
        replace_tags(resource.tags, details.tags)
        for field, secret in secrets.items():
            _store(resource, field, secret, actor)
        after = {"type": kind.slug, **_recorded(resource)}
        if secrets:
            after["credentials"] = sorted(secrets)
        record(actor=actor, verb=Verb.RESOURCE_CREATED, entity=resource, after=after)
        # Rules may open it to people by its tags; and its cluster's workers have something to try.
        access_changed(resource=resource.pk)
    return resource


def _insert(actor: Account, kind: Kind, details: Details) -> Resource:
    for _ in range(_PORT_ATTEMPTS):
        columns = details.columns()
        try:
            with transaction.atomic():
                return Resource.objects.create(kind=kind.slug, created_by=actor, **columns)
        except IntegrityError as error:
            if is_name_taken(details.name):
                raise NameTaken from error
    raise PortTaken


def resource_update(*, actor: Account, resource: Resource, version: int, details: Details) -> bool:
    """Whether anything changed."""
    require(actor, "resources.change")
    with transaction.atomic():
        _lock_clusters([details.cluster])
        before, columns = _recorded(resource), details.columns(resource)
        same_columns = all(getattr(resource, name) == value for name, value in columns.items())
        if resource.version == version and same_columns and before["tags"] == dict(details.tags):
            return False
        if moves_target(resource, details.target) or resource.cluster != details.cluster:
            # The last check was of something else, or made from elsewhere.
            columns["healthy"] = None
        try:
            raise_version(resource, version, **columns)
        except NameTaken as error:
            if is_name_taken(details.name, but=resource):
                raise
            raise PortTaken(holder_of(columns["port_override"], but=resource)) from error
        replace_tags(resource.tags, details.tags)
        was, now = changes(before, _recorded(resource))
        record(actor=actor, verb=Verb.RESOURCE_UPDATED, entity=resource, before=was, after=now)
        access_changed(resource=resource.pk)
    return True


def moves_target(resource: Resource, target: Target) -> bool:
    """Whether stored credentials would be used elsewhere, for somebody else, or with other checks."""
    return target != Target(resource.hostname, resource.port, resource.username, resource.config)


def resource_delete(*, actor: Account, resource: Resource) -> None:
    """Its credentials go with it."""
    require(actor, "resources.change")
    with transaction.atomic():
        # No rule and no grant comes to name it while it goes.
        Resource.objects.select_for_update().filter(pk=resource.pk).first()
        before = {
            "type": resource.kind,
            **_recorded(resource),
            "credentials": sorted(resource.credentials.values_list("field", flat=True)),
        }
        record(actor=actor, verb=Verb.RESOURCE_DELETED, entity=resource, before=before)
        access_changed(resource=resource.pk)
        resource.delete()


def credential_replace(*, actor: Account, resource: Resource, field: str, secret: str) -> None:
    """Resource.DoesNotExist when it was deleted meanwhile."""
    require(actor, "resources.replace_credentials")
    with transaction.atomic():
        _touch(resource)
        _store(resource, field, secret, actor)
        record(actor=actor, verb=Verb.CREDENTIAL_REPLACED, entity=resource, after={"credential": field})


def credential_remove(*, actor: Account, resource: Resource, field: str) -> None:
    require(actor, "resources.replace_credentials")
    with transaction.atomic():
        _touch(resource)
        resource.credentials.filter(field=field).delete()
        before, after = {"credential": field}, {"credential": None}
        record(actor=actor, verb=Verb.CREDENTIAL_REPLACED, entity=resource, before=before, after=after)


@dataclass(frozen=True, slots=True)
class Move:
    """A resource from one cluster to another; the empty text is no cluster. Printed as `rs-…:n-…:n-…`."""

    resource: str
    source: str
    destination: str

    @classmethod
    def parse(cls, text: str) -> "Move":
        found = _MOVE.fullmatch(text)
        if found is None:
            raise ValueError("A move is written resource:from:to.")
        return cls(*found.groups())

    def __str__(self) -> str:
        return f"{self.resource}:{self.source}:{self.destination}"

    def back(self) -> "Move":
        return Move(self.resource, self.destination, self.source)


def resources_move(*, actor: Account, moves: Sequence[Move]) -> list[Move]:
    """Attach, detach and undo: moves each resource that is still where the move begins. Returns what was done."""
    require(actor, "resources.change")
    with transaction.atomic():
        ends = {name for move in moves for name in (move.source, move.destination) if name}
        clusters = {found.pk: found for found in Cluster.objects.select_for_update().filter(pk__in=ends)}
        if any(move.destination and move.destination not in clusters for move in moves):
            raise ClusterGone
        rows = Resource.objects.select_for_update().filter(pk__in=[move.resource for move in moves])
        found = {row.pk: row for row in rows.order_by("pk")}
        done = [move for move in moves if _can_be_done(move, found.get(move.resource))]
        for move in done:
            _move(actor, found[move.resource], clusters.get(move.source), clusters.get(move.destination))
        if done:
            # One event for all of them: listeners keep no long queues.
            access_changed(**({"resource": done[0].resource} if len(done) == 1 else {}))
    return done


def _can_be_done(move: Move, resource: Resource | None) -> bool:
    where = (resource.cluster_id or "") if resource else None
    return where == move.source and move.source != move.destination


def _move(actor: Account, resource: Resource, source: Cluster | None, destination: Cluster | None) -> None:
    Resource.objects.filter(pk=resource.pk).update(
        # The last check was made from elsewhere.
        cluster=destination,
        healthy=None,
        version=F("version") + 1,
        updated_at=timezone.now(),
    )
    verb = Verb.RESOURCE_ATTACHED if destination else Verb.RESOURCE_DETACHED
    record(actor=actor, verb=verb, entity=resource, before=_place(source), after=_place(destination))


def _touch(resource: Resource) -> None:
    """Count a change of its credentials, and forget the last check, which was made with others."""
    values = {"version": F("version") + 1, "healthy": None, "updated_at": timezone.now()}
    if not Resource.objects.filter(pk=resource.pk).update(**values):
        raise Resource.DoesNotExist
    access_changed(resource=resource.pk)


def _lock_clusters(clusters: Collection[Cluster | None]) -> None:
    """They stay until the transaction ends, so that none is deleted under a resource that joins it."""
    ids = [cluster.pk for cluster in clusters if cluster]
    if len(Cluster.objects.select_for_update().filter(pk__in=ids)) != len(ids):
        raise ClusterGone


def _store(resource: Resource, field: str, secret: str, actor: Account) -> None:
    credential = Credential(resource=resource, field=field)
    sealed = sealing.seal(secret.encode(), context=credential.context)
    values = {
        "sealed": sealed,
        "key_id": sealing.key_id(sealed),
        "set_at": timezone.now(),
        "set_by": actor,
    }
    Credential.objects.update_or_create(resource=resource, field=field, defaults=values)


def _place(cluster: Cluster | None) -> dict[str, Any]:
    return {
        "proxy cluster": cluster.name if cluster else None,
        "proxy_cluster_id": cluster.pk if cluster else None,
    }


def _recorded(resource: Resource) -> dict[str, Any]:
    return {
        "name": resource.name,
        **_place(resource.cluster),
        "hostname": resource.hostname,
        "port": resource.port,
        "username": resource.username,
        "local port": resource.port_override,
        **{name: _short(value) for name, value in resource.config.items()},
        "tags": tags_of(list(resource.tags.all())),
    }


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _MAX_RECORDED:
        return f"{len(value):,} characters, SHA-256 {hashlib.sha256(value.encode()).hexdigest()[:16]}…"
    return value
