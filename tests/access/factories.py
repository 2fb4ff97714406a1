"""Roles, rules and grants as tests need them, made without the rules of services."""

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping

from django.utils import timezone

from access.models import Attachment, Grant, Role, Rule
from accounts.models import Account
from clusters.models import Cluster
from resources.models import Resource

_numbers = itertools.count(1)
HOUR = dt.timedelta(hours=1)


def make_role(actor: Account, name: str = "", *members: Account, **tags: str) -> Role:
    name = name or f"role-{next(_numbers)}"
    role = Role.objects.create(name=name, name_folded=name.casefold(), created_by=actor)
    for key, value in tags.items():
        role.tags.create(key=key, value=value)
    for member in members:
        attach(actor, member, role)
    return role


def attach(actor: Account, account: Account, role: Role) -> Attachment:
    return Attachment.objects.create(account=account, role=role, created_by=actor)


def choose(role: Role, *resources: Resource) -> Rule:
    rule = role.rules.create(way=Rule.Way.CHOSEN)
    for resource in resources:
        rule.chosen.create(resource=resource)
    return rule


def match(
    role: Role,
    *,
    kinds: Iterable[str] = (),
    tags: Mapping[str, str] | None = None,
    cluster: Cluster | None = None,
) -> Rule:
    rule = role.rules.create(way=Rule.Way.MATCHING, cluster=cluster)
    for kind in kinds:
        rule.kinds.create(kind=kind)
    for key, value in (tags or {}).items():
        rule.tags.create(key=key, value=value)
    return rule


def grant(
    actor: Account,
    account: Account,
    target: Resource | Role,
    *,
    starts: dt.datetime | None = None,
    ends: dt.datetime | None = None,
) -> Grant:
    starts = starts or timezone.now() - HOUR
    named = {"resource": target} if isinstance(target, Resource) else {"role": target}
    return Grant.objects.create(
        account=account,
        starts_at=starts,
        ends_at=ends or starts + 2 * HOUR,
        reason="On call",
        created_by=actor,
        **named,
    )
