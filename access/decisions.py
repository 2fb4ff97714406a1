"""Who may reach what, until when, and why. Everything that lets somebody through asks here, and nothing else decides.

Deny is the default: there must be a role or a grant that says yes, now, for an account and a resource as the
database has them. Levels open nothing: an administrator needs a role like everybody, and an auditor reaches nothing.

`decide` answers for one account and one resource, `decide_many` for many of both; `reachable_by` and `people_reaching`
are the same for lists. A test draws roles, rules and grants and holds them to each other.
"""

import datetime as dt
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from django.db.models import F, Q, QuerySet

from access.matching import any_of, opened_by, rules_for, with_conditions
from access.models import Attachment, Grant, Rule
from access.ways import Pair, Way, end_of, granted, moment, standing_and_granted, ways, ways_of, with_tags
from accounts.models import Account
from accounts.policy import Level
from resources.models import Resource

__all__ = [
    "Decision",
    "Refusal",
    "Way",
    "decide",
    "decide_many",
    "people_reaching",
    "reachable_by",
    "ways",
    "ways_of",
]

logger = logging.getLogger(__name__)

# Whoever reviews what others did does nothing themselves. A level that is not here reaches nothing.
REACHING_LEVELS = (Level.ADMIN, Level.USER)


# Whoever is refused is told of temporary access that ended up to so long ago.
_REMEMBERED = dt.timedelta(days=30)


