import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdm.contract.v1 import clients_pb2 as pb
from tests.client.control_plane import Plane
from tests.house.checkout import ROOT, free_port
from tests.worker import echo
from tests.worker.clients import raw_target
from tests.worker.processes import Worker, until

TIMEOUT = 60


class Sdm:
    """The command of somebody's machine, with an agent of its own."""

    def __init__(self, home: Path, plane: Plane) -> None:
        self.home = home
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SDM_")}
        self.environment = clean | {"SDM_HOME": str(home), "SDM_APP_DOMAIN": plane.address}
        self._agents: list[subprocess.Popen[bytes]] = []

    def run(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "sdm", *words],
            env=self.environment | more,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def begin(self, *words: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "sdm", *words],
            env=self.environment | more,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def login(self, plane: Plane) -> None:
        plane.people.state = pb.LOGIN_STATE_APPROVED
        done = self.run("login", "--no-browser")
        assert done.returncode == 0, done.stderr

    def listen(self, **more: str) -> "subprocess.Popen[bytes]":
        """An agent in the foreground, with its log in the directory."""
        with (self.home.parent / f"{self.home.name}.log").open("ab") as log:
            agent = subprocess.Popen(
                [sys.executable, "-m", "sdm", "listen"],
                env=self.environment | more,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        self._agents.append(agent)
        until(lambda: self.ready() or agent.poll() is not None, explain=self.log)
        return agent

    def ready(self) -> bool:
        return self.run("ready").returncode == 0

    def log(self) -> str:
        return (self.home.parent / f"{self.home.name}.log").read_text()

    def resource(self, name: str) -> Any:
        found = [each for each in self.json("status")["resources"] if each["name"] == name]
        return found[0] if found else None

    def end(self) -> None:
        for agent in self._agents:
            if agent.poll() is None:
                agent.terminate()
                agent.wait(TIMEOUT)


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane()
    plane.begin()
    yield plane
    plane.end()


@pytest.fixture
def sdm(plane: Plane, tmp_path: Path) -> Iterator[Sdm]:
    sdm = Sdm(tmp_path / "home", plane)
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
            defaults: dict[str, Any] = {"kind": "raw_tcp", "category": "server", "local_port": free_port()}
            plane.people.offer(pb.CatalogEntry(resource_id=resource_id, name=name, **(defaults | fields)))
            return resource_id

        yield one
