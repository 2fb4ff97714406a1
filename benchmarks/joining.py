"""How long many workers take to join one API on SQLite, and to come back when it is started anew under them."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from console import first_run
from tests.house.checkout import ROOT, free_port

START_TIMEOUT = 60


@dataclass(slots=True)
class Joined:
    workers: int
    # Seconds until every one of them streamed: at first, and after the API was started anew.
    joined: float = 0
    came_back: float = 0
    # Megabytes of the API's: when all had joined, when all had come back to a new one, after each further time.
    memory: list[float] = field(default_factory=list)
    # Of the API's log.
    errors: list[str] = field(default_factory=list)


def joining(directory: Path, *, number: int, returns: int) -> Joined:
    found = Joined(number)
    environment = _environment(directory)
    keys = _made_keys(environment)
    log = directory / "api.log"
    with _members(environment | keys, number) as members:
        with _api(environment, log) as api:
            found.joined = members.all_connect()
            found.memory.append(_megabytes(api))
        ended = time.monotonic()
        with _api(environment, log) as api:
            found.came_back = members.next() - ended
            found.memory.append(_megabytes(api))
            for _ in range(returns):
                members.all_connect()
                found.memory.append(_megabytes(api))
    found.errors = [line for line in log.read_text().splitlines() if "ERROR" in line or "Traceback" in line]
    return found


def _environment(directory: Path) -> dict[str, str]:
    others = ("CONSOLE_", "DATABASE_URL", "DJANGO_", "SDM_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    address = f"127.0.0.1:{free_port()}"
    return clean | {
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "DATABASE_URL": f"sqlite:///{directory / 'workers.sqlite3'}",
        "CONSOLE_DATA_DIR": str(directory / "console"),
        "CONSOLE_API_LISTEN": address,
        "CONSOLE_SECRET_KEY": secrets.token_urlsafe(64),
        "CONSOLE_SEALING_KEYS": first_run.new_sealing_key(),
        "SDM_APP_DOMAIN": address,
    }


def _made_keys(environment: dict[str, str]) -> dict[str, str]:
    made = subprocess.run(
        [sys.executable, "manage.py", "invite"], env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    keys: dict[str, str] = json.loads(made.stdout)
    return keys


@contextmanager
def _api(environment: dict[str, str], log: Path) -> Iterator[int]:
    """Its process, when it answers."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve_api"],
            env=environment,
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(environment["CONSOLE_API_LISTEN"], process, log)
        yield process.pid
    finally:
        process.terminate()
        process.wait(START_TIMEOUT)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"The API did not start: {log.read_text()}")


class _Members:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def all_connect(self) -> float:
        """End all streams and begin them; the seconds until every one stands."""
        if self._process.stdin is None:
            raise RuntimeError("It was started without a pipe.")
        begun = time.monotonic()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.next() - begun

    def next(self) -> float:
        """When all of them are connected, by the clock that all processes of a machine share."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError("The workers ended; what they said stands above.")
        at: float = json.loads(line)["all_at"]
        return at


@contextmanager
def _members(environment: dict[str, str], number: int) -> Iterator[_Members]:
    command = [sys.executable, "-m", "benchmarks.members", str(number)]
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield _Members(process)
    finally:
        process.kill()
        process.communicate()


def _megabytes(pid: int) -> float:
    return processes.resident([pid]) / 1e6
