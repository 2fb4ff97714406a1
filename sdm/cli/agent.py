"""The agent as commands see it: found, or started, and asked."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import sdm
from sdm.cli.failure import Failed
from sdm.client import control
from sdm.client.control import Message, NoAgent
from sdm.client.home import Home, UnusableHome, writing
from sdm.exit_codes import ExitCode

_START_TIMEOUT = 10.0
_LOOK_EVERY = 0.05

NOT_LOGGED_IN = "You are not authenticated. Please login again."


def home() -> Home:
    try:
        return Home.of(os.environ)
    except UnusableHome as error:
        raise Failed(str(error), ExitCode.CONFIGURATION) from None


def running(where: Home) -> bool:
    try:
        control.ask(where.socket, {"verb": "status"})
    except NoAgent:
        return False
    return True


def signed_in(where: Home) -> bool:
    """Without a certificate there is nothing an agent could do. A token of a service is as good."""
    return where.identity.exists() or bool(os.environ.get("SDM_SERVICE_TOKEN"))


def not_logged_in() -> Failed:
    return Failed(NOT_LOGGED_IN, ExitCode.REFUSED, "not-logged-in")


def ask(where: Home, request: Message) -> Message:
    """The answer of the agent, which is started if it does not run."""
    if not signed_in(where):
        raise not_logged_in()
    start(where)
    try:
        answer = control.ask(where.socket, request)
    except NoAgent:
        raise _ended(where) from None
    if "error" in answer:
        reason = str(answer.get("reason", ""))
        raise Failed(str(answer["error"]), _CODES.get(reason, ExitCode.FAILURE), reason)
    return answer


_CODES = {
    "configuration": ExitCode.CONFIGURATION,
    "not-logged-in": ExitCode.REFUSED,
    "not-found": ExitCode.NOT_FOUND,
}


def _ended(where: Home) -> Failed:
    # One in the foreground writes elsewhere.
    known = f" Its log is {where.log}." if where.log.exists() else ""
    return Failed(f"The agent ended.{known}", ExitCode.UNAVAILABLE)


def follow(where: Home, request: Message) -> Iterator[Message]:
    """Each answer, until whoever asked has had enough. Failed when the agent ends, which it does at a logout."""
    if not signed_in(where):
        raise not_logged_in()
    start(where)
    with contextlib.suppress(NoAgent):  # it was cut off in the middle of an answer
        yield from control.follow(where.socket, request, forever=True)
    # It has no last answer: whoever reads this would wait for the next, or believe that all is well.
    raise _ended(where) if signed_in(where) else not_logged_in()


def start(where: Home) -> None:
    """In the background, to stay when the terminal is closed."""
    if _listens(where):
        return
    # What is no line of the log, a fault while Python starts, say, stands in the same file.
    try:
        with writing(where.log):
            descriptor = os.open(where.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except UnusableHome as error:
        raise Failed(str(error), ExitCode.CONFIGURATION) from None
    with open(descriptor, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sdm", "listen", "--log"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            # This sdm, wherever it was started from.
            env={**os.environ, "PYTHONPATH": str(Path(sdm.__file__).parent.parent)},
        )
    deadline = time.monotonic() + _START_TIMEOUT
    while not _listens(where):
        if process.poll() is not None and not _listens(where):
            raise Failed(f"The agent could not be started. Its log is {where.log}.", ExitCode.UNAVAILABLE)
        if time.monotonic() > deadline:
            raise Failed(f"The agent does not answer. Its log is {where.log}.", ExitCode.UNAVAILABLE)
        time.sleep(_LOOK_EVERY)


def _listens(where: Home) -> bool:
    try:
        next(control.follow(where.socket, {"verb": "ping"}), None)
    except NoAgent:
        return False
    return True
