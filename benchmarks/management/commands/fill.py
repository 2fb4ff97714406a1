"""`manage.py fill large`: rows for the benchmark, unless they are there, and as JSON how its pages are reached."""

import argparse
import json
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, call_command
from django.db import connection, models, transaction
from django.test import Client

from accounts.models import Account
from accounts.policy import Level
from audit.models import Activity
from benchmarks.pages import pages
from benchmarks.rows import SIZES, Row, Rows
from clusters.models import Cluster, ClusterTag, Worker
from resources.models import Resource, ResourceTag

ACCOUNT = "a-0000000000000001"
BATCH = 10_000


class Command(BaseCommand):
    help = "Fill the database for the benchmark of the console."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("size", choices=SIZES)

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        rows = Rows(SIZES[options["size"]], ACCOUNT)
        if connection.vendor == "sqlite":
            # Enough for all of it: what does not fit is written in the order in which indexes are filled.
            connection.cursor().execute("PRAGMA cache_size = -3000000")
        # One transaction: what was cut off has left nothing.
        with transaction.atomic():
            if not Account.objects.exists():
                self.fill(rows)
        tidy()
        self.stdout.write(json.dumps({"session": session(), "pages": pages(rows)}))

    def fill(self, rows: Rows) -> None:
        Account.objects.create(pk=ACCOUNT, email="alice@example.com", name="Alice", level=Level.ADMIN)
        load(Cluster, rows.cluster_rows())
        load(ClusterTag, rows.cluster_tags())
        load(Worker, rows.workers())
        load(Resource, rows.resource_rows())
        load(ResourceTag, rows.resource_tags())
        load(Activity, rows.activities())


def load(model: type[models.Model], rows: Iterable[Row]) -> None:
    """Put `rows` into the model's table. Columns that a row does not name hold the field's default."""
    rows = iter(rows)
    first = next(rows)
    constant = {
        field.column: field.get_db_prep_save(field.get_default(), connection)
        for field in model._meta.concrete_fields
        if field.column not in first and not isinstance(field, models.AutoField)
    }
    columns = ", ".join(f'"{column}"' for column in (*first, *constant))
    values = ((*row.values(), *constant.values()) for row in chain([first], rows))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN') as copy:
                for each in values:
                    copy.write_row(each)
        else:
            places = ", ".join(["%s"] * (len(first) + len(constant)))
            insert = f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({places})'  # noqa: S608
            while batch := list(islice(values, BATCH)):
                cursor.executemany(insert, batch)


def tidy() -> None:
    """What PostgreSQL's autovacuum would do in its own time."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def session() -> str:
    """The value of a cookie that is signed in."""
    client = Client()
    client.force_login(Account.objects.get(pk=ACCOUNT))
    return client.cookies[settings.SESSION_COOKIE_NAME].value
