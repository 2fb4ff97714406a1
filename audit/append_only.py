"""The database's own guard: rows of the log can be added and read, not changed or removed.

Whoever owns the tables can lift it, and emptying a table whole is another thing than removing rows: give the
console a database role without TRUNCATE and without ownership where that matters.
"""

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SQLITE = [
    f"""
    CREATE TRIGGER activity_no_{act} BEFORE {act.upper()} ON audit_activity
    BEGIN SELECT RAISE(ABORT, 'activities are append-only'); END
    """
    for act in ("update", "delete")
]
POSTGRESQL = [
    """
    CREATE FUNCTION activity_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'activities are append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$
    """,
    """
    CREATE TRIGGER activity_append_only BEFORE UPDATE OR DELETE ON audit_activity
    FOR EACH ROW EXECUTE FUNCTION activity_append_only()
    """,
]


def guard(schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL:
        schema_editor.execute(statement, params=None)


def lift(schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER activity_no_update", params=None)
        schema_editor.execute("DROP TRIGGER activity_no_delete", params=None)
    else:
        schema_editor.execute("DROP FUNCTION activity_append_only CASCADE", params=None)
