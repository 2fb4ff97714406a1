"""`manage.py rotate_ticket_keys`: another key to sign tickets with."""

import argparse
from typing import Any

from django.core.management import BaseCommand

from authority.ticket_keys import KNOWN_AFTER, rotate


class Command(BaseCommand):
    help = (
        "Make a new key for tickets. Workers are told of it at once, and it signs ten minutes later; the old one is "
        "accepted until its last ticket is over. Nobody notices."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--at-once",
            action="store_true",
            help="the old key is in somebody else's hands: let the new one sign now, and believe the old one no more",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        key = rotate(at_once=options["at_once"])
        if options["at_once"]:
            self.stdout.write(f"{key.pk} signs from now on. Tickets of older keys open nothing any more.")
        else:
            minutes = int(KNOWN_AFTER.total_seconds() // 60)
            self.stdout.write(f"{key.pk} signs in {minutes} minutes. The old key goes by itself.")
