"""Migration steps that only one of the two databases needs."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import StateApps


def trigram_index(table: str, column: str) -> list[Operation]:
    """An index for "contains" on PostgreSQL. SQLite has none of its kind and scans; `benchmarks/` tells how fast."""
    name = f"{table}_{column}_trigram"

    def create(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        if schema_editor.connection.vendor == "postgresql":
            # A trusted extension: the database's owner may create it.
            schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            schema_editor.execute(f'CREATE INDEX "{name}" ON "{table}" USING gin ("{column}" gin_trgm_ops)')

    def drop(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        if schema_editor.connection.vendor == "postgresql":
            # The extension stays: other indexes may stand on it.
            schema_editor.execute(f'DROP INDEX "{name}"')

    return [migrations.RunPython(create, drop)]
