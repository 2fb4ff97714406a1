"""What an account reaches, for the client on its machine."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from access.decisions import reachable_by
from access.ways import end_of, ways_of
from accounts.models import Account
from audit.sessions import recently_cut
from clusters.tags import tags_of
from resources.health import problems_of
from resources.models import Resource

# A message that carries more is not taken by clients, and nobody reads a list of more.
MAX_ENTRIES = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    resource: Resource
    tags: Mapping[str, str]
    ends_at: dt.datetime | None
    # The account's session with it that was ended by an administrator a moment ago; empty without one.
    cut_session_id: str
    # What a worker found at the last check; empty while it is healthy.
    health_problem: str


def entries(account: Account, at: dt.datetime) -> Sequence[Entry]:
    """By name. What is beyond the first entries can still be asked for by its id."""
    rows = reachable_by(account, at).select_related("cluster").prefetch_related("tags")
    resources = list(rows.order_by("name_folded", "pk")[:MAX_ENTRIES])
    ways = ways_of(account, [resource.pk for resource in resources], at)
    cut = recently_cut(account.pk)
    problems = problems_of([resource.pk for resource in resources if resource.healthy is False])
    return [
        Entry(
            row,
            tags_of(list(row.tags.all())),
            end_of(ways[row.pk]),
            cut.get(row.pk, ""),
            problems.get(row.pk, ""),
        )
        for row in resources
    ]
