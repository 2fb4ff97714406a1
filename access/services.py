"""What can be done to roles and their rules. Each function is one act: permission, change and record in one
transaction, and the news that access may have changed. Members and grants are in `access.giving`."""

from collections.abc import Collection, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from access.matching import Selection, conditions_of
from access.models import MAX_RULES, Role, Rule, RuleKind, RuleResource, RuleTag
from accounts.models import Account
from audit.services import changes, record, require
from audit.verbs import Verb
from clusters.conflicts import NameTaken, raise_version
from clusters.models import Cluster
from clusters.tags import replace_tags, tags_of
from events.topics import access_changed
from resources.models import Resource

# A rule can name two thousand resources; an activity names so many and counts the others.
_RECORDED = 50


class Refused(Exception):
    """What the actor may do, and yet not here and now. The message says why."""


def role_create(*, actor: Account, name: str, tags: Mapping[str, str]) -> Role:
    """It opens nothing and has no members yet."""
    require(actor, "access.change")
    with transaction.atomic():
        try:
            with transaction.atomic():
                role = Role.objects.create(name=name, name_folded=name.casefold(), created_by=actor)
        except IntegrityError as error:
            raise NameTaken from error
        replace_tags(role.tags, tags)
        record(actor=actor, verb=Verb.ROLE_CREATED, entity=role, after={"name": name, "tags": dict(tags)})
    return role


def role_update(*, actor: Account, role: Role, version: int, name: str, tags: Mapping[str, str]) -> bool:
    """Whether anything changed."""
    require(actor, "access.change")
    with transaction.atomic():
        before = {"name": role.name, "tags": tags_of(list(role.tags.all()))}
        wanted = {"name": name, "tags": dict(tags)}
        if role.version == version and before == wanted:
            return False
        raise_version(role, version, name=name, name_folded=name.casefold())
        replace_tags(role.tags, tags)
        was, now = changes(before, wanted)
        record(actor=actor, verb=Verb.ROLE_UPDATED, entity=role, before=was, after=now)
        access_changed(role=role.pk)
    return True


def role_delete(*, actor: Account, role: Role) -> None:
    """Its rules, memberships and grants go with it. Role.DoesNotExist when somebody else was faster."""
    require(actor, "access.change")
    with transaction.atomic():
        role = _locked(role.pk)
        before = {
            "name": role.name,
            "tags": tags_of(list(role.tags.all())),
            "rules": [_recorded(rule) for rule in role.rules.all()],
            "members": list(
                role.attachments.order_by("account__email").values_list("account__email", flat=True)
            ),
            "temporary access": role.grants.filter(ends_at__gt=timezone.now()).count(),
        }
        record(actor=actor, verb=Verb.ROLE_DELETED, entity=role, before=before)
        access_changed(role=role.pk)
        role.delete()


# --- Rules --------------------------------------------------------------------------------------


def rule_add(*, actor: Account, role: Role, selection: Selection) -> Rule:
    """Role.DoesNotExist when it was deleted meanwhile."""
    require(actor, "access.change")
    with transaction.atomic():
        role = _locked(role.pk)
        if role.rules.count() >= MAX_RULES:
            raise Refused(
                f"{role.name} has {MAX_RULES} rules already, which is the most that a role can have."
            )
        rule = role.rules.create(way=_way(selection), cluster=_locked_cluster(selection))
        _fill(rule, selection)
        _count_change(role)
        record(actor=actor, verb=Verb.RULE_ADDED, entity=role, after=_recorded(rule))
        access_changed(role=role.pk)
    return rule


