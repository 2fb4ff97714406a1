"""Whom workers refused by themselves: a ticket, a certificate or a proof that is not good, or too many sessions.

What a worker is told of is a stranger's, and what it tells is a worker's. Activities are kept for good: a worker leaves
most of a flood out and says how many, and here no worker has more than its share.
"""

import datetime as dt
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from accounts.models import Account
from audit.context import Source, acting_from
from audit.models import Activity
from audit.services import record
from audit.verbs import Verb
from clusters.models import Worker
from resources.models import Resource

logger = logging.getLogger(__name__)

_SESSION_ID = re.compile(r"s-[0-9a-f]{16}", re.ASCII)
_HOUR = 3600
AN_HOUR_AT_MOST = 2_000
_MOST_LEFT_OUT = 2**53


@dataclass(frozen=True, slots=True)
class Refusal:
    # Of the session that there is not: told twice, it is stored once.
    id: str
    at: dt.datetime
    reason: str
    words: str
    account_id: str
    resource_id: str
    worker_id: str
    client_address: str | None
    left_out: int


def refusals_store(*, worker: Worker, refusals: Sequence[Refusal]) -> None:
    """As activities. The worker is the one that delivers, perhaps what another one has left."""
    told = {refusal.id: refusal for refusal in refusals if _SESSION_ID.fullmatch(refusal.id)}
    if not told:
        return
    with transaction.atomic():
        # The same portion twice at once would not find itself.
        Worker.objects.select_for_update(no_key=True).filter(pk=worker.pk).first()
        new = _within_share(worker, _not_stored(told))
        accounts = Account.objects.in_bulk({refusal.account_id for refusal in new})
        own = Resource.objects.filter(cluster=worker.cluster_id)
        resources = own.in_bulk({refusal.resource_id for refusal in new})
        for refusal in new:
            with acting_from(Source(refusal.client_address, "sdm")):
                _record(refusal, accounts.get(refusal.account_id), resources.get(refusal.resource_id))


def _not_stored(told: dict[str, Refusal]) -> list[Refusal]:
    moments = {refusal.at for refusal in told.values()}
    stored = Activity.objects.filter(verb=Verb.ACCESS_REFUSED.value, created_at__in=moments)
    known = {(after or {}).get("session") for after in stored.values_list("after", flat=True)}
    return [refusal for refusal in told.values() if refusal.id not in known]


def _within_share(worker: Worker, refusals: list[Refusal]) -> list[Refusal]:
    key = f"refusals:{worker.pk}:{timezone.now():%Y%m%d%H}"
    so_far = cache.get(key, 0)
    taken = refusals[: max(0, AN_HOUR_AT_MOST - so_far)]
    if taken:
        cache.set(key, so_far + len(taken), _HOUR)
    if len(taken) < len(refusals):
        logger.warning("Worker %s tells of %d refusals too many", worker.pk, len(refusals) - len(taken))
    return taken


def _record(refusal: Refusal, account: Account | None, resource: Resource | None) -> None:
    after: dict[str, object] = {
        "reason": refusal.reason,
        "words": refusal.words,
        "worker": refusal.worker_id,
        "session": refusal.id,
    }
    if refusal.left_out:
        after["not recorded before it"] = min(refusal.left_out, _MOST_LEFT_OUT)
    record(
        actor=account,
        verb=Verb.ACCESS_REFUSED,
        entity=resource,
        # Another cluster's, or none: what was asked for is all there is to say.
        entity_name="" if resource else refusal.resource_id,
        after=after,
        outcome=Activity.Outcome.DENIED,
        # A clock that is ahead would put it on top of every list.
        at=min(refusal.at, timezone.now()),
    )
