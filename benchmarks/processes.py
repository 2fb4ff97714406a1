"""What processes cost, in memory and processor time; and on which core they run."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cpu_seconds(pids: Iterable[int]) -> float:
    return sum(time.clock_gettime(_cpu_clock(pid)) for pid in pids)


def _cpu_clock(pid: int) -> int:
    """clock_getcpuclockid(3), as Linux makes it up: to the nanosecond, where /proc counts hundredths."""
    return (~pid << 3) | 2


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
