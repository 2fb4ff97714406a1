"""What the agent adds to a small exchange: through `sdm listen`, and through a tunnel that the client opens itself."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks import processes
from benchmarks.path import world
from benchmarks.path.figures import Figure, Limit, Result
from benchmarks.path.opener import context_of, opened
from benchmarks.path.pings import pings_over
from benchmarks.path.world import World
from sdm.contract.v1 import clients_pb2 as pb
from tests.client.control_plane import TOKEN
from tests.house.checkout import ROOT, free_port
from tests.worker.processes import until

_MOST_ADDED = 150.0


def agent(place: World, *, rounds: int, seconds: float) -> Iterator[Result]:
    resource = place.raw("echo")
    entry = pb.CatalogEntry(
        resource_id=resource, name="echo", kind="raw_tcp", category="server", local_port=free_port()
    )
    half = Figure("ping through the agent: p50, ms", "a tunnel of the client's own", ".3f")
    with world.worker(place) as server:
        place.plane.people.address = f"127.0.0.1:{server.port}"
        place.plane.people.offer(entry)
        with _agent(place, entry.local_port) as pid:
            spent: list[float] = []
            for _ in range(rounds):
                order = place.tunnel(server.port, resource)
                with opened(order, context_of(order.certificate, order.key))[0] as tunnel:
                    half.compared.theirs.append(median(pings_over(tunnel, seconds)))
                with socket.create_connection(("127.0.0.1", entry.local_port)) as local:
                    local.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    before = processes.cpu_seconds([pid])
                    took = pings_over(local, seconds)
                    spent.append((processes.cpu_seconds([pid]) - before) / len(took) * 1e6)
                    half.compared.ours.append(median(took))
    yield half
    pairs = zip(half.compared.ours, half.compared.theirs, strict=True)
    added = [(through - without) * 1000 for through, without in pairs]
    yield Limit("added by the agent at the median", added, "µs", _MOST_ADDED)
    yield Limit("of the agent, CPU a ping", spent, "µs")


@contextmanager
def _agent(place: World, port: int) -> Iterator[int]:
    """Signed in, listening there; its process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SDM_")}
    environment = clean | {
        "SDM_HOME": str(place.directory / "home"),
        "SDM_APP_DOMAIN": place.plane.address,
        "SDM_SERVICE_TOKEN": TOKEN,
    }

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "sdm", *words]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)

    log = place.directory / "agent.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sdm", "listen"], env=environment, cwd=ROOT, stdout=output, stderr=output
        )
    try:
        until(lambda: run("ready").returncode == 0, 60, log.read_text)
        done = run("connect", "echo")
        if done.returncode:
            raise RuntimeError(f"The agent does not connect: {done.stderr}")
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)
