"""Reading what was recorded. Nothing is ever thrown away, so every question here is answered from an index."""

from audit.models import Activity
from audit.verbs import Verb

# Acts after which a form that was opened before them is stale.
_UPDATES = [verb for verb in Verb if not verb.endswith((" created", " deleted"))]


def changes_since(entity_id: str, count: int) -> list[Activity]:
    """The last `count` changes of an entity, newest first: what somebody missed whose form is `count` versions old."""
    rows = Activity.objects.filter(entity_id=entity_id, outcome=Activity.Outcome.DONE, verb__in=_UPDATES)
    return list(rows.order_by("-created_at", "-pk")[: max(count, 0)])
