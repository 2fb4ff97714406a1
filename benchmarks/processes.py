"""What processes cost: memory and processor time, from /proc; and on which core they run."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    return sum(_ticks(pid) for pid in pids) / _TICKS


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident(pids: Iterable[int]) -> int:
    """Bytes of memory; what processes share is counted once."""
    return sum(
        int(line.split()[1]) * 1024
        for pid in pids
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    )


def cores() -> tuple[set[int], set[int]]:
    """One for the server, the others for those who ask it; the same one where there is no other."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


def all_cores() -> set[int]:
    return os.sched_getaffinity(0)


@contextmanager
def started_on(which: set[int]) -> Iterator[None]:
    """What is started meanwhile runs on these cores, and so does all that it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, which)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
