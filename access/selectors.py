"""What is read of roles and grants, always by someone who may."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import Http404

from access.decisions import Way
from access.matching import any_of, opened_by, with_conditions
from access.models import Attachment, Grant, Role, Rule
from accounts.models import Account
from audit.services import Actor, require
from resources.models import Resource
from search.fields import Tags, Text
from search.filters import Filters
from search.grammar import Pattern
from search.lookups import can_be_stored

ROLE_FILTERS = Filters(
    Role,
    Text("name", column="name_folded", folded=True, free_text=True),
    Tags("tags", aliases=("tag",)),
    Text("id", whole=True),
)
# What the list can be sorted by, each with an index.
ROLE_SORTS = {"name": "name_folded", "created": "created_at"}

# Counting goes no further than this, as in the list of resources.
COUNTED_TO = 10_000
# Names that stand for all that a rule opens.
PREVIEWED = 10
_SUGGESTIONS = 8
# As many as a browser without scripts can be offered.
_OFFERED = 200


def role_or_404(actor: Actor, role_id: str, permission: str = "access.view") -> Role:
    require(actor, permission)
    role = Role.objects.select_related("created_by").filter(pk=role_id).first()
    if role is None:
        raise Http404
    return role


def rule_or_404(actor: Actor, role_id: str, rule_id: str) -> Rule:
    """A rule is looked up within its role."""
    require(actor, "access.change")
    rules = with_conditions(Rule.objects.filter(pk=rule_id, role=role_id))
    rule = rules.select_related("role", "cluster").first()
    if rule is None:
        raise Http404
    return rule


def attachment_or_404(actor: Actor, role_id: str, attachment_id: str) -> Attachment:
    require(actor, "access.change")
    found = Attachment.objects.select_related("account", "role").filter(pk=attachment_id, role=role_id)
    if (attachment := found.first()) is None:
        raise Http404
    return attachment


def grant_or_404(actor: Actor, grant_id: str) -> Grant:
    require(actor, "access.change")
    grant = Grant.objects.select_related("account", "resource", "role").filter(pk=grant_id).first()
    if grant is None:
        raise Http404
    return grant


def is_name_taken(name: str, *, but: Role | None = None) -> bool:
    taken = Role.objects.filter(name_folded=name.casefold())
    return (taken.exclude(pk=but.pk) if but else taken).exists()


# --- Roles --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RoleRow:
    """A role as the list shows it, and above its tabs."""

    role: Role
    rules: int
    members: int


def role_rows(roles: Sequence[Role]) -> list[RoleRow]:
    """In two queries, however many they are."""
    ids = [role.pk for role in roles]
    rules, members = (
        _counts(Rule.objects.filter(role__in=ids)),
        _counts(Attachment.objects.filter(role__in=ids)),
    )
    return [RoleRow(role, rules.get(role.pk, 0), members.get(role.pk, 0)) for role in roles]


def _counts(rows: QuerySet[Any]) -> dict[str, int]:
    return dict(rows.order_by().values_list("role").annotate(Count("pk")))


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule opens at the moment: how many, and the first of them by name."""

    count: int
    resources: Sequence[Resource]

    @property
    def count_text(self) -> str:
        return f"{COUNTED_TO:,} or more" if self.count >= COUNTED_TO else f"{self.count:,}"

    @property
    def more(self) -> int:
        return self.count - len(self.resources)


def preview(selected: Q, shown: int = PREVIEWED) -> Preview:
    """Two queries, with the first `shown` by name."""
    matching = Resource.objects.filter(selected)
    resources = list(matching.select_related("cluster").order_by("name_folded")[:shown])
    count = len(resources) if len(resources) < shown else matching.order_by()[:COUNTED_TO].count()
    return Preview(count, resources)


@dataclass(frozen=True, slots=True)
class RuleRow:
    rule: Rule
    preview: Preview


def rule_rows(role: Role) -> list[RuleRow]:
    """At most as many as a role can have, each with two queries for what it opens."""
    rules = with_conditions(role.rules.select_related("cluster"))
    return [RuleRow(rule, preview(any_of(opened_by([rule])), 4)) for rule in rules]


def members(role: Role) -> QuerySet[Attachment]:
    return role.attachments.select_related("account", "created_by")


# --- Grants, and why somebody reaches something -------------------------------------------------


def grants() -> QuerySet[Grant]:
    return Grant.objects.select_related("account", "resource", "role", "created_by", "ended_by")


@dataclass(frozen=True, slots=True)
class Why:
    """One line of an explanation: the role, or the grant with its end."""

    role: Role | None
    grant: Grant | None


def why(ways: Iterable[Way]) -> list[Why]:
    """The ways in lines: two rules of one role are one reason to a reader."""
    lines = {(way.rule and way.rule.role_id, way.grant and way.grant.pk): way for way in ways}
    return [Why(way.rule.role if way.rule else None, way.grant) for way in lines.values()]


# --- Choosing by name ---------------------------------------------------------------------------


def names(rows: QuerySet[Any], column: str, shown: str, typed: str | None = None) -> list[str]:
    """What to offer where one of `rows` is chosen by the column `shown`; `column` is that one folded.

    Those that begin with what was typed, then those that contain it; the first of all where nothing was typed yet.
    """
    ordered = rows.order_by(column).values_list(shown, flat=True)
    if typed is None:
        return list(ordered[:_OFFERED])
    pattern = Pattern((typed.casefold(),))
    if not can_be_stored(pattern):
        return []
    begins = list(ordered.filter(**{f"{column}__wildcard": Pattern((*pattern.parts, ""))})[:_SUGGESTIONS])
    room = _SUGGESTIONS - len(begins)
    contains = ordered.filter(**{f"{column}__wildcard": pattern.anywhere()}).exclude(
        **{f"{shown}__in": begins}
    )
    return begins + list(contains[:room])


def nearest(rows: QuerySet[Any], column: str, shown: str, typed: str) -> list[str]:
    """Up to three that were perhaps meant by one that does not exist."""
    if found := names(rows, column, shown, typed):
        return found[:3]
    similar = names(rows, column, shown, typed[:2])
    return difflib.get_close_matches(typed, similar, n=3)


def resources_named(lines: Sequence[str]) -> tuple[list[Resource], list[str]]:
    """The resources with these names, in any case, or ids; and the lines that name none. One query."""
    folded = {line.casefold() for line in lines}
    found = Resource.objects.filter(Q(name_folded__in=folded) | Q(pk__in=lines)).order_by("name_folded")
    resources = list(found)
    known = {resource.name_folded for resource in resources} | {resource.pk for resource in resources}
    return resources, [line for line in lines if line.casefold() not in known]


def accounts() -> QuerySet[Account]:
    """Those that can be given something now."""
    return Account.objects.filter(is_active=True)
