"""What connections cost the worker, beside HAProxy: new ones, resumed ones, silent ones, and those during a restart."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import processes
from benchmarks.tls_clients import Order
from benchmarks.tls_servers import Files, Peer, haproxy, patient_worker, worker

WARM_UP = 0.5
# Until what the kernel and the allocator still have to do is done.
SETTLE = 1.0


@dataclass(slots=True)
class Compared:
    """A figure of both, once for each round."""

    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios: both halves of a pair saw the same machine."""
        return median(ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True))


@dataclass(slots=True)
class Rates:
    per_second: Compared = field(default_factory=Compared)
    cpu_milliseconds: Compared = field(default_factory=Compared)
    # Of the server's core. Far below one, it was not the server that was measured.
    busy: Compared = field(default_factory=Compared)
    cipher: str = ""


def rates(directory: Path, files: Files, *, rounds: int, seconds: float, resume: bool) -> Rates:
    """Connections that are made, answered with 404 and closed, as many as go."""
    found = Rates()
    with worker(directory, files) as ours, haproxy(directory, files) as theirs:
        for _ in range(rounds):
            ciphers = set()
            for server, name in ((ours, "ours"), (theirs, "theirs")):
                order = Order(
                    server.port, str(files.client_certificate), str(files.client_key), resume=resume
                )
                load(order, WARM_UP)
                before = processes.cpu_seconds(server.pids)
                outcome = load(order, seconds)
                spent = processes.cpu_seconds(server.pids) - before
                _check(outcome, resume=resume)
                ciphers.add(outcome["cipher"])
                getattr(found.per_second, name).append(outcome["answered"] / outcome["seconds"])
                getattr(found.cpu_milliseconds, name).append(spent / outcome["answered"] * 1000)
                getattr(found.busy, name).append(spent / outcome["seconds"])
            if len(ciphers) != 1:
                raise RuntimeError(f"This compares {' with '.join(ciphers)}.")
            found.cipher = ciphers.pop()
    return found


def _check(outcome: dict[str, Any], *, resume: bool) -> None:
    if outcome["lost"]:
        raise RuntimeError(f"Not every connection was answered: {outcome['lost']}.")
    # The first ones have nothing to resume yet.
    if resume and outcome["resumed"] < outcome["answered"] * 0.9 - 32:
        raise RuntimeError(f"Only {outcome['resumed']} of {outcome['answered']} were resumed.")


def idle_memory(directory: Path, files: Files, *, rounds: int, number: int) -> Compared:
    """Kilobytes for a connection that has shaken hands and is silent."""
    found = Compared()
    for _ in range(rounds):
        found.ours.append(_idle_memory(patient_worker, directory, files, number))
        found.theirs.append(_idle_memory(haproxy, directory, files, number))
    return found


def _idle_memory(peer: Peer, directory: Path, files: Files, number: int) -> float:
    with peer(directory, files) as server:
        order = Order(server.port, str(files.client_certificate), str(files.client_key), idle=number)
        load(Order(order.port, order.certificate, order.key), WARM_UP)
        time.sleep(SETTLE)
        before = processes.resident(server.pids)
        with _clients(order) as outcome:
            time.sleep(SETTLE)
            if outcome["lost"]:
                raise RuntimeError(f"Not every connection stands: {outcome['lost']}.")
            return (processes.resident(server.pids) - before) / number / 1000


def load(order: Order, seconds: float) -> dict[str, Any]:
    fields = asdict(order) | {"seconds": seconds}
    with _clients(Order(**fields)) as outcome:
        return outcome


@contextmanager
def _clients(order: Order) -> Iterator[dict[str, Any]]:
    """What became of them; those that are silent stay until this is left."""
    with processes.started_on(processes.cores()[1]):
        process = clients_process(order)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError("The clients failed; what they said stands above.")
        yield json.loads(line)
    finally:
        process.communicate()


def clients_process(order: Order) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.tls_clients", json.dumps(asdict(order))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
