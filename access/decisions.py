"""Who may reach what, until when, and why. Everything that lets somebody through asks here, and nothing else decides.

Deny is the default: there must be a role or a grant that says yes, now, for an account and a resource as the
database has them. Levels open nothing: an administrator needs a role like everybody, and an auditor reaches nothing.

`decide` answers for one account and one resource; `reachable_by` and `people_reaching` are the same for lists. A
test draws roles, rules and grants and holds the three to each other.
"""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Case, F, Q, QuerySet, Value, When

from access.matching import any_of, fits, opened_by, rules_for, with_conditions
from access.models import Attachment, Grant, Rule
from accounts.models import Account
from accounts.policy import Level
from resources.models import Resource

logger = logging.getLogger(__name__)

# Whoever reviews what others did does nothing themselves. A level that is not here reaches nothing.
REACHING_LEVELS = (Level.ADMIN, Level.USER)


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
    ENDED = "ended", "The temporary access to this resource has ended."
    ERROR = "error", "Whether this is allowed could not be decided, so it is refused."


@dataclass(frozen=True, slots=True)
class Way:
    """One reason why somebody reaches a resource: a role they have, or a grant. `rule` is None where a grant names
    the resource itself."""

    rule: Rule | None
    grant: Grant | None

    @property
    def until(self) -> dt.datetime | None:
        return self.grant.ends_at if self.grant else None

    def __str__(self) -> str:
        role = f"role {self.rule.role.name}" if self.rule else ""
        if self.grant is None:
            return role
        return f"{f'{role}, ' if role else ''}temporary access until {_moment(self.grant.ends_at)}"


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed when nothing refuses. `until` is when the last way ends; None where one does not end by itself."""

    refusal: Refusal | None
    sentence: str
    ways: Sequence[Way] = ()

    @property
    def allowed(self) -> bool:
        return self.refusal is None

    @property
    def until(self) -> dt.datetime | None:
        ends = [way.until for way in self.ways]
        return None if None in ends else max((end for end in ends if end), default=None)


def decide(*, account: Account, resource: Resource, at: dt.datetime) -> Decision:
    """Whether `account` may reach `resource` at this moment. Only their ids are taken from what is handed in.

    Never raises: what cannot be decided is refused, and stands in the log of the process.
    """
    try:
        return _decide(account.pk, resource.pk, at)
    except Exception:  # whatever went wrong must not open anything
        logger.exception("Whether %s may reach %s could not be decided.", account.pk, resource.pk)
        return _refused(Refusal.ERROR)


def _decide(account_id: str, resource_id: str, at: dt.datetime) -> Decision:
    account = Account.objects.filter(pk=account_id).first()
    if refusal := _refuses_account(account):
        return _refused(refusal)
    resource = Resource.objects.filter(pk=resource_id).first()
    if resource is None:
        return _refused(Refusal.RESOURCE_UNKNOWN)
    if resource.cluster_id is None:
        return _refused(Refusal.NO_CLUSTER)
    found = ways([account_id], resource, at).get(account_id)
    if found:
        return Decision(None, f"Allowed by {'; '.join(map(str, found))}.", tuple(found))
    return _nothing_opens(account_id, resource, at)


def _refuses_account(account: Account | None) -> Refusal | None:
    if account is None:
        return Refusal.ACCOUNT_UNKNOWN
    if not account.is_active:
        return Refusal.SUSPENDED
    return None if account.level in REACHING_LEVELS else Refusal.LEVEL


def _nothing_opens(account_id: str, resource: Resource, at: dt.datetime) -> Decision:
    """What is told to somebody who would have access at another time: the next, or else the last."""
    given = Grant.objects.filter(account=account_id, ends_at__gt=F("starts_at"))
    grants = given.filter(_opening(resource, given.filter(role__isnull=False).values("role")))
    if upcoming := grants.filter(starts_at__gt=at).order_by("starts_at").first():
        return _refused(Refusal.NOT_BEGUN, f"It begins at {_moment(upcoming.starts_at)}.")
    if ended := grants.filter(ends_at__lte=at).order_by("-ends_at").first():
        return _refused(Refusal.ENDED, f"It ended at {_moment(ended.ends_at)}.")
    return _refused(Refusal.NO_ACCESS)


def _refused(refusal: Refusal, more: str = "") -> Decision:
    return Decision(refusal, f"{refusal.sentence} {more}".rstrip())


def _moment(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def _opening(resource: Resource, roles: QuerySet[Any, Any]) -> Q:
    """The grants that name the resource, or one of `roles` where that opens it."""
    return Q(resource=resource.pk) | Q(role__in=rules_for(resource).filter(role__in=roles).values("role"))


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
    roles = set(rules_for(stored).values_list("role", flat=True))
    attached = Attachment.objects.filter(role__in=roles).values("account")
    granted = Grant.objects.holding(at).filter(Q(resource=stored.pk) | Q(role__in=roles)).values("account")
    return Account.objects.filter(
        Q(pk__in=attached) | Q(pk__in=granted), is_active=True, level__in=REACHING_LEVELS
    )


def ways(account_ids: Sequence[str], resource: Resource, at: dt.datetime) -> Mapping[str, list[Way]]:
    """By account id, all that opens `resource` to them, standing roles first. Three queries, however many they are.

    Whether an account is suspended, or its level reaches nothing, is not looked at.
    """
    attached = Attachment.objects.filter(account__in=account_ids).order_by("created_at", "pk")
    members = list(attached.values_list("account_id", "role_id"))
    named = Q(resource=resource.pk) | Q(role__isnull=False)
    holding = Grant.objects.holding(at).filter(named, account__in=account_ids)
    grants = list(holding.order_by("-ends_at", "pk"))
    roles = {role for _, role in members} | {grant.role_id for grant in grants if grant.role_id}
    rules: defaultdict[str, list[Rule]] = defaultdict(list)
    for rule in rules_for(resource).filter(role__in=roles).select_related("role"):
        rules[rule.role_id].append(rule)
    found: defaultdict[str, list[Way]] = defaultdict(list)
    for account_id, role_id in members:
        found[account_id] += [Way(rule, None) for rule in rules[role_id]]
    for grant in grants:
        through = rules[grant.role_id] if grant.role_id else [None]
        found[grant.account_id] += [Way(rule, grant) for rule in through]
    return found


def ways_of(account: Account, resource_ids: Sequence[str], at: dt.datetime) -> Mapping[str, list[Way]]:
    """By resource id, all that opens it to `account`, standing roles first. Six queries, however many there are.

    As with `ways`, whether anything is open to them at all is not looked at.
    """
    attached = set(Attachment.objects.filter(account=account.pk).values_list("role_id", flat=True))
    grants = list(Grant.objects.holding(at).filter(account=account.pk).order_by("-ends_at", "pk"))
    roles = attached | {grant.role_id for grant in grants if grant.role_id}
    rules = list(with_conditions(Rule.objects.filter(role__in=roles)).select_related("role"))
    found: defaultdict[str, list[Way]] = defaultdict(list)
    for resource_id, *answers in _fitting(resource_ids, rules):
        fitting = [rule for rule, fit in zip(rules, answers, strict=True) if fit]
        found[resource_id] += [Way(rule, None) for rule in fitting if rule.role_id in attached]
        for grant in grants:
            if grant.resource_id == resource_id:
                found[resource_id].append(Way(None, grant))
            found[resource_id] += [Way(rule, grant) for rule in fitting if rule.role_id == grant.role_id]
    return found


def _fitting(resource_ids: Sequence[str], rules: Sequence[Rule]) -> Iterable[tuple[Any, ...]]:
    """For each resource its id, and for each rule whether it opens it."""
    columns = {
        f"rule_{index}": Case(When(fits(rule), then=Value(True)), default=Value(False))
        for index, rule in enumerate(rules)
    }
    return Resource.objects.filter(pk__in=resource_ids).annotate(**columns).values_list("pk", *columns)