class Refusal(StrEnum):
    """Why not, in a word that does not change. The sentence is for the person who was refused."""

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> "Refusal":
        refusal = str.__new__(cls, value)
        refusal._value_ = value
        refusal.sentence = sentence
        return refusal

    ACCOUNT_UNKNOWN = "account-unknown", "There is no such account."
    SUSPENDED = "suspended", "This account is suspended."
    LEVEL = "level", "Auditors reach no resources."
    RESOURCE_UNKNOWN = "resource-unknown", "This resource does not exist any more."
    NO_CLUSTER = "no-cluster", "This resource is attached to no proxy cluster, so nobody can reach it."
    NO_ACCESS = "no-access", "No role and no temporary access of this account opens this resource."
    NOT_BEGUN = "not-begun", "The temporary access to this resource has not begun."
    ENDED = "ended", "No role of this account opens this resource, and the temporary access to it has ended."
    ERROR = "error", "Whether this is allowed could not be decided, so it is refused."


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed when nothing refuses. `until` is when the last way ends; None where one does not end by itself."""

    refusal: Refusal | None
    sentence: str
    ways: Sequence[Way] = ()
    # Of `Refusal.ENDED`: when the last temporary access did. What somebody had since was by something else.
    ended_at: dt.datetime | None = None

    @property
    def allowed(self) -> bool:
        return self.refusal is None

    @property
    def until(self) -> dt.datetime | None:
        return end_of(self.ways)


def decide(*, account: Account, resource: Resource, at: dt.datetime) -> Decision:
    """Whether `account` may reach `resource` at this moment. Only their ids are taken from what is handed in.

    Never raises: what cannot be decided is refused, and stands in the log of the process.
    """
    pair = account.pk, resource.pk
    return decide_many([pair], at)[pair]


def decide_many(pairs: Collection[Pair], at: dt.datetime) -> Mapping[Pair, Decision]:
    """The same for many accounts and resources, by their ids, in as many queries as for one of each."""
    try:
        return _decide(pairs, at)
    except Exception:  # whatever went wrong must not open anything
        shown = ", ".join(f"{account} to {resource}" for account, resource in list(pairs)[:5])
        logger.exception("Access of %s could not be decided (%d in all).", shown, len(pairs))
        return dict.fromkeys(pairs, _refused(Refusal.ERROR))


def _decide(pairs: Collection[Pair], at: dt.datetime) -> Mapping[Pair, Decision]:
    accounts = Account.objects.in_bulk({account_id for account_id, _ in pairs})
    resources = with_tags({resource_id for _, resource_id in pairs})
    decisions: dict[Pair, Decision] = {}
    for account_id, resource_id in pairs:
        refusal = _refuses_account(accounts.get(account_id)) or _refuses_resource(resources.get(resource_id))
        if refusal:
            decisions[account_id, resource_id] = _refused(refusal)
    undecided = [pair for pair in pairs if pair not in decisions]
    found = standing_and_granted(undecided, resources, at) if undecided else {}
    for pair, some in found.items():
        if some:
            decisions[pair] = Decision(None, f"Allowed by {'; '.join(map(str, some))}.", tuple(some))
    closed = [pair for pair in undecided if pair not in decisions]
    if closed:
        decisions.update(_nothing_opens(closed, resources, at))
    return decisions


def _refuses_account(account: Account | None) -> Refusal | None:
    if account is None:
        return Refusal.ACCOUNT_UNKNOWN
    if not account.is_active:
        return Refusal.SUSPENDED
    return None if account.level in REACHING_LEVELS else Refusal.LEVEL


def _refuses_resource(resource: Resource | None) -> Refusal | None:
    if resource is None:
        return Refusal.RESOURCE_UNKNOWN
    return Refusal.NO_CLUSTER if resource.cluster_id is None else None


def _nothing_opens(
    pairs: Collection[Pair], resources: Mapping[str, Resource], at: dt.datetime
) -> Mapping[Pair, Decision]:
    """What is told to somebody who would have access at another time: the next, or else the last."""
    grants = Grant.objects.filter(
        account__in={account_id for account_id, _ in pairs},
        ends_at__gt=F("starts_at"),  # not ended before it began
    ).filter(ends_at__gt=at - _REMEMBERED)
    found = granted(pairs, resources, grants)
    return {pair: _at_another_time([way.grant for way in found[pair] if way.grant], at) for pair in pairs}


def _at_another_time(grants: Sequence[Grant], at: dt.datetime) -> Decision:
    if upcoming := min((grant.starts_at for grant in grants if grant.starts_at > at), default=None):
        return _refused(Refusal.NOT_BEGUN, f"It begins at {moment(upcoming)}.")
    if ended := max((grant.ends_at for grant in grants if grant.ends_at <= at), default=None):
        return replace(_refused(Refusal.ENDED, f"It ended at {moment(ended)}."), ended_at=ended)
    return _refused(Refusal.NO_ACCESS)


def _refused(refusal: Refusal, more: str = "") -> Decision:
    return Decision(refusal, f"{refusal.sentence} {more}".rstrip())


# --- The same for lists -------------------------------------------------------------------------


def reachable_by(account: Account, at: dt.datetime) -> QuerySet[Resource]:
    """The resources that `account` may reach at this moment. Takes five queries, and one for what is made of it."""
    stored = Account.objects.filter(pk=account.pk).first()
    if _refuses_account(stored):
        return Resource.objects.none()
    granted = Grant.objects.holding(at).filter(account=account.pk)
    rules = Rule.objects.filter(
        Q(role__in=Attachment.objects.filter(account=account.pk).values("role"))
        | Q(role__in=granted.filter(role__isnull=False).values("role"))
    )
    named = granted.filter(resource__isnull=False).values("resource")
    return Resource.objects.filter(any_of([*opened_by(with_conditions(rules)), named]), cluster__isnull=False)


def people_reaching(resource: Resource, at: dt.datetime) -> QuerySet[Account]:
    """The accounts that may reach `resource` at this moment. Takes two queries, and one for what is made of it."""
    stored = Resource.objects.filter(pk=resource.pk, cluster__isnull=False).first()
    if stored is None:
        return Account.objects.none()
    roles = set(rules_for([stored]).values_list("role", flat=True))
    attached = Attachment.objects.filter(role__in=roles).values("account")
    granted = Grant.objects.holding(at).filter(Q(resource=stored.pk) | Q(role__in=roles)).values("account")
    return Account.objects.filter(
        Q(pk__in=attached) | Q(pk__in=granted), is_active=True, level__in=REACHING_LEVELS
    )
