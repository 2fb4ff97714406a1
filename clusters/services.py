"""What can be done to clusters. Each function is one act: permission, change and record in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.models import Account
from audit.services import changes, record, require
from audit.storing import sessions_lost
from audit.verbs import Verb
from clusters.conflicts import NameTaken, raise_version
from clusters.models import Cluster, MaintenanceWindow, RetiredKey, Worker
from clusters.names import free_name
from clusters.selectors import is_name_taken
from clusters.tags import replace_tags, tags_of
from events.publishing import publish
from events.topics import access_changed
from sdm.contract.address import Address
from sdm.contract.reasons import Reason


@dataclass(frozen=True, slots=True)
class Window:
    cron_schedule: str
    require_idleness: bool


def cluster_create(*, actor: Account, name: str, address: Address, tags: Mapping[str, str]) -> Cluster:
    require(actor, "clusters.change")
    name = name or free_name(is_name_taken)
    with transaction.atomic():
        try:
            with transaction.atomic():
                cluster = Cluster.objects.create(
                    name=name, name_folded=name.casefold(), address=str(address), host=address.host
                )
        except IntegrityError as error:
            raise NameTaken from error
        replace_tags(cluster.tags, tags)
        after = {"name": name, "address": str(address), "tags": dict(tags)}
        record(actor=actor, verb=Verb.CLUSTER_CREATED, entity=cluster, after=after)
    return cluster


def cluster_update(
    *, actor: Account, cluster: Cluster, version: int, name: str, address: Address, tags: Mapping[str, str]
) -> bool:
    """Whether anything changed."""
    require(actor, "clusters.change")
    with transaction.atomic():
        before = {"name": cluster.name, "address": cluster.address, "tags": tags_of(list(cluster.tags.all()))}
        wanted = {"name": name, "address": str(address), "tags": dict(tags)}
        if cluster.version == version and before == wanted:
            return False
        raise_version(
            cluster, version, name=name, name_folded=name.casefold(), address=str(address), host=address.host
        )
        if before["address"] != str(address):  # what was found is another address's
            untried = {"reach": Cluster.Reach.UNTRIED, "reach_words": "", "reach_at": None}
            Cluster.objects.filter(pk=cluster.pk).update(**untried)
        replace_tags(cluster.tags, tags)
        publish(cluster_topic(cluster.pk))
        was, now = changes(before, wanted)
        record(actor=actor, verb=Verb.CLUSTER_UPDATED, entity=cluster, before=was, after=now)
    return True


def maintenance_windows_replace(
    *, actor: Account, cluster: Cluster, version: int, windows: Sequence[Window]
) -> bool:
    """Whether anything changed. `windows` are valid: one of them at least does not wait for idleness, or none is."""
    require(actor, "clusters.change")
    with transaction.atomic():
        current = [
            Window(window.cron_schedule, window.require_idleness)
            for window in cluster.maintenance_windows.all()
        ]
        if cluster.version == version and current == list(windows):
            return False
        raise_version(cluster, version)
        cluster.maintenance_windows.all().delete()
        MaintenanceWindow.objects.bulk_create(
            MaintenanceWindow(
                cluster=cluster, cron_schedule=window.cron_schedule, require_idleness=window.require_idleness
            )
            for window in windows
        )
        publish(cluster_topic(cluster.pk))
        before, after = ({"windows": [_in_words(window) for window in some]} for some in (current, windows))
        record(actor=actor, verb=Verb.CLUSTER_WINDOWS_UPDATED, entity=cluster, before=before, after=after)
    return True


def _in_words(window: Window) -> str:
    return f"{window.cron_schedule}{' when idle' if window.require_idleness else ''}"


def cluster_delete(*, actor: Account, cluster: Cluster) -> None:
    """Its resources stay, attached to no cluster; its keys and workers go with it.

    Cluster.DoesNotExist when somebody else was faster.
    """
    require(actor, "clusters.change")
    with transaction.atomic():
        # Nothing joins it while it goes.
        cluster = Cluster.objects.select_for_update().get(pk=cluster.pk)
        detached = cluster.resources.update(cluster=None, version=F("version") + 1)
        before = {
            "name": cluster.name,
            "address": cluster.address,
            "tags": tags_of(list(cluster.tags.all())),
            "resources detached": detached,
            "keys deleted": cluster.keys.count(),
        }
        record(actor=actor, verb=Verb.CLUSTER_DELETED, entity=cluster, before=before)
        keys_retire(cluster.keys.values_list("pk", "public_key"), Reason.CLUSTER_DELETED)
        publish(cluster_topic(cluster.pk))
        access_changed(cluster=cluster.pk)
        sessions_lost(cluster.workers.values_list("pk", flat=True))
        cluster.delete()


def keys_retire(halves: Iterable[tuple[str, bytes | memoryview]], reason: Reason) -> None:
    """Remember keys that are about to go, so that a worker which still has one is told why it may not join.

    `halves` are access keys, each with its public half.
    """
    RetiredKey.objects.bulk_create(
        RetiredKey(access_key=access_key, public_key=bytes(public_key), reason=reason.value)
        for access_key, public_key in halves
    )


def cluster_topic(cluster_id: str) -> str:
    """Where it is announced that a cluster changed, or went."""
    return f"cluster:{cluster_id}"


def workers_changed(cluster: Cluster) -> None:
    """Bring the count that the list sorts by up to date; whatever changes a worker's state calls this."""
    online = Worker.objects.filter(cluster=cluster).online().count()
    Cluster.objects.filter(pk=cluster.pk).update(workers_online=online)
