"""`python -m console`: make what the first start needs, bring the database up to date, then serve.

`./dev run` ends here, and so does the container. The process looks after two others, gunicorn with the console's
pages and the API that workers connect to: whoever started it has one process to signal and to wait for.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType

import django
from django.core.management import CommandError, call_command

from console import first_run
from console.env import SettingError

PAGES = ("-m", "gunicorn", "--config", "python:console.gunicorn", "console.wsgi")
API = ("-m", "django", "serve_api")
# Longer than what gunicorn gives requests that are under way (`console.gunicorn`).
PATIENCE = 25
_PR_SET_PDEATHSIG = 1


def prepare() -> int:
    """What has to be there; gives the lock of the data directory."""
    os.umask(0o077)  # the database holds what only the console should read
    first_run.check()
    where, directory = first_run.listen(), first_run.data_directory()
    lock = first_run.hold(directory, where)
    first_run.make_secrets(directory)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    os.environ.setdefault("CONSOLE_URL", where.url)
    django.setup()
    call_command("prepare")
    return lock


def serve(lock: int) -> int:
    """Until one of the two ends or we are told to stop; then neither is left. Gives the exit code."""
    told: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    servers = [_start(command, lock) for command in (PAGES, API)]
    while not told and all(server.poll() is None for server in servers):
        time.sleep(0.1)
    for server in servers:
        if server.poll() is None:
            server.terminate()
    for server in servers:
        _wait(server)
    if told:
        return 0
    return next((server.returncode for server in servers if server.returncode), 1)


def _start(command: tuple[str, ...], lock: int) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C is for us, and we tell it once. It holds the lock for as long as it lives.
    return subprocess.Popen(  # noqa: S603  # the two commands above
        [sys.executable, *command], pass_fds=(lock,), start_new_session=True, preexec_fn=_die_with_parent
    )


def _die_with_parent() -> None:
    """Should we be killed, the kernel tells the child to stop (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait(server: subprocess.Popen[bytes]) -> None:
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def main() -> None:
    try:
        lock = prepare()
    except (SettingError, CommandError) as error:
        sys.exit(f"console: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stdout.flush()
    sys.exit(serve(lock))


if __name__ == "__main__":
    main()
