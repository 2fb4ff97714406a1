from typing import Any

from django.db.models import IntegerField, QuerySet, Subquery


class RowCount(Subquery):
    """How many rows there are, to a limit, as a column of another query: many counts are one question then."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()
    empty_result_set_value: Any = 0

    def __init__(self, rows: QuerySet[Any, Any], limit: int | None = None) -> None:
        super().__init__(rows.order_by().values("pk")[:limit])
