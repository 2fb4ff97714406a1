"""Whether live sessions may go on, asked by the worker that holds them whenever who may reach what has changed."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from django.utils import timezone

from access.decisions import Decision, Refusal, decide_many
from audit.sessions import ended_sessions
from clusters.models import Worker
from logins.models import ClientLogin
from logins.selectors import LoginOver, login_of_session
from resources.models import Resource
from sdm.contract.endings import Ending

_ENDINGS = {
    Refusal.SUSPENDED: Ending.SUSPENDED,
    # Gone in this very moment.
    Refusal.RESOURCE_UNKNOWN: Ending.RESOURCE_GONE,
    Refusal.NO_CLUSTER: Ending.RESOURCE_GONE,
    Refusal.ENDED: Ending.ACCESS_OVER,
}

# No session outlives the grant that it is by for longer; a minute more, for clocks that differ.
_OUTLIVED = dt.timedelta(minutes=1)
_DETACHED = "The resource was detached from its proxy cluster."


@dataclass(frozen=True, slots=True)
class Live:
    session_id: str
    account_id: str
    resource_id: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class Verdict:
    session_id: str
    # None while it may go on.
    ending: Ending | None
    message: str = ""
    ends_at: dt.datetime | None = None


def verdicts(*, worker: Worker, sessions: Sequence[Live]) -> Sequence[Verdict]:
    """In their order. Where access cannot be decided there is none, and it is asked for again: nobody is cut for a
    fault of ours, and the others are told what concerns them."""
    now = timezone.now()
    own = set(
        Resource.objects.filter(
            cluster=worker.cluster_id, pk__in={live.resource_id for live in sessions}
        ).values_list("pk", flat=True)
    )
    detached = set(
        Resource.objects.filter(
            cluster=None, pk__in={live.resource_id for live in sessions} - own
        ).values_list("pk", flat=True)
    )
    ended = ended_sessions([live.session_id for live in sessions])

    decisions = decide_many({(live.account_id, live.resource_id) for live in sessions}, now)

    # Many sessions of few machines: each is looked up once.
    @cache
    def login(account_id: str, thumbprint: str) -> ClientLogin | LoginOver:
        try:
            return login_of_session(account_id, thumbprint)
        except LoginOver as over:
            return over

    found = (_verdict(live, own, detached, ended, decisions, login, now) for live in sessions)
    return [verdict for verdict in found if verdict is not None]


def _verdict(
    live: Live,
    own: Collection[str],
    detached: Collection[str],
    ended: Mapping[str, str],
    decisions: Mapping[tuple[str, str], Decision],
    login: Callable[[str, str], ClientLogin | LoginOver],
    now: dt.datetime,
) -> Verdict | None:
    # First: of what is another cluster's, a worker learns nothing but this.
    if live.resource_id in detached:
        return Verdict(live.session_id, Ending.RESOURCE_GONE, _DETACHED)
    if live.resource_id not in own:
        return Verdict(live.session_id, Ending.RESOURCE_GONE, Ending.RESOURCE_GONE.sentence)
    if live.session_id in ended:
        return Verdict(live.session_id, Ending.ENDED_BY_ADMINISTRATOR, ended[live.session_id])
    found = login(live.account_id, live.thumbprint)
    if isinstance(found, LoginOver):
        return Verdict(live.session_id, found.ending, str(found))
    decided = decisions[live.account_id, live.resource_id]
    if decided.refusal is Refusal.ERROR:
        return None
    if decided.refusal is not None:
        return _over(live, decided.refusal, decided, now)
    ends_at = min(found.ends_at, decided.until or found.ends_at)
    return Verdict(live.session_id, None, ends_at=ends_at)


def _over(live: Live, refusal: Refusal, decided: Decision, now: dt.datetime) -> Verdict:
    """They had access: that they have none is for who asks for the first time, and so is a grant from before."""
    by_something_else = decided.ended_at is not None and decided.ended_at < now - _OUTLIVED
    if refusal is Refusal.NO_ACCESS or by_something_else:
        return Verdict(live.session_id, Ending.ACCESS_REMOVED, Ending.ACCESS_REMOVED.sentence)
    return Verdict(live.session_id, _ENDINGS.get(refusal, Ending.ACCESS_REMOVED), decided.sentence)
