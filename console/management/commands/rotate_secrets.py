"""`manage.py rotate_secrets`: a new key for secrets at rest, and everything sealed again with it."""

import argparse
import time
from typing import Any

from django.core.management import BaseCommand, CommandError

from audit.services import record
from audit.verbs import Verb
from sealing import keyring, rotation

# A request that began before the current key was made may still write with an older one.
SETTLED_AFTER = 600

BY_HAND = """\
The keys are in CONSOLE_SEALING_KEYS, which this command cannot change. To rotate by hand:
  1. Take a new key from `manage.py rotate_secrets --print-key`.
  2. Put it last in CONSOLE_SEALING_KEYS of every process, with a space before it, and
     restart them: all can open with it now.
  3. Move it to the front and restart them again: all seal with it now.
  4. Run `manage.py rotate_secrets`, which seals everything again.
  5. Take away the old keys that it names. Backups made before need them: keep them with those."""


class Command(BaseCommand):
    help = (
        "Make a new sealing key and seal everything again with it. Old keys stay until --prune, because "
        "backups need them. When it ends half-way, run it again: it goes on."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        only = parser.add_mutually_exclusive_group()
        only.add_argument("--dry-run", action="store_true", help="say what would be done and change nothing")
        only.add_argument(
            "--new-key", action="store_true", help="make a new key even while older ones seal something"
        )
        only.add_argument(
            "--prune", action="store_true", help="remove old keys that seal nothing any more, and do no more"
        )
        only.add_argument("--print-key", action="store_true", help="print a new key for CONSOLE_SEALING_KEYS")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["print_key"]:
                self.stdout.write(keyring.new_line())
            elif options["prune"]:
                self._prune()
            else:
                self._rotate(dry_run=options["dry_run"], new_key=options["new_key"])
        except keyring.KeyringError as error:
            raise CommandError(str(error)) from None

    def _rotate(self, *, dry_run: bool, new_key: bool) -> None:
        left = rotation.outstanding()
        new_key = new_key or not left
        if new_key and keyring.in_environment():
            self.stdout.write(f"The current key is “{keyring.load().current.id}”. {BY_HAND}")
            return self._tell_unused()
        if not new_key:
            self.stdout.write(f"{left:,} values are sealed with older keys. They come first.")
        if dry_run:
            return self._tell_plan(new_key=new_key)
        if new_key:
            self._make_key()
        self._reseal()
        return self._tell_unused()

    def _make_key(self) -> None:
        key = keyring.add_key()
        record(actor=None, verb=Verb.SEALING_KEY_CREATED, entity_name=key.id)
        self.stdout.write(
            f"New key “{key.id}” in {keyring.key_file()}. Back it up, away from the database's backups."
        )

    def _tell_plan(self, *, new_key: bool) -> None:
        if new_key:
            self.stdout.write(f"Would put a new key into {keyring.key_file()}.")
        for store in rotation.stores():
            count = store.count(except_key="" if new_key else keyring.load().current.id)
            self.stdout.write(f"Would seal again: {count:,} {store.name}.")

    def _reseal(self) -> None:
        resealed, problems = 0, []
        for store in rotation.stores():
            for outcome in rotation.reseal(store):
                self.stdout.write(f"{store.name}: {outcome.resealed:,} sealed again")
            resealed += outcome.resealed
            problems += outcome.problems
        if resealed:
            after = {"key": keyring.load().current.id, "count": resealed}
            record(actor=None, verb=Verb.SECRETS_RESEALED, after=after)
        for problem in problems:
            self.stderr.write(problem)
        if problems:
            raise CommandError(f"{len(problems):,} values were left as they are, because they do not open.")
        if left := rotation.outstanding():
            self.stdout.write(f"{left:,} values were written meanwhile with an older key. Run this again.")

    def _prune(self) -> None:
        unused = rotation.unused_keys()
        if not unused:
            self.stdout.write(
                "There is no key that could go: each is the current one or still seals something."
            )
            return
        if keyring.in_environment():
            self._tell_unused()
            return
        if time.time() - keyring.changed_at() < SETTLED_AFTER:
            raise CommandError(
                "The keys were changed less than ten minutes ago, and older ones may still be in use. "
                "Try again later."
            )
        keyring.remove_keys(unused)
        record(actor=None, verb=Verb.SEALING_KEYS_REMOVED, after={"keys": sorted(unused)})
        self.stdout.write(
            f"Removed {', '.join(sorted(unused))} from {keyring.key_file()}. Backups made before need them."
        )

    def _tell_unused(self) -> None:
        if unused := rotation.unused_keys():
            how = (
                "Take them out of CONSOLE_SEALING_KEYS"
                if keyring.in_environment()
                else "`--prune` removes them"
            )
            self.stdout.write(f"Nothing is sealed any more with {', '.join(sorted(unused))}. {how}.")
