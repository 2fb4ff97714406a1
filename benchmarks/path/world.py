"""One worker with its control plane, and what it leads to: PostgreSQL, the services and a website."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import processes
from benchmarks.path.opener import SSL_REQUEST, Order
from benchmarks.tls_servers import Server
from sdm.contract.ids import new_id
from sdm.contract.v1 import workers_pb2 as pb
from tests.client.control_plane import Plane as BothPlanes
from tests.servers import postgres
from tests.worker.clients import Person
from tests.worker.processes import Worker, until

# Of HAProxy and nginx, one thread or process; PgBouncer has no more.
PROCESSES = 1


class Plane(BothPlanes):
    """Counts the log's records instead of keeping them: to store them is another machine's work."""

    delivered = 0

    async def DeliverRecords(
        self, request: pb.DeliverRecordsRequest, context: Any
    ) -> pb.DeliverRecordsResponse:
        self.delivered += len(request.records)
        return pb.DeliverRecordsResponse()


@dataclass(frozen=True, slots=True)
class Database:
    port: int
    user: str
    password: str
    name: str


@dataclass(slots=True)
class World:
    directory: Path
    plane: Plane
    person: Person
    database: Database
    # Ports by the names of `services`.
    services: dict[str, int]

    def raw(self, name: str) -> str:
        """The id of a resource of bytes: a service, or "postgres" for the database itself."""
        port = self.database.port if name == "postgres" else self.services[name]
        return self._target(pb.Target(name=name, kind="rawTCP", port=port, config=b"{}"))

    def queries(self) -> str:
        """That of the database, with the stored password."""
        config = {"database": self.database.name, "override_database": True, "tls_required": False}
        target = pb.Target(
            name="bench",
            kind="postgres",
            port=self.database.port,
            username=self.database.user,
            credentials={"password": self.database.password.encode()},
            config=json.dumps(config).encode(),
        )
        return self._target(target)

    def website(self, port: int) -> str:
        target = pb.Target(
            name="site",
            kind="httpAuth",
            port=port,
            credentials={"auth_header": b"Bearer of-the-site"},
            config=json.dumps({"url": f"http://127.0.0.1:{port}"}).encode(),
        )
        return self._target(target)

    def _target(self, target: pb.Target) -> str:
        target.resource_id, target.hostname = new_id("rs"), "127.0.0.1"
        self.plane.targets[target.resource_id] = target
        return target.resource_id

    # --- Ways through a proxy, for the opener ---

    def order(self, port: int, *, listen: str | int = 0) -> Order:
        """TLS alone."""
        return Order(listen, port, str(self.person.certificate_file), str(self.person.key_file))

    def tunnel(self, port: int, resource_id: str, *, listen: str | int = 0) -> Order:
        plain = asdict(self.order(port, listen=listen))
        return Order(**plain | {"request": self.person.request(resource_id).decode()})

    def postgres_tls(self, port: int, *, listen: str | int = 0) -> Order:
        plain = asdict(self.order(port, listen=listen))
        return Order(**plain | {"before": SSL_REQUEST.decode("latin-1")})


@contextmanager
def world(directory: Path) -> Iterator[World]:
    plane = Plane()
    plane.heartbeat_seconds = 60
    with postgres.server() as url, services() as ports:
        parts = urlsplit(url)
        database = Database(parts.port or 0, postgres.USER, parts.password or "", "postgres")
        plane.begin()
        try:
            yield World(directory, plane, Person.of(plane, directory), database, ports)
        finally:
            plane.end()


@contextmanager
def services() -> Iterator[dict[str, int]]:
    with helper("benchmarks.path.services") as (_, line):
        yield json.loads(line)


@contextmanager
def opener(order: Order) -> Iterator[int]:
    """Its process."""
    with helper("benchmarks.path.opener", json.dumps(asdict(order))) as (process, _):
        yield process.pid


@contextmanager
def helper(module: str, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process of ours that says a line when it is ready, and ends with its standard input."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError(f"{module} failed; what it said stands above.")
        yield process, line
    finally:
        process.kill()
        process.communicate()


@contextmanager
def worker(world: World, *, cores: set[int] | None = None, **settings: str) -> Iterator[Server]:
    log = world.directory / "worker.log"
    environment = world.plane.environment() | {"SDM_WORKERS": str(PROCESSES)} | settings
    with processes.started_on(cores or processes.all_cores()):
        running = Worker(environment, log)
    try:
        port = running.port()
        running.until(lambda: "Connected" in running.log and len(running.children()) == 1 + PROCESSES)
        yield Server(port, [running.process.pid, *running.children()])
    finally:
        running.kill()


def all_delivered(world: World, wanted: int) -> None:
    """Every record has reached the control plane."""
    until(lambda: world.plane.delivered >= wanted, 60, lambda: f"{world.plane.delivered} of {wanted} came.")
