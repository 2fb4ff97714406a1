"""Migration steps that only one of the two databases needs."""

from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import StateApps


def trigram_index(table: str, column: str) -> list[Operation]:
    """An index for "contains" on PostgreSQL. SQLite has none of its kind and scans; `benchmarks/` tells how fast."""
    name = f"{table}_{column}_trigram"

    def create(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f'CREATE INDEX "{name}" ON "{table}" USING gin ("{column}" gin_trgm_ops)')

    def drop(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f'DROP INDEX "{name}"')

    # The extension does nothing on other databases. It is a trusted one: the database's owner may create it.
    return [TrigramExtension(), migrations.RunPython(create, drop)]
