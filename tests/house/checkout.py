"""The `dev` script as these tests use it: as a module, and as a program with an environment that is ready made."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def dev_module() -> ModuleType:
    loader = SourceFileLoader("dev", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader("dev", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # `dataclass` and `inspect` look a module up by its name.
    sys.modules["dev"] = module
    loader.exec_module(module)
    return module


def stand_in_venv(directory: Path) -> Path:
    """What `./dev` takes for a finished environment: the interpreter that runs these tests."""
    dev = dev_module()
    venv = directory / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (venv / dev.STAMP.name).write_text(json.dumps([dev.digest(dev.CONSOLE), dev.digest(dev.DEV)]))
    return venv


def run_environment(directory: Path, **extra: str) -> dict[str, str]:
    """Variables for `./dev run` with its data in `directory`, and nothing of this suite's own settings."""
    env: dict[str, str] = dev_module().clean_environment()
    env |= {
        "DEV_VENV": str(stand_in_venv(directory)),
        "CONSOLE_DATA_DIR": str(directory / "data"),
        "CONSOLE_LISTEN": f"127.0.0.1:{free_port()}",
        "CONSOLE_API_LISTEN": f"127.0.0.1:{free_port()}",
        "CONSOLE_WORKERS": "2",
    }
    return env | extra


def dev_run(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`./dev run`, when it is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "dev", "run"],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(env: dict[str, str], log: Path, command: str = "run") -> Iterator[subprocess.Popen[bytes]]:
    """`./dev run`, or another command, whose console answers; what it says is in `log`."""
    with log.open("wb") as output:
        # A session of its own, as a terminal gives one: signals of the test stay there.
        process = subprocess.Popen(
            [sys.executable, "dev", command],
            env=env,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(f"http://{env['CONSOLE_LISTEN']}/healthz", process, log)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:  # the URL is the test's own
                assert response.status == 200
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"{url} does not answer: {log.read_text()}")


_given: set[int] = set()


def free_port() -> int:
    """Each time another one: what was given is perhaps not taken yet."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def children(pid: int) -> list[int]:
    """The processes that `pid` has started, and theirs."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent(entry) == pid:
            found += [int(entry.name), *children(int(entry.name))]
    return found


def _parent(entry: Path) -> int | None:
    try:
        stat = (entry / "stat").read_text()
    except OSError:  # it has ended while we looked
        return None
    return int(stat.rpartition(")")[2].split()[1])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
