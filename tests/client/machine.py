"""Somebody's machine with the `sdm` command on it, and an agent of its own."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from sdm.cli.main import run
from sdm.client import control
from sdm.client.control import NoAgent
from tests.house.checkout import ROOT
from tests.worker.processes import until

TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


class Machine:
    def __init__(self, home: Path, control_plane: str) -> None:
        self.home = home
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SDM_")}
        self.environment = clean | {"SDM_HOME": str(home), "SDM_APP_DOMAIN": control_plane}
        self._agents: list[subprocess.Popen[bytes]] = []

    def run(self, *words: str, **more: str) -> Done:
        """`sdm` with these words, in this process: a new one would take half a second to begin."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment | more, clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run(list(words))
        return Done(int(code), out.getvalue(), err.getvalue())

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def begin(self, *words: str, **more: str) -> "subprocess.Popen[str]":
        """The same as a process, which may go on for long."""
        return subprocess.Popen(
            [sys.executable, "-m", "sdm", *words],
            env=self.environment | more,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, *words: str, **more: str) -> Done:
        """As a process, to its end: for what needs an event loop, or a file of its own as standard output."""
        done = self.begin(*words, **more)
        said, _ = done.communicate(timeout=TIMEOUT)
        return Done(done.returncode, said, said)

    @contextlib.contextmanager
    def watching(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """One that goes on until it is told to stop."""
        process = self.begin(*words)
        assert process.stdout is not None
        try:
            yield process
        finally:
            process.terminate()
            process.stdout.close()
            process.wait(TIMEOUT)

    # --- The agent ---

    def listen(self, **more: str) -> "subprocess.Popen[bytes]":
        """An agent in the foreground, with its log in the directory."""
        with self._log.open("ab") as log:
            agent = subprocess.Popen(
                [sys.executable, "-m", "sdm", "listen"],
                env=self.environment | more,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        self._agents.append(agent)
        until(lambda: self.ready() or agent.poll() is not None, TIMEOUT, self.log)
        return agent

    def status(self) -> Any:
        """Asked of the agent itself; nothing when there is none."""
        try:
            return control.ask(self.home / "agent.sock", {"verb": "status"})
        except NoAgent:
            return {}

    def ready(self) -> bool:
        status = self.status()
        return bool(status.get("signed_in")) and not status["problem"]

    def resource(self, name: str) -> Any:
        found = [each for each in self.status().get("resources", []) if each["name"] == name]
        return found[0] if found else None

    def is_connected(self, name: str) -> bool:
        resource = self.resource(name)
        return resource is not None and resource["status"] == "connected"

    def port(self, name: str) -> int:
        """Where it is connected."""
        if not self.is_connected(name):
            pytest.fail(f"{name} is not connected: {self.resource(name)}\n{self.log()}")
        return int(self.resource(name)["address"].rpartition(":")[2])

    @property
    def _log(self) -> Path:
        return self.home.parent / f"{self.home.name}.log"

    def log(self) -> str:
        return self._log.read_text()

    def end(self) -> None:
        for agent in self._agents:
            if agent.poll() is None:
                agent.terminate()
                agent.wait(TIMEOUT)
