"""`python -m console`: make what the first start needs, bring the database up to date, then serve.

`./dev run` ends here, and so does the container. The process becomes gunicorn's master, so whoever
started it has one process to signal and to wait for.
"""

import os
import sys

import django
from django.core.management import CommandError, call_command

from console import first_run
from console.env import SettingError

SERVER = ("-m", "gunicorn", "--config", "python:console.gunicorn", "console.wsgi")


def prepare() -> None:
    os.umask(0o077)  # the database holds what only the console should read
    first_run.check()
    where, directory = first_run.listen(), first_run.data_directory()
    lock = first_run.hold(directory, where)
    os.set_inheritable(lock, True)  # held until the server that this process becomes has gone
    first_run.make_secrets(directory)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    os.environ.setdefault("CONSOLE_URL", where.url)
    django.setup()
    call_command("prepare")


def main() -> None:
    try:
        prepare()
    except (SettingError, CommandError) as error:
        sys.exit(f"console: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *SERVER])  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main()
