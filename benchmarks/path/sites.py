"""wrk through a worker and through nginx, which both put a header in. Only one of them logs each request for good."""

import re
import subprocess
from collections.abc import Iterator

from benchmarks import processes
from benchmarks.path import peers, world
from benchmarks.path.figures import Figure, Limit, Result
from benchmarks.path.opener import Order
from benchmarks.path.world import World
from benchmarks.tls_servers import Server
from tests.house.checkout import free_port

CONNECTIONS = (1, 8, 32)
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_COUNT = re.compile(r"(\d+) requests in")
_ERRORS = re.compile(r"Socket errors:.*|Non-2xx.*")


def sites(
    place: World, *, rounds: int, seconds: float, clients: tuple[int, ...] = CONNECTIONS
) -> Iterator[Result]:
    openers: list[float] = []
    with peers.website(place) as site, world.worker(place) as ours, peers.nginx(place, site) as theirs:
        resource = place.website(site)
        for number in clients:
            name = f"wrk, {number} connection{'s' if number > 1 else ''}"
            rate = Figure(f"{name}: requests a second", "nginx", ",.0f", "≥", 0.3)
            cost = Figure(f"{name}: proxy's CPU, µs each", "nginx", ".1f")
            for _ in range(rounds):
                for side, server in (("ours", ours), ("theirs", theirs)):
                    port = free_port()
                    way = (
                        place.tunnel(server.port, resource, listen=port)
                        if side == "ours"
                        else place.order(server.port, listen=port)
                    )
                    per_second, cpu, opening = _run(server, way, number, seconds)
                    getattr(rate.compared, side).append(per_second)
                    getattr(cost.compared, side).append(cpu)
                    openers.append(opening)
            yield from (rate, cost)
    yield Limit("of both sides' opener, CPU a request", openers, "µs")


def _run(server: Server, way: Order, clients: int, seconds: float) -> tuple[float, float, float]:
    """Requests a second, and microseconds a request of the proxy's CPU and of the opener's."""
    with world.opener(way) as opener:
        command = [peers.program("wrk"), "--threads=1", f"--connections={clients}"]
        command += [f"--duration={max(1, round(seconds))}s", f"http://127.0.0.1:{way.listen}/"]
        before = processes.cpu_seconds(server.pids), processes.cpu_seconds([opener])
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        spent = processes.cpu_seconds(server.pids) - before[0]
        opening = processes.cpu_seconds([opener]) - before[1]
    rate, count = _RATE.search(said), _COUNT.search(said)
    if rate is None or count is None or not int(count[1]) or _ERRORS.search(said):
        raise RuntimeError(f"Not every request was answered: {said}")
    each = 1e6 / int(count[1])
    return float(rate[1]), spent * each, opening * each
