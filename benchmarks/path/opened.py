"""New sessions a second, with a ticket and a lease that is kept, beside HAProxy's bare TLS accepts."""

from collections.abc import Iterator

from benchmarks import connections, processes
from benchmarks.path.figures import Figure, Result
from benchmarks.path.pings import Proxy, both_sides
from benchmarks.path.world import World
from benchmarks.tls_clients import ANSWER, REQUEST, Order

_WELCOME = "HTTP/1.1 101 "


def sessions(place: World, *, rounds: int, seconds: float) -> Iterator[Result]:
    rate = Figure("new sessions a second", "HAProxy's TLS accepts", ",.0f", "≥", 0.5)
    cost = Figure("new session: proxy's CPU, ms", "HAProxy's TLS accepts", ".2f")
    with both_sides(place) as sides:
        for _ in range(rounds):
            for side, through in sides.items():
                order = _order(place, through)
                connections.load(order, connections.WARM_UP)
                before = processes.cpu_seconds(through.pids)
                outcome = connections.load(order, seconds)
                spent = processes.cpu_seconds(through.pids) - before
                if outcome["lost"]:
                    raise RuntimeError(f"Not every session was opened: {outcome['lost']}.")
                getattr(rate.compared, side).append(outcome["answered"] / outcome["seconds"])
                getattr(cost.compared, side).append(spent / outcome["answered"] * 1000)
    yield from (rate, cost)


def _order(place: World, through: Proxy) -> Order:
    # The resource hangs up as soon as it is connected to, and so ends the session.
    request = through.way("closer").request
    return Order(
        through.answering,
        str(place.person.certificate_file),
        str(place.person.key_file),
        request=request or REQUEST,
        answer=_WELCOME if request else ANSWER,
    )
