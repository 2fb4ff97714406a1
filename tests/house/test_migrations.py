"""Migrations go forward on an empty database in every other test; here they go back, and forward again."""

import pytest
from django.core.management import call_command

OURS = ("resources", "keys", "clusters", "authority")


@pytest.mark.django_db(transaction=True)
def test_every_migration_can_be_undone():
    try:
        for app in OURS:
            call_command("migrate", app, "zero", verbosity=0)
    finally:
        call_command("migrate", verbosity=0)
