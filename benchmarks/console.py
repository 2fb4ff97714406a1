"""`python -m benchmarks.console [sqlite|postgres|both]`: how long the console's pages take, on a million resources.

Beside it, in the same run and on the same rows, Django's own admin. README.md says what is measured and how.
"""

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine, report
from benchmarks.databases import DATABASES, DEFAULT_DIRECTORY
from benchmarks.measure import Bounds, Result, measure


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):  # either way, what was started is taken down again
        signal.signal(number, signal.default_int_handler)
    options = _options(arguments)
    bounds = Bounds(rounds=options.rounds, size=options.size, pages=options.pages)
    names = list(DATABASES) if options.database == "both" else [options.database]
    results: dict[str, Result] = {}
    before = machine.load()
    for name in names:
        with DATABASES[name](options.directory) as server:
            results[name] = measure(server, bounds)
    described = machine.describe(before, **machine.databases())
    print(report.markdown(described, results))
    if options.json:
        plain = {name: asdict(result) for name, result in results.items()}
        options.json.write_text(json.dumps({"machine": described, "results": plain}, indent=1) + "\n")
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("database", nargs="?", choices=(*DATABASES, "both"), default="both")
    parser.add_argument(
        "--rounds", type=int, default=15, help="how often each page is asked for (%(default)s)"
    )
    parser.add_argument("--size", choices=("small", "large"), default="large", help="rows to measure on")
    parser.add_argument("--pages", default="", metavar="TEXT", help="only those with this in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument(
        "--directory",
        type=Path,
        default=DEFAULT_DIRECTORY,
        help="where the rows are kept for the next run (%(default)s)",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
