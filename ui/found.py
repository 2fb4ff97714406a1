"""What a search finds, counted to a limit, and a page of it: two queries, however much it is and wherever it stands.

The first gives the names on the page. Which of several ways leads to them soonest depends on how much is found, which
only the database knows by then: so the query has all of them, each to be taken where those before it led to no page.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import BooleanField, ExpressionWrapper, F, QuerySet, Subquery, Value
from django.http import QueryDict

from ui.pagination import PAGE_SIZE, M, Page, Place

# Of a search that finds more, nobody needs the number, and each further thousand would take as long as the page.
FOUND_TO = 1_000
# So many rows are looked at in the page's order before all that match are collected and sorted.
NEAR = 2_000
# So many are kept where finding can go on after it stopped to count.
KEPT = 10_000

_STATEMENT = """
WITH found (name, field, tie, ahead) AS ({found}),
total (number) AS (SELECT COUNT(*) FROM (SELECT 1 FROM found LIMIT {many}) AS counted),
way_0 (name) AS (SELECT name FROM found WHERE ahead AND {is_known} ORDER BY field {field}, tie {tie} LIMIT {size}),
{ways}
SELECT number, page.name FROM total LEFT JOIN ({names}) AS page ON 1 = 1"""
_FEW = "(SELECT number FROM total) < {many}"
_ALL_KEPT = """SELECT name FROM found WHERE ahead AND (SELECT COUNT(*) FROM found) < {kept}
    ORDER BY field {field}, tie {tie} LIMIT {size}"""
_COUNT = "(SELECT COUNT(*) FROM way_{})"
_NAMES = "SELECT name FROM way_{}"
# A limit says whether it is needed: databases look at that before the first row, and at conditions at each.
_WAY = """way_{number} (name) AS (
    SELECT * FROM ({rows}) AS rows LIMIT CASE
        WHEN (SELECT number FROM total) = {many} AND {before} < {size} THEN {size} ELSE 0 END
)"""


@dataclass(frozen=True, slots=True)
class Matches(Generic[M]):
    """The rows of a list that a search finds."""

    # The column that names them: indexed, and different in every row.
    name: str
    rows: QuerySet[M]
    # Those that match, in the form that finds all of them soonest, and in the one that asks each row by itself.
    collected: QuerySet[M]
    asked: QuerySet[M]
    # Whether it costs nothing to meet them in the order of the page.
    in_order: bool
    # Whether finding can stop, and go on where it stopped (PostgreSQL), and does not begin otherwise for more rows.
    resumes: bool

    def found(self, place: Place) -> QuerySet[M]:
        if self.in_order:
            return self.asked.order_by(*place.way.order())
        return self.collected.order_by()

    def ways(self, place: Place) -> Iterator[QuerySet[M]]:
        """To a page of many, the quickest way first and the surest last."""
        beyond, way = place.beyond, place.way
        if self.in_order:
            yield self.asked.filter(beyond).order_by(*way.order())
            return
        ahead = self.rows.filter(beyond).order_by(way.order()[0]).values(way.field)
        edge = Subquery(ahead[NEAR : NEAR + 1])
        yield self.asked.filter(beyond, way.until(edge)).order_by(*way.order())
        yield self.collected.filter(beyond).order_by(*way.order(collected=True))


def found_page(
    matches: Matches[M], query: QueryDict, *, field: str, unique: str, descending: bool, size: int = PAGE_SIZE
) -> Page[M]:
    """As `ui.pagination.paginate`."""
    place = Place.read(query, matches.rows.model, field=field, unique=unique, descending=descending)
    total, names = _look(matches, place, size + 1)
    if total and not names:
        # What stood behind the cursor is gone.
        place = place.first()
        total, names = _look(matches, place, size + 1)
    rows = matches.rows.filter(**{f"{matches.name}__in": names}).order_by(*place.way.order(collected=True))
    return place.page(list(rows[: size + 1]), size=size, total=total, counted_to=FOUND_TO)


def _look(matches: Matches[M], place: Place, size: int) -> tuple[int, list[str]]:
    """How many there are, to the limit, and the names of `size` from this place on, or of a few more."""
    try:
        statement, params = _composed(matches, place, size)
    except EmptyResultSet:  # no row can match
        return 0, []
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        answers = cursor.fetchall()
    return answers[0][0], [name for _, name in answers if name is not None]


def _composed(matches: Matches[M], place: Place, size: int) -> tuple[str, list[Any]]:
    way = place.way
    terms = {
        "many": FOUND_TO,
        "kept": KEPT,
        "size": size,
        "field": "DESC" if way.descending else "ASC",
        "tie": "DESC" if way.ties_descending else "ASC",
    }
    ways = [_compiled(rows.values_list(matches.name)[:size]) for rows in matches.ways(place)]
    if matches.resumes:
        ways.insert(-1, (_ALL_KEPT.format(**terms), []))
    found, params = _found(matches, place, KEPT if matches.resumes else FOUND_TO)
    statement = _STATEMENT.format(
        **terms,
        found=found,
        # Many are but some of them, and the first of them only if they were met in order.
        is_known="TRUE" if matches.in_order else _FEW.format(**terms),
        ways=",\n".join(
            _WAY.format(
                **terms, number=number, before=" + ".join(map(_COUNT.format, range(number))), rows=sql
            )
            for number, (sql, _) in enumerate(ways, 1)
        ),
        names=" UNION ".join(map(_NAMES.format, range(len(ways) + 1))),
    )
    return statement, sum((its_params for _, its_params in ways), params)


def _found(matches: Matches[M], place: Place, limit: int) -> tuple[str, list[Any]]:
    columns = {
        "found_name": F(matches.name),
        "found_field": F(place.way.field),
        "found_tie": F(place.way.unique),
        "found_ahead": ExpressionWrapper(place.beyond or Value(True), BooleanField()),
    }
    return _compiled(matches.found(place).annotate(**columns).values_list(*columns)[:limit])


def _compiled(rows: QuerySet[Any, Any]) -> tuple[str, list[Any]]:
    sql, params = rows.query.get_compiler(connection=connection).as_sql()
    return sql, list(params)
