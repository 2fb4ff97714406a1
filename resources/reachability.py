"""Why a resource can be reached, or which link of the chain is broken and what mends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.urls import reverse

from clusters.models import Cluster
from clusters.selectors import worker_counts
from resources.kinds.base import NOT_SERVED
from resources.models import Resource
from resources.selectors import CredentialRow


class State(StrEnum):
    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "none"  # as the style of a status that is neither


@dataclass(frozen=True, slots=True)
class Link:
    state: State
    text: str
    # What mends it: words and where they lead; empty where there is nothing to do.
    remedy: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    links: Sequence[Link]

    @property
    def broken(self) -> Link | None:
        """The first link that does not hold; those after it may hold or not."""
        return next((link for link in self.links if link.state is State.BAD), None)

    @property
    def holds(self) -> bool:
        """Every link does, as far as anybody can know: nothing is left to be found out."""
        return all(link.state is State.GOOD for link in self.links)


def chain(resource: Resource, credentials: Sequence[CredentialRow]) -> Chain:
    """From the cluster to the server. Who may use it is not a question of this chain."""
    cluster = resource.cluster
    links = [] if resource.is_served else [Link(State.BAD, NOT_SERVED)]
    links.append(_attached(resource, cluster))
    if cluster is not None:
        links += [_has_key(cluster), _has_worker(cluster)]
    links += [_has_secret(resource, row) for row in credentials if row.required]
    links.append(_answers(resource, has_credentials=bool(credentials)))
    return Chain(links)


def _attached(resource: Resource, cluster: Cluster | None) -> Link:
    if cluster is None:
        url = reverse("resources:resource-edit", args=[resource.pk])
        return Link(State.BAD, "It is attached to no proxy cluster.", "Choose a proxy cluster", url)
    return Link(State.GOOD, f"It is attached to the proxy cluster {cluster.name}.")


def _has_key(cluster: Cluster) -> Link:
    count = cluster.keys.count()
    if not count:
        url = reverse("keys:cluster-keys", args=[cluster.pk])
        text = f"{cluster.name} has no authentication key, so no worker can join it."
        return Link(State.BAD, text, "Add an authentication key", url)
    return Link(State.GOOD, f"{cluster.name} has {count} authentication key{'s' if count > 1 else ''}.")


def _has_worker(cluster: Cluster) -> Link:
    workers = worker_counts([cluster.pk])[cluster.pk]
    url = reverse("clusters:cluster-workers", args=[cluster.pk])
    if not workers.online:
        joined = cluster.workers.exists()
        gone = f"No worker of {cluster.name} is online." if joined else "No worker has joined yet."
        return Link(State.BAD, gone, "See the workers", url)
    return Link(State.GOOD, f"{workers}.")


def _has_secret(resource: Resource, row: CredentialRow) -> Link:
    if row.credential is None:
        url = reverse("resources:credential-replace", args=[resource.pk, row.field])
        return Link(State.BAD, f"{row.label} is not set.", f"Set the {row.label.lower()}", url)
    return Link(State.GOOD, f"{row.label} is set.")


def _answers(resource: Resource, *, has_credentials: bool) -> Link:
    if resource.healthy is None:
        return Link(State.UNKNOWN, "No worker has checked yet whether it answers.")
    if resource.healthy:
        return Link(State.GOOD, f"{resource.address} answered at the last check.")
    url = reverse("resources:resource-edit", args=[resource.pk])
    refused = ", or refused the credentials" if has_credentials else ""
    text = f"{resource.address} did not answer at the last check{refused}."
    return Link(State.BAD, text, "Check its settings", url)
