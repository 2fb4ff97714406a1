"""What the figures were taken on, without its name."""

import os
import platform
import sqlite3
import subprocess
from pathlib import Path

from tests.servers import postgres


def load() -> float:
    """How many processes wanted a core during the last minute."""
    return os.getloadavg()[0]


def describe(load_before: float, **programs: str) -> dict[str, str]:
    return {
        "cores": f"{len(os.sched_getaffinity(0))} of {_processor()}",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "Python": platform.python_version(),
        **programs,
        "load before": f"{load_before:.2f}",
    }


def databases() -> dict[str, str]:
    version = subprocess.run(
        [postgres.program("postgres"), "--version"], capture_output=True, text=True, check=True
    )
    return {"SQLite": sqlite3.sqlite_version, "PostgreSQL": version.stdout.split()[2]}


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
