"""`python -m console`: make what the first start needs, bring the database up to date, then serve.

`./dev run` ends here, and so does the container. The process looks after two others, gunicorn with the console's
pages and the API that workers connect to: whoever started it has one process to signal and to wait for.
"""

import io
import os
import sys

import django
from django.core.management import CommandError, call_command

from console import first_run
from console.env import SettingError
from console.processes import serve


def prepare(*, quiet: bool = False) -> int:
    """What has to be there, and where it is; gives the lock of the data directory."""
    os.umask(0o077)  # the database holds what only the console should read
    first_run.check()
    where, directory = first_run.listen(), first_run.data_directory()
    lock = first_run.hold(directory, where)
    first_run.make_secrets(directory)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    os.environ.setdefault("CONSOLE_URL", where.url)
    django.setup()
    call_command("prepare", **({"stdout": io.StringIO()} if quiet else {}))
    return lock


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
