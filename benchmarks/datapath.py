"""`python -m benchmarks.datapath`: what passes through a worker, beside PgBouncer, HAProxy and nginx.

README.md says what is measured and how.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine, tls_servers
from benchmarks.path import figures, peers
from benchmarks.path.agent import agent
from benchmarks.path.bulk import bulk
from benchmarks.path.figures import Result
from benchmarks.path.opened import sessions
from benchmarks.path.pings import pings, stalled
from benchmarks.path.queries import queries
from benchmarks.path.sites import sites
from benchmarks.path.world import World, world

FIGURES = ("queries", "bulk", "pings", "stalled", "sites", "sessions", "agent")


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):  # either way, what was started is taken down again
        signal.signal(number, signal.default_int_handler)
    options = _options(arguments)
    before = machine.load()
    try:
        described = machine.describe(before, **peers.versions(), **tls_servers.versions())
    except tls_servers.MissingProgram as missing:
        print(missing, file=sys.stderr)
        return 1
    results = {figure: list(_measured(figure, options)) for figure in options.figures or FIGURES}
    print(", ".join(f"{name} {value}" for name, value in described.items()), end="\n\n")
    print("\n".join(figures.markdown(result for found in results.values() for result in found)))
    if options.json:
        plain = {figure: [asdict(result) for result in found] for figure, found in results.items()}
        options.json.write_text(json.dumps({"machine": described, "results": plain}, indent=1) + "\n")
    return 0


def _measured(figure: str, options: argparse.Namespace) -> Iterator[Result]:
    print(f"{figure} ...", file=sys.stderr, flush=True)
    rounds, seconds, clients = options.rounds, options.seconds, tuple(options.clients)
    measures: dict[str, Callable[[World], Iterator[Result]]] = {
        "queries": lambda place: queries(place, rounds=rounds, seconds=seconds, clients=clients),
        "bulk": lambda place: bulk(place, rounds=rounds, size=options.size * 1_000_000),
        "pings": lambda place: pings(place, rounds=rounds, seconds=seconds),
        "stalled": lambda place: stalled(place, rounds=rounds, number=options.stalled),
        "sites": lambda place: sites(place, rounds=rounds, seconds=seconds, clients=clients),
        "sessions": lambda place: sessions(place, rounds=rounds, seconds=seconds),
        "agent": lambda place: agent(place, rounds=rounds, seconds=seconds),
    }
    with tempfile.TemporaryDirectory(prefix="datapath-benchmark-") as name, world(Path(name)) as place:
        yield from measures[figure](place)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.datapath", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"some of {', '.join(FIGURES)}; or all")
    parser.add_argument("--rounds", type=int, default=5, help="pairs that are measured (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="that a load lasts (%(default)s)")
    parser.add_argument(
        "--clients", type=int, nargs="+", default=[1, 8, 32], help="of pgbench and wrk, at once (1 8 32)"
    )
    parser.add_argument("--size", type=int, default=1_000, help="megabytes of a COPY (%(default)s)")
    parser.add_argument("--stalled", type=int, default=50, help="readers that do not read (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(arguments)
    if unknown := set(options.figures) - set(FIGURES):
        parser.error(f"{', '.join(sorted(unknown))}: give some of {', '.join(FIGURES)}")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
