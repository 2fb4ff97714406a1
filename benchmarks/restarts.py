"""Two workers behind a balancer, restarted one after the other under load: what clients notice."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from benchmarks.connections import load
from benchmarks.tls_clients import Order
from benchmarks.tls_servers import Files, run_haproxy
from tests.house.checkout import free_port
from tests.worker.control_plane import ControlPlane
from tests.worker.processes import Worker

# Between "not ready" and the end of the listener: four of the balancer's looks.
NOTICE = 2
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Restarts:
    restarts: int
    answered: int
    lost: dict[str, int]


class _Worker:
    """One that comes back at the same address."""

    def __init__(self, start: Callable[[dict[str, str]], Worker]) -> None:
        self.port, self.probes_port = free_port(), free_port()
        self._start = start
        self.up()

    def up(self) -> None:
        self.running = self._start(
            {
                "SDM_BIND_ADDRESS": f"127.0.0.1:{self.port}",
                "SDM_ORCHESTRATOR_PROBES": f"127.0.0.1:{self.probes_port}",
            }
        )
        self.running.probes_port = self.probes_port
        self.running.until(lambda: self.running.probe("/readiness")[0] == 200, 30)

    def restart(self) -> None:
        self.running.signal(SIGTERM)
        self.running.ends(30)
        self.up()
        time.sleep(1)  # until the balancer has seen it


def restarts(directory: Path, files: Files, *, each: int) -> Restarts:
    with _two_workers(directory) as workers, _balanced(directory, workers) as port:
        over = threading.Event()

        def restart_all() -> None:
            try:
                for _ in range(each):
                    for worker in workers:
                        worker.restart()
            finally:
                over.set()

        answered, lost = 0, dict[str, int]()
        restarting = threading.Thread(target=restart_all)
        restarting.start()
        order = Order(port, str(files.client_certificate), str(files.client_key), at_once=AT_ONCE)
        while not over.is_set():
            outcome = load(order, 2)
            answered += outcome["answered"]
            for what, number in outcome["lost"].items():
                lost[what] = lost.get(what, 0) + number
        restarting.join()
        return Restarts(each * len(workers), answered, lost)


@contextmanager
def _two_workers(directory: Path) -> Iterator[list[_Worker]]:
    plane = ControlPlane()
    plane.begin()
    started: list[Worker] = []

    def start(settings: dict[str, str]) -> Worker:
        settings = plane.environment() | {"SDM_SHUTDOWN_NOTICE": str(NOTICE), "SDM_WORKERS": "1"} | settings
        started.append(Worker(settings, directory / f"worker{len(started)}.log"))
        return started[-1]

    try:
        yield [_Worker(start) for _ in range(2)]
    finally:
        for worker in started:
            worker.kill()
        plane.end()


@contextmanager
def _balanced(directory: Path, workers: list[_Worker]) -> Iterator[int]:
    port = free_port()
    servers = "\n".join(
        f"    server worker{number} 127.0.0.1:{worker.port} check port {worker.probes_port}"
        for number, worker in enumerate(workers)
    )
    configuration = directory / "balancer.cfg"
    configuration.write_text(_BALANCER.format(port=port, servers=servers))
    with run_haproxy(configuration, port) as server:
        yield server.port


# No second attempt: what a worker refuses or resets, a client sees.
_BALANCER = """
global
    maxconn 2000
defaults
    mode tcp
    retries 0
    timeout client 30s
    timeout server 30s
    timeout connect 5s
listen balancer
    bind 127.0.0.1:{port}
    balance roundrobin
    option httpchk GET /readiness
    default-server inter 500ms fall 1 rise 1
{servers}
"""
