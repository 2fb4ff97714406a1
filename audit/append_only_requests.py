"""The database's own guard of the request log: what a query or a session was is written once.

How a query ended is added, once; how a session ended may be told better by its worker than by us. Rows are removed by
retention (`audit.retention`), so the database lets them go.
"""

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_NAME = "append_only"
_FUNCTION = "request_log_append_only"
# What never changes, of each table. A migration from before some of them were there guards the others.
_COLUMNS = {
    "audit_session": "id, account_id, account_name, resource_id, resource_name, kind, cluster_id, cluster_name, "
    "worker_id, client_address, started_at",
    "audit_query": "id, session_id, number, account_id, resource_id, cluster_id, kind, started_at, text, text_rest, "
    "text_length, is_cut, parameters, parameters_cut, parameters_total, parameters_last_length",
}
_HAS_ENDED = "OLD.microseconds IS NOT NULL"


def guard(schema_editor: BaseDatabaseSchemaEditor) -> None:
    is_sqlite = schema_editor.connection.vendor == "sqlite"
    if not is_sqlite:
        schema_editor.execute(
            f"CREATE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
            "'the request log is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$",
            params=None,
        )
    body = (
        "BEGIN SELECT RAISE(ABORT, 'the request log is append-only'); END"
        if is_sqlite
        else f"EXECUTE FUNCTION {_FUNCTION}()"
    )
    for table in _COLUMNS:
        name, columns = f"{table}_{_NAME}", _columns(schema_editor, table)
        schema_editor.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE OF {columns} ON {table} FOR EACH ROW {body}", params=None
        )
    name, table = f"audit_query_{_NAME}_once", "audit_query"
    schema_editor.execute(
        f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({_HAS_ENDED}) {body}", params=None
    )


def _columns(schema_editor: BaseDatabaseSchemaEditor, table: str) -> str:
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        found = {column.name for column in connection.introspection.get_table_description(cursor, table)}
    return ", ".join(column for column in _COLUMNS[table].split(", ") if column in found)


def lift(schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor != "sqlite":
        schema_editor.execute(f"DROP FUNCTION {_FUNCTION} CASCADE", params=None)
        return
    for name in (*(f"{table}_{_NAME}" for table in _COLUMNS), f"audit_query_{_NAME}_once"):
        schema_editor.execute(f"DROP TRIGGER {name}", params=None)
