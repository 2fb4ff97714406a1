import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command

from accounts.models import Account
from api.serving import serving
from clusters.models import Cluster
from keys.models import ClusterKey
from keys.services import key_create
from resources.models import Resource
from sdm.contract.keys import SecretKey
from tests.access.factories import choose, make_role
from tests.api.worker import SimulatedWorker
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource, store_secret

SECRET = "the-password-of-orders-db"


@dataclass
class Ground:
    """A cluster with a key, and a server to join it through."""

    alice: Account
    cluster: Cluster
    key: ClusterKey
    secret: SecretKey
    port: int = 0

    def worker(self, **fields: Any) -> SimulatedWorker:
        values: dict[str, Any] = {"access_key": self.key.pk, "secret": self.secret} | fields
        return SimulatedWorker.at(self.port, **values)

    def other_key(self, cluster: Cluster | None = None) -> tuple[ClusterKey, SecretKey]:
        return key_create(actor=self.alice, cluster=cluster or self.cluster, request_id=uuid.uuid4())

    def run(self, scene: Callable[["Ground"], Awaitable[Any]], seconds: float = 30) -> Any:
        """Play `scene` with a server that runs meanwhile."""

        async def play() -> Any:
            async with asyncio.timeout(seconds), serving("127.0.0.1:0") as self.port:
                return await scene(self)

        return asyncio.run(play())


@pytest.fixture
def ground(transactional_db: None, alice: Account) -> Ground:
    call_command("createcachetable")
    cache.clear()
    cluster = make_cluster("keen-coffee", "127.0.0.1:1")
    key, secret = key_create(actor=alice, cluster=cluster, request_id=uuid.uuid4())
    return Ground(alice, cluster, key, secret)


@pytest.fixture
def resource(ground: Ground, charlie: Account) -> Resource:
    """Charlie reaches it."""
    found = make_resource(
        ground.alice, "orders-db", cluster=ground.cluster, config={"database": "orders"}, port_override=10_007
    )
    store_secret(found, SECRET)
    choose(make_role(ground.alice, "developers", charlie), found)
    return found
