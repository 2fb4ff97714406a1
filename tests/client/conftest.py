from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdm.client import identity
from sdm.client.home import Home
from sdm.client.identity import Identity, Person
from sdm.contract.v1 import clients_pb2 as pb
from sdm.control_plane import where
from tests.client.control_plane import Plane
from tests.client.machine import Machine
from tests.house.checkout import free_port
from tests.worker import echo
from tests.worker.clients import raw_target
from tests.worker.processes import Worker


class Sdm(Machine):
    """A machine whose control plane is in this process."""

    def login(self, plane: Plane) -> None:
        """What `sdm login` leaves behind, when nothing is to be learned from its asking and being approved."""
        home = Home.of({"SDM_HOME": str(self.home)})
        key, certificate = plane.people.certificate()
        person = Person(plane.people.account_id, "alice@example.com", "Alice")
        there = where.parse(plane.address, frozenset())
        identity.save(home, Identity(there, person, key, certificate, plane.people.ends_at()))


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane()
    plane.begin()
    yield plane
    plane.end()


@pytest.fixture
def sdm(plane: Plane, tmp_path: Path) -> Iterator[Sdm]:
    sdm = Sdm(tmp_path / "home", plane.address)
    yield sdm
    sdm.end()


@pytest.fixture
def worker(plane: Plane, tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(plane.environment() | {"SDM_WORKERS": "1"}, tmp_path / "worker.log")
    plane.people.address = f"127.0.0.1:{worker.port()}"
    worker.until(lambda: "Connected" in worker.log)
    yield worker
    worker.kill()


Offer = Callable[..., str]


@pytest.fixture
def offer(plane: Plane) -> Iterator[Offer]:
    """Put a resource with this name into the catalog: one that says back what it is told. Its id."""
    with echo.server() as port:

        def one(name: str, **fields: Any) -> str:
            resource_id = raw_target(plane, port)
            defaults: dict[str, Any] = {"kind": "rawTCP", "category": "server", "local_port": free_port()}
            plane.people.offer(pb.CatalogEntry(resource_id=resource_id, name=name, **(defaults | fields)))
            return resource_id

        yield one
