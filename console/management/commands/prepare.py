"""`manage.py prepare`: everything between a new version of the code and a console that can serve it."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import connection

from accounts.setup import setup_path
from console import database, first_run
from sealing import keyring


class Command(BaseCommand):
    help = "Migrate the database, collect static files, and say where the console is."
    # They would look at a database that may not be there; `migrate` runs the ones that matter.
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.set_defaults(verbosity=0)

    def handle(self, *args: Any, **options: Any) -> None:
        check_sealing_keys()
        if problem := database.problem():
            raise CommandError(problem)
        verbosity = options["verbosity"]
        call_command("migrate", interactive=False, verbosity=verbosity)
        call_command("createcachetable", verbosity=verbosity)
        # Sessions that have ended are of use to nobody; a start is often enough to sweep them away.
        call_command("clearsessions", verbosity=verbosity)
        call_command("collectstatic", interactive=False, verbosity=verbosity)
        for line in notice():
            self.stdout.write(line)
        connection.close()


def check_sealing_keys() -> None:
    """Now, and not when somebody types the first credential."""
    try:
        keyring.load()
    except keyring.KeyringError as error:
        raise CommandError(str(error)) from error


def notice() -> list[str]:
    """Where the data is, where the console is, and what a first administrator opens."""
    lines = [
        f"Data        {settings.DATA_DIR}",
        f"Database    {database.description()}",
        f"Console     {settings.CONSOLE_URL}/",
    ]
    where = first_run.listen()
    if where.everywhere and where.url == settings.CONSOLE_URL:
        lines.append("            To reach it from other machines, set CONSOLE_URL to the address they use.")
    if path := setup_path():
        lines += [
            "",
            "There is no administrator yet. To become the first one, open this address; it works once:",
        ]
        lines += ["", f"    {settings.CONSOLE_URL}{path}", ""]
    return lines
