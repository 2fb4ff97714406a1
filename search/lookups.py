"""`column__wildcard=Pattern(…)`: the whole column fits the pattern, case counts, on every database alike.

Django's own lookups do not serve. SQLite's LIKE takes ASCII letters of both cases as equal and no others, and
`icontains` compares what each database's UPPER() makes of the two sides. So case is folded before it comes
here, into a column of its own, and the comparison is GLOB on SQLite and LIKE on PostgreSQL, where a trigram
index on the plain column serves it.
"""

import re
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Lookup
from django.db.models.sql.compiler import SQLCompiler
from django.db.utils import NotSupportedError

from search.grammar import Pattern


class Wildcard(Lookup):
    rhs: Pattern
    lookup_name = "wildcard"
    prepare_rhs = False  # the column's own conversion would print the pattern

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[str | int, ...]]:
        raise NotSupportedError(f"Searching works on SQLite and PostgreSQL, not on {connection.vendor}.")

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        column, params = self.process_lhs(compiler, connection)
        return f"{column} GLOB %s", (*params, glob(self.rhs))

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        column, params = self.process_lhs(compiler, connection)
        return f"{column} LIKE %s", (*params, like(self.rhs))


def glob(pattern: Pattern) -> str:
    """GLOB has no escape character; a class of one is the way to say a special character."""
    return "*".join(re.sub(r"[*?[]", r"[\g<0>]", part) for part in pattern.parts)


def like(pattern: Pattern) -> str:
    return "%".join(re.sub(r"[%_\\]", r"\\\g<0>", part) for part in pattern.parts)


def can_be_stored(pattern: Pattern) -> bool:
    """PostgreSQL has no NUL in a text, and half of a surrogate pair has no encoding."""
    return not re.search("[\0\ud800-\udfff]", pattern.text)
