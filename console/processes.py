"""The processes that one of ours looks after: all of them run, or none."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import cast

PAGES = ("-m", "gunicorn", "--config", "python:console.gunicorn", "console.wsgi")
API = ("-m", "django", "serve_api")
_NAMES = {PAGES: "The process that serves the pages", API: "The process that workers and clients connect to"}
# Longer than what gunicorn gives requests that are under way (`console.gunicorn`).
PATIENCE = 25
_PR_SET_PDEATHSIG = 1


class Processes:
    """Python's commands, beside one another. `lock` is held by each for as long as it lives."""

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._told: list[int] = []
        self._children: list[subprocess.Popen[bytes]] = []
        self._needed: list[subprocess.Popen[bytes]] = []

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, needed: bool = True
    ) -> "subprocess.Popen[bytes]":
        """When one that is `needed` ends, all do."""
        # A session of its own: Ctrl-C is for us, and we tell it once.
        child = subprocess.Popen(  # noqa: S603  # Python, with commands of ours
            [sys.executable, *arguments],
            pass_fds=(self._lock,),
            start_new_session=True,
            preexec_fn=_die_with_parent,
            env={**os.environ, **(env or {})},
        )
        self._children.append(child)
        if needed:
            self._needed.append(child)
        return child

    @property
    def run_on(self) -> bool:
        return not self._told and all(child.poll() is None for child in self._needed)

    @property
    def code(self) -> int:
        """0 when we were told to stop, otherwise what the one ended with that ended by itself."""
        if self._told:
            return 0
        return next((child.returncode for child in self._needed if child.returncode), 1)

    def wait(self) -> None:
        """Until one that is needed ends, which is said, or we are told to stop."""
        while self.run_on:
            time.sleep(0.1)
        for child in self._needed:
            if not self._told and child.returncode is not None:
                sys.stderr.write(f"console: {_how_it_ended(child)}; all of it stops.\n")

    def tell(self, number: int, frame: FrameType | None) -> None:
        self._told.append(number)

    def stop(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.terminate()
        for child in self._children:
            _wait(child)


@contextmanager
def processes(lock: int) -> Iterator[Processes]:
    """When it is left, none of them is."""
    ours = Processes(lock)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ours.tell)
    try:
        yield ours
    finally:
        ours.stop()


def serve(lock: int, commands: Sequence[tuple[str, ...]] = (PAGES, API)) -> int:
    """Gives the exit code."""
    with processes(lock) as ours:
        for command in commands:
            ours.start(*command)
        ours.wait()
    return ours.code


def _how_it_ended(child: "subprocess.Popen[bytes]") -> str:
    _, *arguments = cast(list[str], child.args)
    name = _NAMES.get(tuple(arguments), f"`python {' '.join(arguments)}`")
    code = child.returncode
    return f"{name} {f'was killed by {signal.Signals(-code).name}' if code < 0 else f'ended with {code}'}"


def _die_with_parent() -> None:
    """Should we be killed, the kernel tells the child to stop (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
