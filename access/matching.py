"""What a rule opens, asked from either side: which resources fit a rule, and which rules fit a resource.

One meaning in three forms, because each has its use: a list of resources starts from a few rules and their indexes, a
list of people from one resource, and a decision has both at hand. A test draws rules and resources and holds all of
them to each other.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from access.models import Rule, RuleKind, RuleResource, RuleTag
from resources.models import Resource, ResourceTag

NOTHING = Q(pk__in=[])  # Django answers without asking the database
# Ids of resources, to be looked up.
Ids = QuerySet[Any, Any]
# Of more resources, nearly every tag is on one of them: to look costs more than it leaves out.
_FEW = 50
# SQLite joins 500 at most.
_UNITED = 200
_Tag = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a resource must fit: one of the kinds, every tag, the cluster. Those that are empty ask nothing."""

    kinds: Collection[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    cluster_id: str | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.kinds or self.tags or self.cluster_id)

    def admit(self, resource: Resource, tags: Mapping[str, str]) -> bool:
        """Whether a resource with these tags fits. None fits no conditions: to forget them all must open nothing."""
        return (
            not self.is_empty
            and (not self.kinds or resource.kind in self.kinds)
            and (not self.cluster_id or resource.cluster_id == self.cluster_id)
            and self.tags.items() <= tags.items()
        )

    def ids(self, frequency: Mapping[_Tag, int]) -> Ids:
        """All that fit, found by the rarest of the tags."""
        if self.is_empty:
            return Resource.objects.none().values("pk")
        tags = sorted(self.tags.items(), key=lambda tag: frequency.get(tag, 0))
        if not tags:
            return Resource.objects.filter(self._plain()).order_by().values("pk")
        (key, value), *others = tags
        found = ResourceTag.objects.filter(self._plain("resource__"), key=key, value=value)
        for key, value in others:
            other = ResourceTag.objects.filter(resource=OuterRef("resource"), key=key, value=value)
            found = found.filter(Exists(other))
        return found.order_by().values("resource")

    def _plain(self, prefix: str = "") -> Q:
        """Without the tags."""
        fits = Q(**{f"{prefix}kind__in": self.kinds}) if self.kinds else Q()
        return fits & Q(**{f"{prefix}cluster": self.cluster_id}) if self.cluster_id else fits


@dataclass(frozen=True, slots=True)
class Selection:
    """What a rule says, or is about to say: chosen resources, or conditions."""

    chosen: Sequence[Resource] | None = None
    conditions: Conditions = field(default_factory=Conditions)

    def resources(self) -> Q:
        if self.chosen is None:
            return any_of([self.conditions.ids(_frequency([self.conditions]))])
        return Q(pk__in=[resource.pk for resource in self.chosen])


def with_conditions(rules: QuerySet[Rule]) -> QuerySet[Rule]:
    """The rules with what `conditions_of` reads, in two queries more."""
    return rules.prefetch_related("kinds", "tags")


def conditions_of(rule: Rule) -> Conditions:
    return Conditions(
        kinds=[row.kind for row in rule.kinds.all()],
        tags={tag.key: tag.value for tag in rule.tags.all()},
        cluster_id=rule.cluster_id,
    )


# --- From rules to resources --------------------------------------------------------------------


def opened_by(rules: Iterable[Rule]) -> list[Ids]:
    """The resources that the rules open, to be put together by `any_of`. One query, for how frequent tags are."""
    rules = list(rules)
    chosen = [rule.pk for rule in rules if rule.way == Rule.Way.CHOSEN]
    conditions = [conditions_of(rule) for rule in rules if rule.way == Rule.Way.MATCHING]
    frequency = _frequency(conditions)
    ids = [some.ids(frequency) for some in conditions if not some.is_empty]
    if chosen:
        ids.append(RuleResource.objects.filter(rule__in=chosen).values("resource"))
    return ids


def any_of(ids: Sequence[Ids]) -> Q:
    """The resources that are among any of these. United, each is found by its own index; joined by OR, each row of the
    table would be asked for each of them."""
    groups = [ids[start : start + _UNITED] for start in range(0, len(ids), _UNITED)]
    united = (first.union(*others) if others else first for first, *others in groups)
    return reduce(or_, (Q(pk__in=group) for group in united), NOTHING)


def _frequency(conditions: Iterable[Conditions]) -> dict[_Tag, int]:
    """How many resources have each of the tags, where there is a choice between them."""
    tags = {tag for some in conditions if len(some.tags) > 1 for tag in some.tags.items()}
    if not tags:
        return {}
    wanted = reduce(or_, (Q(key=key, value=value) for key, value in tags))
    rows = ResourceTag.objects.filter(wanted).order_by().values_list("key", "value").annotate(Count("pk"))
    return {(key, value): count for key, value, count in rows}


# --- From a resource to rules -------------------------------------------------------------------


def rules_for(resources: Collection[Resource]) -> QuerySet[Rule]:
    """The rules that open this resource, as the database has its tags and `resources` its kind and cluster.

    Of several resources, the rules that may open one of them: conditions are met, if not all by the same one.
    """
    own, ids = OuterRef("pk"), [resource.pk for resource in resources]
    has_tag = ResourceTag.objects.filter(key=OuterRef("key"), value=OuterRef("value"), resource__in=ids)
    kinds, tags = RuleKind.objects.filter(rule=own), RuleTag.objects.filter(rule=own)
    chosen = Q(way=Rule.Way.CHOSEN) & Exists(RuleResource.objects.filter(rule=own, resource__in=ids))
    clusters = {resource.cluster_id for resource in resources if resource.cluster_id}
    matching = (
        Q(way=Rule.Way.MATCHING)
        & (Q(cluster__isnull=True) | Q(cluster__in=clusters))
        & (~Exists(kinds) | Exists(kinds.filter(kind__in={resource.kind for resource in resources})))
        & (Q() if len(ids) > _FEW else ~Exists(tags.filter(~Exists(has_tag))))
        # Without any condition it opens nothing.
        & (Q(cluster__isnull=False) | Exists(kinds) | Exists(tags))
    )
    return Rule.objects.filter(chosen | matching)
