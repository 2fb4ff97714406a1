"""The worker's figures as Markdown."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from benchmarks.connections import Compared, Rates
from benchmarks.joining import Joined
from benchmarks.restarts import Restarts

# Targets: of HAProxy's rate at least, of its memory and processor time at most; seconds to join.
RATE, MEMORY, CPU, SECONDS = 0.8, 1.1, 1.25, 30.0


def markdown(machine: Mapping[str, str], results: Mapping[str, Any]) -> str:
    lines = [", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    compared = [row for figure, result in results.items() for row in _compared(figure, result)]
    if compared:
        lines += ["| | worker | HAProxy | ratio | target |", "| --- | --: | --: | --: | --: |", *compared, ""]
    for result in results.values():
        lines += _alone(result)
    return "\n".join(lines)


def _compared(figure: str, result: Any) -> Iterator[str]:
    match result:
        case Rates():
            yield _row(f"{figure} connections a second", result.per_second, ".0f", "≥", RATE)
            yield _row(f"{figure}: server's CPU, ms each", result.cpu_milliseconds, ".2f", "≤", CPU)
            yield _row(f"{figure}: server's core in use", result.busy, ".0%")
        case Compared():
            yield _row("kB for a silent connection", result, ".1f", "≤", MEMORY)


def _row(name: str, compared: Compared, form: str, sign: str = "", target: float = 0) -> str:
    ratio, missed = f"{compared.ratio:.2f}", False
    if sign:
        missed = compared.ratio < target if sign == "≥" else compared.ratio > target
    cells = [
        name,
        f"{median(compared.ours):{form}}",
        f"{median(compared.theirs):{form}}",
        f"**{ratio}**" if missed else ratio,
        f"{sign} {target}" if sign else "",
    ]
    return f"| {' | '.join(cells)} |"


def _alone(result: Any) -> Iterator[str]:
    match result:
        case Restarts():
            lost = sum(result.lost.values())
            yield f"- {result.restarts} restarts under load: {lost} of {result.answered + lost} connections lost."
            yield from (f"  - {what}: {number}" for what, number in result.lost.items())
        case Joined():
            yield (
                f"- {result.workers} workers joined and streamed within {_seconds(result.joined)}, and were back "
                f"{_seconds(result.came_back)} after the API was ended and started anew."
            )
            memory = ", ".join(f"{megabytes:.0f}" for megabytes in result.memory)
            yield f"  - The API's memory, MB: {memory}. Errors in its log: {len(result.errors)}."


def _seconds(seconds: float) -> str:
    text = f"{seconds:.1f} s"
    return f"**{text}**" if seconds > SECONDS else text