def rule_change(*, actor: Account, rule: Rule, version: int, selection: Selection) -> bool:
    """Whether anything changed. `version` is that of its role. Rule.DoesNotExist when it was removed meanwhile."""
    require(actor, "access.change")
    with transaction.atomic():
        role = rule.role
        rule = Rule.objects.select_for_update(of=("self",)).get(pk=rule.pk)
        before, old = _stored(rule), _chosen(rule)
        rule.way, rule.cluster = _way(selection), _locked_cluster(selection)
        rule.save(update_fields=["way", "cluster"])
        for rows in (rule.chosen, rule.kinds, rule.tags):
            rows.all().delete()
        _fill(rule, selection)
        after, new = _stored(rule), _chosen(rule)
        if role.version == version and (before, old) == (after, new):
            return False
        raise_version(role, version)
        was, now = changes({**dict.fromkeys(after), **before}, {**dict.fromkeys(before), **after})
        if old != new:
            was["resources"], now["resources"] = _names(old, but=new), _names(new, but=old)
        record(actor=actor, verb=Verb.RULE_CHANGED, entity=role, before=was, after=now)
        access_changed(role=role.pk)
    return True


def rule_remove(*, actor: Account, rule: Rule) -> bool:
    """False when it was removed meanwhile."""
    require(actor, "access.change")
    with transaction.atomic():
        role = Role.objects.select_for_update().filter(rules=rule.pk).first()
        if role is None:
            return False
        before = _recorded(rule)
        Rule.objects.filter(pk=rule.pk).delete()
        _count_change(role)
        record(actor=actor, verb=Verb.RULE_REMOVED, entity=role, before=before)
        access_changed(role=role.pk)
    return True


def _locked(role_id: str) -> Role:
    return Role.objects.select_for_update().get(pk=role_id)


def _count_change(role: Role) -> None:
    Role.objects.filter(pk=role.pk).update(version=F("version") + 1, updated_at=timezone.now())


def _way(selection: Selection) -> Rule.Way:
    return Rule.Way.MATCHING if selection.chosen is None else Rule.Way.CHOSEN


def _locked_cluster(selection: Selection) -> Cluster | None:
    """It stays until the transaction ends. Cluster.DoesNotExist when it was deleted meanwhile."""
    cluster_id = selection.conditions.cluster_id if selection.chosen is None else None
    return Cluster.objects.select_for_update(no_key=True).get(pk=cluster_id) if cluster_id else None


def _fill(rule: Rule, selection: Selection) -> None:
    if selection.chosen is None:
        conditions = selection.conditions
        RuleKind.objects.bulk_create(RuleKind(rule=rule, kind=kind) for kind in conditions.kinds)
        RuleTag.objects.bulk_create(
            RuleTag(rule=rule, key=key, value=value) for key, value in conditions.tags.items()
        )
    else:
        wanted = [resource.pk for resource in selection.chosen]
        # Those that were deleted meanwhile are left out; the others stay until the transaction ends.
        there = Resource.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
        RuleResource.objects.bulk_create(RuleResource(rule=rule, resource=resource) for resource in there)


def _recorded(rule: Rule) -> dict[str, Any]:
    chosen = _chosen(rule)
    return {"rule": rule.pk, **_stored(rule), **({"resources": _names(chosen)} if chosen else {})}


def _stored(rule: Rule) -> dict[str, Any]:
    """What it says, besides the resources that were chosen."""
    if rule.way == Rule.Way.CHOSEN:
        return {"way": rule.get_way_display()}
    conditions = conditions_of(rule)
    return {
        "way": rule.get_way_display(),
        "kinds": sorted(conditions.kinds),
        "resource tags": dict(conditions.tags),
        "proxy cluster": rule.cluster.name if rule.cluster else None,
    }


def _chosen(rule: Rule) -> dict[str, str]:
    """By id, the names of the resources that were chosen."""
    return dict(rule.chosen.order_by("resource__name_folded").values_list("resource_id", "resource__name"))


def _names(chosen: Mapping[str, str], *, but: Collection[str] = ()) -> list[str]:
    names = [name for resource_id, name in chosen.items() if resource_id not in but]
    more = len(names) - _RECORDED
    return [*names[:_RECORDED], f"and {more:,} more"] if more > 0 else names
