"""What a rule opens, asked from either side: which resources fit a rule, and which rules fit a resource.

Two directions, because each has its index: a list of resources starts from a few rules, a decision from one
resource. A test draws rules and resources and holds both against the meaning written down in plain Python.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Exists, OuterRef, Q, QuerySet

from access.models import Rule, RuleKind, RuleResource, RuleTag
from resources.models import Resource, ResourceTag

NOTHING = Q(pk__in=[])  # Django answers without asking the database


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a resource must fit: one of the kinds, every tag, the cluster. Those that are empty ask nothing."""

    kinds: Collection[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    cluster_id: str | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.kinds or self.tags or self.cluster_id)

    def resources(self) -> Q:
        """The resources that fit. None fits no conditions: forgetting them all must not open everything."""
        if self.is_empty:
            return NOTHING
        fits = Q()
        if self.kinds:
            fits &= Q(kind__in=self.kinds)
        if self.cluster_id:
            fits &= Q(cluster=self.cluster_id)
        for key, value in self.tags.items():
            fits &= Q(pk__in=ResourceTag.objects.filter(key=key, value=value).values("resource"))
        return fits


@dataclass(frozen=True, slots=True)
class Selection:
    """What a rule says, or is about to say: chosen resources, or conditions."""

    chosen: Sequence[Resource] | None = None
    conditions: Conditions = field(default_factory=Conditions)

    def resources(self) -> Q:
        if self.chosen is None:
            return self.conditions.resources()
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


def resources_of(rules: Iterable[Rule]) -> Q:
    """The resources that any of the rules opens."""
    chosen: list[str] = []
    fits = NOTHING
    for rule in rules:
        if rule.way == Rule.Way.CHOSEN:
            chosen.append(rule.pk)
        else:
            fits |= conditions_of(rule).resources()
    if chosen:
        fits |= Q(pk__in=RuleResource.objects.filter(rule__in=chosen).values("resource"))
    return fits


def rules_for(resource: Resource) -> QuerySet[Rule]:
    """The rules that open this resource, as the database has its tags and `resource` its kind and cluster."""
    own = OuterRef("pk")
    has_tag = ResourceTag.objects.filter(resource=resource.pk, key=OuterRef("key"), value=OuterRef("value"))
    kinds, tags = RuleKind.objects.filter(rule=own), RuleTag.objects.filter(rule=own)
    chosen = Q(way=Rule.Way.CHOSEN) & Exists(RuleResource.objects.filter(rule=own, resource=resource.pk))
    matching = (
        Q(way=Rule.Way.MATCHING)
        & (Q(cluster__isnull=True) | Q(cluster=resource.cluster_id))
        & (~Exists(kinds) | Exists(kinds.filter(kind=resource.kind)))
        & ~Exists(tags.filter(~Exists(has_tag)))
        # Without any condition it opens nothing.
        & (Q(cluster__isnull=False) | Exists(kinds) | Exists(tags))
    )
    return Rule.objects.filter(chosen | matching)
