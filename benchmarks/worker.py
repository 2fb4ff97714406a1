"""`python -m benchmarks.worker`: what the worker's connections cost, beside HAProxy; restarts; and joining.

README.md says what is measured and how.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import connections, joining, machine, restarts, tls_servers, worker_report

FIGURES = ("new", "resumed", "idle", "restart", "joining")


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):  # either way, what was started is taken down again
        signal.signal(number, signal.default_int_handler)
    options = _options(arguments)
    before = machine.load()
    try:
        described = machine.describe(before, **tls_servers.versions())
    except tls_servers.MissingProgram as missing:
        print(missing, file=sys.stderr)
        return 1
    results = {figure: _measured(figure, options) for figure in options.figures or FIGURES}
    print(worker_report.markdown(described, results))
    if options.json:
        plain = {figure: asdict(result) for figure, result in results.items()}
        options.json.write_text(json.dumps({"machine": described, "results": plain}, indent=1) + "\n")
    return 0


def _measured(figure: str, options: argparse.Namespace) -> Any:
    print(f"{figure} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="worker-benchmark-") as name:
        directory = Path(name)
        files = tls_servers.make_files(directory)
        rounds, seconds = options.rounds, options.seconds
        measures: dict[str, Callable[[], Any]] = {
            "new": lambda: connections.rates(directory, files, rounds=rounds, seconds=seconds, resume=False),
            "resumed": lambda: connections.rates(
                directory, files, rounds=rounds, seconds=seconds, resume=True
            ),
            "idle": lambda: connections.idle_memory(directory, files, rounds=rounds, number=options.idle),
            "restart": lambda: restarts.restarts(directory, files, each=rounds),
            "joining": lambda: joining.joining(directory, number=options.workers, returns=rounds),
        }
        return measures[figure]()


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"some of {', '.join(FIGURES)}; or all")
    parser.add_argument("--rounds", type=int, default=5, help="pairs that are measured (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="that a load lasts (%(default)s)")
    parser.add_argument("--idle", type=int, default=9_400, help="silent connections (%(default)s)")
    parser.add_argument("--workers", type=int, default=200, help="that join (%(default)s)")
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
