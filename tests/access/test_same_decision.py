"""One decision, three ways to ask for it: they are compared with each other and with the meaning in plain Python.

The plain evaluation shares nothing with the code under test. The suite runs on SQLite and on PostgreSQL.
"""

import datetime as dt
from dataclasses import dataclass

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from access.decisions import decide, decide_many, people_reaching, reachable_by, ways_of
from accounts.policy import Level
from tests.access.factories import attach, choose, grant, make_role, match
from tests.clusters.factories import make_cluster
from tests.people import make_account
from tests.resources.factories import make_resource

KINDS = ["postgres", "mysql", "redis"]
LEVELS = [Level.USER, Level.USER, Level.ADMIN, Level.AUDITOR]
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)

clusters = st.sampled_from([None, 0, 1])
tags = st.dictionaries(st.sampled_from("aAbß"), st.sampled_from(["", "x", "X"]), max_size=2)
places = st.integers(0, 2)
hours = st.integers(-2, 2)


@dataclass(frozen=True)
class Conditions:
    kinds: frozenset[str]
    tags: dict[str, str]
    cluster: int | None

    def opens(self, index, thing):
        return (
            bool(self.kinds or self.tags or self.cluster is not None)
            and (not self.kinds or thing.kind in self.kinds)
            and self.tags.items() <= thing.tags.items()
            and self.cluster in (None, thing.cluster)
        )


@dataclass(frozen=True)
class Chosen:
    resources: frozenset[int]

    def opens(self, index, thing):
        return index in self.resources


@dataclass(frozen=True)
class Thing:
    kind: str
    cluster: int | None
    tags: dict[str, str]


@dataclass(frozen=True)
class Person:
    level: Level
    active: bool
    roles: frozenset[int]


@dataclass(frozen=True)
class Given:
    person: int
    # A role, or else a resource.
    role: bool
    target: int
    starts: int
    lasts: int


@dataclass(frozen=True)
class World:
    things: list[Thing]
    people: list[Person]
    roles: list[list[Conditions | Chosen]]
    grants: list[Given]

    def allows(self, person, thing):
        somebody, something = self.people[person], self.things[thing]
        if not somebody.active or somebody.level == Level.AUDITOR or something.cluster is None:
            return False
        holding = [
            one for one in self.grants if one.person == person and one.starts <= 0 < one.starts + one.lasts
        ]
        roles = somebody.roles | {one.target for one in holding if one.role}
        named = any(not one.role and one.target == thing for one in holding)
        return named or any(rule.opens(thing, something) for role in roles for rule in self.roles[role])


rules = st.one_of(
    st.builds(
        Conditions, kinds=st.frozensets(st.sampled_from(KINDS), max_size=2), tags=tags, cluster=clusters
    ),
    st.builds(Chosen, resources=st.frozensets(places, max_size=2)),
)
worlds = st.builds(
    World,
    things=st.lists(
        st.builds(Thing, kind=st.sampled_from(KINDS), cluster=clusters, tags=tags), min_size=3, max_size=3
    ),
    people=st.lists(
        st.builds(
            Person,
            level=st.sampled_from(LEVELS),
            active=st.sampled_from([True, True, True, False]),
            roles=st.frozensets(places, max_size=2),
        ),
        min_size=3,
        max_size=3,
    ),
    roles=st.lists(st.lists(rules, max_size=3), min_size=3, max_size=3),
    grants=st.lists(
        st.builds(Given, person=places, role=st.booleans(), target=places, starts=hours, lasts=places),
        max_size=4,
    ),
)


def build(world):
    maker = make_account("Maker", Level.ADMIN)
    places = [make_cluster("one"), make_cluster("two")]
    place = {None: None, 0: places[0], 1: places[1]}
    things = [
        make_resource(maker, kind=thing.kind, cluster=place[thing.cluster], tags=thing.tags)
        for thing in world.things
    ]
    roles = [make_role(maker) for _ in world.roles]
    for role, its_rules in zip(roles, world.roles, strict=True):
        for rule in its_rules:
            if isinstance(rule, Chosen):
                choose(role, *(things[index] for index in rule.resources))
            else:
                match(role, kinds=rule.kinds, tags=rule.tags, cluster=place[rule.cluster])
    people = []
    for index, person in enumerate(world.people):
        account = make_account(f"person-{index}", person.level)
        account.is_active = person.active
        account.save()
        for role in person.roles:
            attach(maker, account, roles[role])
        people.append(account)
    for one in world.grants:
        starts = NOW + dt.timedelta(hours=one.starts)
        target = roles[one.target] if one.role else things[one.target]
        ends = starts + dt.timedelta(hours=one.lasts)
        grant(maker, people[one.person], target, starts=starts, ends=ends)
    return people, things


@pytest.mark.django_db
@given(world=worlds)
def test_a_decision_and_the_lists_say_the_same(world):
    with transaction.atomic():
        people, things = build(world)
        expected = {
            (person, thing)
            for place, person in enumerate(people)
            for index, thing in enumerate(things)
            if world.allows(place, index)
        }
        decisions = {
            (person, thing): decide(account=person, resource=thing, at=NOW)
            for person in people
            for thing in things
        }
        assert {pair for pair, decision in decisions.items() if decision.allowed} == expected
        assert {(person, thing) for person in people for thing in reachable_by(person, NOW)} == expected
        assert {(person, thing) for thing in things for person in people_reaching(thing, NOW)} == expected
        pairs = {(person.pk, thing.pk): decision for (person, thing), decision in decisions.items()}
        assert decide_many(pairs, NOW) == pairs
        for person in people:
            explained = ways_of(person, [thing.pk for thing in things], NOW)
            for thing in things:
                if decisions[person, thing].allowed:
                    assert set(explained[thing.pk]) == set(decisions[person, thing].ways)
        for decision in decisions.values():
            assert decision.allowed is bool(decision.ways)
            assert decision.until is None or decision.until > NOW
        transaction.set_rollback(True)
