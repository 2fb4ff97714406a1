"""Rows as an installation would have them, the same on every machine: as many as asked for, from one seed.

They go into the tables in bulk, past the services, which would record a million activities of their own.
"""

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from resources.kinds import KINDS

TODAY = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
TWO_YEARS = 2 * 365 * 86_400

ADJECTIVES = (
    "brave",
    "calm",
    "eager",
    "gentle",
    "happy",
    "keen",
    "lively",
    "mellow",
    "proud",
    "quiet",
    "swift",
    "witty",
)
NOUNS = (
    "anchor",
    "bridge",
    "cedar",
    "coffee",
    "falcon",
    "garden",
    "harbor",
    "island",
    "lantern",
    "meadow",
    "otter",
    "pebble",
    "quartz",
    "river",
    "summit",
    "thistle",
    "valley",
    "walnut",
)

# How many of a hundred carry each value.
ENVIRONMENTS = {"production": 40, "staging": 25, "sandbox": 20, "development": 10, "training": 5}
REGIONS = ("eu-west", "eu-central", "us-east", "us-west", "ap-south", "ap-northeast", "sa-east", "af-south")
TEAMS = 400
SERVICES = (
    "orders",
    "billing",
    "search",
    "accounts",
    "ledger",
    "catalog",
    "payments",
    "reports",
    "mail",
    "audit",
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    clusters: int
    resources: int
    activities: int
    # So many of the resources belong to one cluster.
    in_one_cluster: int


SMALL = Size(clusters=100, resources=100, activities=100, in_one_cluster=60)
LARGE = Size(clusters=100_000, resources=1_000_000, activities=1_000_000, in_one_cluster=50_000)
SIZES = {"small": SMALL, "large": LARGE}


class Rows:
    """Rows by table. Each table draws from a generator of its own, so one can change without the others."""

    def __init__(self, size: Size, account: str) -> None:
        self.size = size
        self.account = account
        draw = random.Random("ids")
        self.clusters = [_id("n", draw) for _ in range(size.clusters)]
        self.resources = [_id("rs", draw) for _ in range(size.resources)]

    @property
    def largest(self) -> str:
        return self.clusters[0]

    def cluster_rows(self) -> Iterator[Row]:
        draw = random.Random("clusters")
        names = self.cluster_names()
        for number, (pk, name) in enumerate(zip(self.clusters, names, strict=True)):
            host = "10.0.0.021" if number == 1 else f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            moment = _moment(draw)
            yield {
                "id": pk,
                "name": name,
                "name_folded": name,
                "host": host,
                "address": f"{host}:443",
                "workers_online": _workers(number)[0],
                "created_at": moment,
                "updated_at": moment,
            }

    def cluster_names(self) -> Iterator[str]:
        """Every pair of words once, then pairs with a number; `keen-coffee` first, and one of eighteen a coffee."""
        draw = random.Random("names")
        pairs = [f"{adjective}-{noun}" for adjective in ADJECTIVES for noun in NOUNS]
        draw.shuffle(pairs)
        pairs.sort(key="keen-coffee".__ne__)
        numbers = draw.sample(range(10**8), self.size.clusters)
        for index, number in enumerate(numbers):
            pair = pairs[index % len(pairs)]
            yield pair if index < len(pairs) else f"{pair}-{number:08}"

    def cluster_tags(self) -> Iterator[Row]:
        return self._tags("cluster_id", self.clusters)

    def resource_tags(self) -> Iterator[Row]:
        return self._tags("resource_id", self.resources)

    def _tags(self, owner: str, pks: list[str]) -> Iterator[Row]:
        draw = random.Random(owner)
        environments = [value for value, share in ENVIRONMENTS.items() for _ in range(share)]
        for pk in pks:
            yield {owner: pk, "key": "Environment", "value": draw.choice(environments)}
            yield {owner: pk, "key": "Region", "value": draw.choice(REGIONS)}
            yield {owner: pk, "key": "Team", "value": f"team-{draw.randrange(TEAMS):03}"}

    def workers(self) -> Iterator[Row]:
        """None for a quarter of the clusters, one to three for the others, some of them gone."""
        draw = random.Random("workers")
        for number, cluster in enumerate(self.clusters):
            online, gone = _workers(number)
            for index in range(online + gone):
                yield {
                    "id": _id("w", draw),
                    "cluster_id": cluster,
                    "access_key": _id("gk", draw),
                    "host_name": f"worker-{index}.example.com",
                    "version": "1.0.0",
                    "state": "started" if index < online else "dead",
                    "state_changed_at": TODAY.isoformat(" "),
                    "source_address": "192.0.2.1",
                    "joined_at": _moment(draw),
                }

    def resource_rows(self) -> Iterator[Row]:
        draw = random.Random("resources")
        kinds = list(KINDS)
        for number, pk in enumerate(self.resources):
            kind, service = draw.choice(kinds), draw.choice(SERVICES)
            moment = _moment(draw)
            name = f"{service}-{draw.choice(NOUNS)}-{draw.getrandbits(12):03x}-{number}"
            yield {
                "id": pk,
                "name": name,
                "name_folded": name,
                "kind": kind,
                "cluster_id": self._cluster_of(number, draw),
                "hostname": f"{service}-{number % 997}.internal.example.com",
                "port": 5432,
                "username": service,
                "healthy": draw.choice((True, True, True, False, None)),
                "created_at": moment,
                "created_by_id": self.account,
                "updated_at": moment,
            }

    def _cluster_of(self, number: int, draw: random.Random) -> str | None:
        if number < self.size.in_one_cluster:
            return self.largest
        # One of twenty is attached to none.
        return draw.choice(self.clusters) if draw.random() < 0.95 else None

    def activities(self) -> Iterator[Row]:
        draw = random.Random("activities")
        for number in range(self.size.activities):
            yield {
                "created_at": (TODAY - dt.timedelta(seconds=(self.size.activities - number) * 60)).isoformat(
                    " "
                ),
                "actor_id": self.account,
                "actor_name": "Alice",
                "verb": draw.choice(("resource created", "resource updated", "resource attached")),
                "entity_type": "resource",
                "entity_id": draw.choice(self.resources),
                "entity_name": draw.choice(SERVICES),
            }


def _id(prefix: str, draw: random.Random) -> str:
    return f"{prefix}-{draw.getrandbits(64):016x}"


def _moment(draw: random.Random) -> str:
    return (
        TODAY - dt.timedelta(seconds=draw.randrange(TWO_YEARS), microseconds=draw.randrange(10**6))
    ).isoformat(" ")


def _workers(number: int) -> tuple[int, int]:
    """How many are online, and how many are gone."""
    online = number % 4
    return online, 1 if number % 8 == 7 else 0
