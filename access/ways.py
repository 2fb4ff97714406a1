"""By what somebody reaches a resource: for many accounts and resources in as many queries as for one of each."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from access.matching import conditions_of, rules_for, with_conditions
from access.models import Attachment, Grant, Rule, RuleResource
from accounts.models import Account
from resources.models import Resource

# The ids of an account and a resource.
Pair = tuple[str, str]


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
        return f"{f'{role}, ' if role else ''}temporary access until {moment(self.grant.ends_at)}"


def end_of(ways: Iterable[Way]) -> dt.datetime | None:
    """When the last of them is closed; None when one stays open."""
    ends = [way.until for way in ways]
    return None if None in ends else max((end for end in ends if end), default=None)


def moment(when: dt.datetime) -> str:
    return f"{when.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def ways(account_ids: Sequence[str], resource: Resource, at: dt.datetime) -> Mapping[str, list[Way]]:
    """By account id, all that opens `resource` to them, standing roles first.

    Whether an account is suspended, its level reaches nothing, or the resource has no cluster, is not looked at.
    """
    stored = with_tags([resource.pk])
    found = standing_and_granted([(account_id, resource.pk) for account_id in account_ids], stored, at)
    return defaultdict(list, {account_id: some for (account_id, _), some in found.items()})


def ways_of(account: Account, resource_ids: Sequence[str], at: dt.datetime) -> Mapping[str, list[Way]]:
    """By resource id, all that opens it to `account`; the same else."""
    stored = with_tags(resource_ids)
    found = standing_and_granted([(account.pk, resource_id) for resource_id in resource_ids], stored, at)
    return defaultdict(list, {resource_id: some for (_, resource_id), some in found.items()})


def with_tags(resource_ids: Iterable[str]) -> Mapping[str, Resource]:
    return Resource.objects.prefetch_related("tags").in_bulk(list(resource_ids))


def standing_and_granted(
    pairs: Collection[Pair], resources: Mapping[str, Resource], at: dt.datetime
) -> Mapping[Pair, list[Way]]:
    """What opens each pair now. At most six queries, however many pairs there are."""
    account_ids = {account_id for account_id, _ in pairs}
    attached = Attachment.objects.filter(account__in=account_ids).order_by("created_at", "pk")
    members = list(attached.values_list("account_id", "role_id"))
    grants = Grant.objects.holding(at).filter(account__in=account_ids).order_by("-ends_at", "pk")
    return _ways(pairs, resources, members, list(grants))


def granted(
    pairs: Collection[Pair], resources: Mapping[str, Resource], grants: Iterable[Grant]
) -> Mapping[Pair, list[Way]]:
    """What these grants would open if they held."""
    return _ways(pairs, resources, [], list(grants))


def _ways(
    pairs: Collection[Pair],
    resources: Mapping[str, Resource],
    members: Iterable[Pair],
    grants: Collection[Grant],
) -> Mapping[Pair, list[Way]]:
    roles_of, grants_of = defaultdict(list), defaultdict(list)
    for account_id, role_id in members:
        roles_of[account_id].append(role_id)
    for grant in grants:
        grants_of[grant.account_id].append(grant)
    roles = {role_id for some in roles_of.values() for role_id in some}
    opening = _Opening(roles | {grant.role_id for grant in grants if grant.role_id}, resources)
    found: defaultdict[Pair, list[Way]] = defaultdict(list)
    for account_id, resource_id in pairs:
        standing = [
            Way(rule, None) for role in roles_of[account_id] for rule in opening.rules(role, resource_id)
        ]
        for_a_while = [way for grant in grants_of[account_id] for way in opening.by(grant, resource_id)]
        found[account_id, resource_id] = standing + for_a_while
    return found


class _Opening:
    """Which rules of some roles open which of some resources."""

    def __init__(self, roles: Collection[str], resources: Mapping[str, Resource]) -> None:
        candidates = rules_for(resources.values()).filter(role__in=roles) if roles else Rule.objects.none()
        rules = list(with_conditions(candidates).select_related("role").order_by("created_at", "pk"))
        self._of_role = defaultdict(list)
        for rule in rules:
            self._of_role[rule.role_id].append((rule, conditions_of(rule)))
        self._chosen = set()
        if any(rule.way == Rule.Way.CHOSEN for rule in rules):
            chosen = RuleResource.objects.filter(rule__in=rules, resource__in=list(resources))
            self._chosen = set(chosen.values_list("rule_id", "resource_id"))
        self._tags = {
            pk: {tag.key: tag.value for tag in resource.tags.all()} for pk, resource in resources.items()
        }
        self._resources = resources
        # Many accounts have the same role.
        self.rules = cache(self._rules)

    def by(self, grant: Grant, resource_id: str) -> list[Way]:
        if grant.role_id:
            return [Way(rule, grant) for rule in self.rules(grant.role_id, resource_id)]
        return [Way(None, grant)] if grant.resource_id == resource_id else []

    def _rules(self, role_id: str, resource_id: str) -> list[Rule]:
        if resource_id not in self._resources:
            return []
        resource, tags = self._resources[resource_id], self._tags[resource_id]
        return [
            rule
            for rule, conditions in self._of_role[role_id]
            if (
                (rule.pk, resource_id) in self._chosen
                if rule.way == Rule.Way.CHOSEN
                else conditions.admit(resource, tags)
            )
        ]
