"""Whether the database answers, and what it is called, in words that hold no password."""

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection


def description() -> str:
    """Such as `SQLite, /srv/console/console.sqlite3` or `PostgreSQL, console at db.example.com:5432`."""
    if connection.vendor == "sqlite":
        return f"SQLite, {connection.settings_dict['NAME']}"
    where = connection.settings_dict
    return f"PostgreSQL, {where['NAME']} at {where['HOST'] or 'the local socket'}:{where['PORT'] or 5432}"


def problem() -> str | None:
    """Why the database cannot be used, as one sentence; None when it can."""
    try:
        _connect()
    except (DatabaseError, psycopg.OperationalError, ImproperlyConfigured) as error:
        return f"DATABASE_URL: {description()} does not answer: {_first_line(error)}."
    return None


def _connect() -> None:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM sqlite_master")
        return
    # Without the pool, which would try again and again and keep the reason to itself.
    psycopg.connect(**connection.get_connection_params()).close()


def _first_line(error: Exception) -> str:
    """The driver's reason without its hints, and without the password, should it ever repeat it."""
    reason = str(error).strip().partition("\n")[0].rstrip(".")
    password = str(connection.settings_dict["PASSWORD"] or "")
    return reason.replace(password, "…") if password else reason
