"""A small exchange while others are busy at the same proxy, and what a reader holds that does not read.

The proxy has one core, all others share the rest: what a ping waits for is the proxy.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks import connections, processes
from benchmarks.path import peers, world
from benchmarks.path.figures import Figure, Limit, Result
from benchmarks.path.opener import Order, context_of, opened
from benchmarks.path.world import World
from benchmarks.tls_clients import Order as Storm

# Between two pings.
_PAUSE = 0.002
_UPLOADS = 4
_SETTLE = 1.0
# Bytes that a reader may hold which does not read.
_MOST_STALLED = 256.0


@dataclass(frozen=True, slots=True)
class Proxy:
    # To a service by its name.
    way: Callable[[str], Order]
    # Where everybody gets the same short answer.
    answering: int
    pids: list[int]


Side = Callable[[World], AbstractContextManager[Proxy]]


@contextmanager
def ours(place: World) -> Iterator[Proxy]:
    resources = {name: place.raw(name) for name in place.services}
    with world.worker(place, cores=processes.cores()[0]) as server:
        yield Proxy(lambda name: place.tunnel(server.port, resources[name]), server.port, server.pids)


@contextmanager
def theirs(place: World) -> Iterator[Proxy]:
    with peers.haproxy(place, place.services, cores=processes.cores()[0]) as server:
        yield Proxy(lambda name: place.order(server.ports[name]), server.answering, server.pids)


SIDES: dict[str, Side] = {"ours": ours, "theirs": theirs}


@contextmanager
def both_sides(place: World) -> Iterator[dict[str, Proxy]]:
    with ours(place) as mine, theirs(place) as others:
        yield {"ours": mine, "theirs": others}


def pings(place: World, *, rounds: int, seconds: float) -> Iterator[Result]:
    with both_sides(place) as sides:
        for name, busy in _BUSY.items():
            sign, target = ("≤", 0.75) if busy is not _alone else ("", 0.0)
            half = Figure(f"ping {name}: p50, ms", "HAProxy", ".2f", sign, target)
            late = Figure(f"ping {name}: p99, ms", "HAProxy", ".2f")
            for _ in range(rounds):
                for side, through in sides.items():
                    with busy(place, through, seconds):
                        took = pinged(through.way("echo"), seconds)
                    getattr(half.compared, side).append(median(took))
                    getattr(late.compared, side).append(took[len(took) * 99 // 100])
            yield from (half, late)


def stalled(place: World, *, rounds: int, number: int) -> Iterator[Result]:
    figure = Figure("a reader that does not read holds, kB", "HAProxy", ",.0f")
    for _ in range(rounds):
        for side, proxy in SIDES.items():
            with proxy(place) as through, ExitStack() as stack:
                order = through.way("source")
                context = context_of(order.certificate, order.key)
                # What every connection costs is not what is asked here.
                stack.enter_context(opened(through.way("echo"), context)[0])
                before = processes.resident(through.pids)
                for _ in range(number):
                    stack.enter_context(opened(order, context)[0])
                time.sleep(_SETTLE)
                held = (processes.resident(through.pids) - before) / number / 1000
            getattr(figure.compared, side).append(held)
    yield figure
    yield Limit("the same", figure.compared.ours, "kB", _MOST_STALLED)


def pinged(order: Order, seconds: float) -> list[float]:
    """Milliseconds of each, the shortest first."""
    with opened(order, context_of(order.certificate, order.key))[0] as sock:
        return pings_over(sock, seconds)


def pings_over(sock: socket.socket, seconds: float) -> list[float]:
    took = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.perf_counter()
        sock.sendall(b"ping")
        if not sock.recv(16):
            raise RuntimeError("The connection ended.")
        took.append((time.perf_counter() - began) * 1000)
        time.sleep(_PAUSE)
    return sorted(took)


# --- What the others do ---


@contextmanager
def _alone(place: World, through: Proxy, seconds: float) -> Iterator[None]:
    yield


@contextmanager
def _uploads(place: World, through: Proxy, seconds: float) -> Iterator[None]:
    order = json.dumps(asdict(through.way("sink")))
    with (
        processes.started_on(processes.cores()[1]),
        world.helper("benchmarks.path.uploads", order, str(_UPLOADS)),
    ):
        time.sleep(_SETTLE)
        yield


@contextmanager
def _storm(place: World, through: Proxy, seconds: float) -> Iterator[None]:
    person = place.person
    lasting = _SETTLE + seconds + _SETTLE
    storm = Storm(through.answering, str(person.certificate_file), str(person.key_file), seconds=lasting)
    with processes.started_on(processes.cores()[1]):
        clients = connections.clients_process(storm)
    try:
        time.sleep(_SETTLE)
        yield
    finally:
        clients.kill()
        clients.communicate()


_BUSY = {"alone": _alone, "beside a bulk upload": _uploads, "in a connect storm": _storm}
