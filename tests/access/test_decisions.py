"""Who may reach what, decided for one account and one resource."""

import datetime as dt
import logging

import pytest
from django.utils import timezone

from access import decisions
from access.decisions import Refusal, decide, people_reaching, reachable_by
from accounts.policy import Level
from tests.access.factories import HOUR, attach, choose, grant, make_role, match
from tests.clusters.factories import make_cluster
from tests.people import make_account
from tests.resources.factories import make_resource

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


@pytest.fixture
def cluster(alice):
    return make_cluster("keen-coffee")


@pytest.fixture
def orders(alice, cluster):
    return make_resource(alice, "orders-db", cluster=cluster, tags={"Environment": "sandbox"})


def refused(account, resource, at=NOW):
    decision = decide(account=account, resource=resource, at=at)
    assert not decision.allowed
    assert not decision.ways
    assert decision.until is None
    return decision.refusal


def test_nobody_reaches_anything_without_a_role_or_a_grant(alice, bob, charlie, orders):
    assert refused(charlie, orders) is Refusal.NO_ACCESS
    assert refused(alice, orders) is Refusal.NO_ACCESS
    assert not people_reaching(orders, NOW)


def test_a_role_opens_what_its_rules_name_and_says_so(alice, charlie, orders):
    role = make_role(alice, "developers", charlie)
    rule = choose(role, orders)
    decision = decide(account=charlie, resource=orders, at=NOW)
    assert decision.allowed
    assert [(way.rule, way.grant) for way in decision.ways] == [(rule, None)]
    assert decision.sentence == "Allowed by role developers."
    assert decision.until is None


def test_a_role_without_rules_and_a_rule_without_conditions_open_nothing(alice, charlie, orders):
    role = make_role(alice, "developers", charlie)
    match(role)
    choose(role)
    assert refused(charlie, orders) is Refusal.NO_ACCESS
    assert not reachable_by(charlie, NOW)


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({"kinds": ["postgres"]}, True),
        ({"kinds": ["mysql", "postgres"]}, True),
        ({"kinds": ["mysql"]}, False),
        ({"tags": {"Environment": "sandbox"}}, True),
        ({"tags": {"Environment": "Sandbox"}}, False),
        ({"tags": {"environment": "sandbox"}}, False),
        ({"tags": {"Environment": ""}}, False),
        ({"tags": {"Environment": "sandbox", "Team": "blue"}}, False),
        ({"kinds": ["mysql"], "tags": {"Environment": "sandbox"}}, False),
        ({"kinds": ["postgres"], "tags": {"Environment": "sandbox"}}, True),
    ],
)
def test_a_rule_opens_what_fits_all_its_conditions(alice, charlie, orders, conditions, fits):
    match(make_role(alice, "developers", charlie), **conditions)
    assert decide(account=charlie, resource=orders, at=NOW).allowed is fits
    assert reachable_by(charlie, NOW).exists() is fits
    assert people_reaching(orders, NOW).exists() is fits


def test_a_rule_of_one_cluster_opens_nothing_of_another(alice, charlie, cluster, orders):
    elsewhere = make_resource(alice, "elsewhere", cluster=make_cluster("quiet-harbor"))
    match(make_role(alice, "developers", charlie), cluster=cluster)
    assert decide(account=charlie, resource=orders, at=NOW).allowed
    assert refused(charlie, elsewhere) is Refusal.NO_ACCESS
    assert list(reachable_by(charlie, NOW)) == [orders]


def test_a_rule_goes_with_its_cluster_and_does_not_open_all_others(alice, charlie, cluster, orders):
    gone = make_cluster("quiet-harbor")
    match(make_role(alice, "developers", charlie), kinds=["postgres"], cluster=gone)
    gone.delete()
    assert refused(charlie, orders) is Refusal.NO_ACCESS


def test_a_resource_of_no_cluster_is_reached_by_nobody(alice, charlie):
    resource = make_resource(alice, "orders-db")
    choose(make_role(alice, "developers", charlie), resource)
    assert refused(charlie, resource) is Refusal.NO_CLUSTER
    assert not reachable_by(charlie, NOW)
    assert not people_reaching(resource, NOW)


def test_a_resource_that_was_deleted_is_reached_by_nobody(alice, charlie, orders):
    choose(make_role(alice, "developers", charlie), orders)
    pk = orders.pk
    orders.delete()
    orders.pk = pk
    assert refused(charlie, orders) is Refusal.RESOURCE_UNKNOWN
    assert not people_reaching(orders, NOW)


def test_who_was_suspended_after_they_were_looked_up_is_refused(alice, charlie, orders):
    choose(make_role(alice, "developers", charlie), orders)
    type(charlie).objects.filter(pk=charlie.pk).update(is_active=False)
    assert charlie.is_active
    assert refused(charlie, orders) is Refusal.SUSPENDED
    assert not reachable_by(charlie, NOW)
    assert not people_reaching(orders, NOW)


@pytest.mark.parametrize("level", [Level.AUDITOR, "", "of-the-future"])
def test_levels_that_reach_nothing(alice, orders, level):
    dora = make_account("Dora", level)
    choose(make_role(alice, "developers", dora), orders)
    grant(alice, dora, orders, starts=NOW - HOUR)
    assert refused(dora, orders) is Refusal.LEVEL
    assert not reachable_by(dora, NOW)
    assert not people_reaching(orders, NOW)


def test_an_unknown_account_is_refused(charlie, orders):
    charlie.pk = "a-0000000000000000"
    assert refused(charlie, orders) is Refusal.ACCOUNT_UNKNOWN
    assert not reachable_by(charlie, NOW)


# --- Grants -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "refusal"),
    [
        (NOW - dt.timedelta(microseconds=1), Refusal.NOT_BEGUN),
        (NOW, None),
        (NOW + HOUR - dt.timedelta(microseconds=1), None),
        (NOW + HOUR, Refusal.ENDED),
    ],
)
def test_a_grant_holds_from_its_start_until_just_before_its_end(alice, charlie, orders, at, refusal):
    grant(alice, charlie, orders, starts=NOW, ends=NOW + HOUR)
    decision = decide(account=charlie, resource=orders, at=at)
    assert decision.refusal is refusal
    assert reachable_by(charlie, at).exists() is (refusal is None)
    assert people_reaching(orders, at).exists() is (refusal is None)
    assert decision.until == (None if refusal else NOW + HOUR)


def test_the_refusal_says_when(alice, charlie, orders):
    grant(alice, charlie, orders, starts=NOW, ends=NOW + HOUR)
    early = decide(account=charlie, resource=orders, at=NOW - HOUR)
    assert early.sentence == (
        "The temporary access to this resource has not begun. It begins at 2026-11-22 12:00 UTC."
    )
    late = decide(account=charlie, resource=orders, at=NOW + HOUR)
    assert late.sentence == (
        "No role of this account opens this resource, and the temporary access to it has ended. It ended at "
        "2026-11-22 13:00 UTC."
    )


def test_a_grant_that_was_ended_before_its_start_is_neither_to_come_nor_over(alice, charlie, orders):
    grant(alice, charlie, orders, starts=NOW + HOUR, ends=NOW + HOUR)
    assert refused(charlie, orders) is Refusal.NO_ACCESS
    assert refused(charlie, orders, NOW + HOUR) is Refusal.NO_ACCESS


def test_it_holds_as_long_as_the_last_reason(alice, charlie, orders):
    grant(alice, charlie, orders, starts=NOW, ends=NOW + HOUR)
    grant(alice, charlie, orders, starts=NOW, ends=NOW + 3 * HOUR)
    grant(alice, charlie, orders, starts=NOW, ends=NOW + 2 * HOUR)
    decision = decide(account=charlie, resource=orders, at=NOW)
    assert decision.until == NOW + 3 * HOUR
    assert len(decision.ways) == 3
    choose(make_role(alice, "developers", charlie), orders)
    assert decide(account=charlie, resource=orders, at=NOW).until is None


def test_a_role_can_be_granted_for_a_while(alice, charlie, orders):
    role = make_role(alice, "on-call")
    rule = match(role, kinds=["postgres"])
    given = grant(alice, charlie, role, starts=NOW, ends=NOW + HOUR)
    decision = decide(account=charlie, resource=orders, at=NOW)
    assert [(way.rule, way.grant) for way in decision.ways] == [(rule, given)]
    assert decision.sentence == "Allowed by role on-call, temporary access until 2026-11-22 13:00 UTC."
    assert list(reachable_by(charlie, NOW)) == [orders]
    assert list(people_reaching(orders, NOW)) == [charlie]
    assert refused(charlie, orders, NOW + HOUR) is Refusal.ENDED


def test_a_granted_role_that_opens_something_else_opens_nothing_here(alice, charlie, orders):
    role = make_role(alice, "on-call")
    match(role, kinds=["mysql"])
    grant(alice, charlie, role, starts=NOW, ends=NOW + HOUR)
    assert refused(charlie, orders) is Refusal.NO_ACCESS


def test_somebody_else_s_grant_opens_nothing(alice, charlie, orders):
    dora = make_account("Dora", Level.USER)
    grant(alice, dora, orders, starts=NOW)
    assert refused(charlie, orders) is Refusal.NO_ACCESS


# --- Faults and cost ----------------------------------------------------------------------------


def test_what_cannot_be_decided_is_refused_and_stands_in_the_log(charlie, orders, monkeypatch, caplog):
    choose(make_role(charlie, "developers", charlie), orders)

    def broken(*args):
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(decisions, "standing_and_granted", broken)
    with caplog.at_level(logging.ERROR):
        assert refused(charlie, orders) is Refusal.ERROR
    assert "the disk is gone" in caplog.text
    assert charlie.pk in caplog.text


def test_a_decision_takes_as_many_queries_with_much_as_with_little(
    alice, charlie, orders, django_assert_max_num_queries
):
    for number in range(30):
        role = make_role(alice, f"role-{number}", charlie)
        for _ in range(3):
            match(role, kinds=["postgres", "mysql"], tags={"Environment": "sandbox"})
        grant(alice, charlie, role, starts=NOW)
    with django_assert_max_num_queries(8):
        assert len(decide(account=charlie, resource=orders, at=NOW).ways) == 180
    with django_assert_max_num_queries(6):
        assert list(reachable_by(charlie, NOW)) == [orders]
    with django_assert_max_num_queries(3):
        assert list(people_reaching(orders, NOW)) == [charlie]
    dora = make_account("Dora", Level.USER)
    with django_assert_max_num_queries(8):
        assert refused(dora, orders) is Refusal.NO_ACCESS


def test_a_granted_and_standing_role_is_two_ways(alice, charlie, orders):
    role = make_role(alice, "developers")
    choose(role, orders)
    attach(alice, charlie, role)
    grant(alice, charlie, role, starts=timezone.now() - HOUR, ends=timezone.now() + HOUR)
    decision = decide(account=charlie, resource=orders, at=timezone.now())
    assert [way.until is None for way in decision.ways] == [True, False]
    assert decision.until is None


def test_many_are_decided_in_as_many_queries_as_one(alice, charlie, orders, django_assert_max_num_queries):
    dora, cache = (
        make_account("Dora", Level.USER),
        make_resource(alice, "cache", cluster=orders.cluster, kind="redis"),
    )
    match(make_role(alice, "developers", charlie), kinds=["postgres"])
    choose(make_role(alice, "operators", dora), cache)
    grant(alice, dora, orders, starts=NOW + HOUR)
    grant(alice, charlie, make_role(alice), starts=NOW + HOUR)
    unknown = "rs-0000000000000000"
    pairs = [(account.pk, pk) for account in (charlie, dora) for pk in (orders.pk, cache.pk, unknown)]
    with django_assert_max_num_queries(13):
        decided = decisions.decide_many(pairs, NOW)
    assert [decided[pair].refusal for pair in pairs] == [
        None,
        Refusal.NO_ACCESS,
        Refusal.RESOURCE_UNKNOWN,
        Refusal.NOT_BEGUN,
        None,
        Refusal.RESOURCE_UNKNOWN,
    ]
    assert decisions.decide_many([], NOW) == {}


def test_what_ended_long_ago_is_not_told(alice, charlie, orders):
    grant(alice, charlie, orders, starts=NOW - dt.timedelta(days=40))
    assert refused(charlie, orders) is Refusal.NO_ACCESS


def test_among_very_many_resources_each_rule_opens_what_it_says(alice, charlie, cluster):
    colours = ["blue", "red", "green"]
    role = make_role(alice, "developers", charlie)
    match(role, kinds=["postgres"], tags={"Team": "blue"})
    many = [
        make_resource(
            alice, cluster=cluster, kind=["postgres", "redis"][number % 2], tags={"Team": colours[number % 3]}
        )
        for number in range(60)
    ]
    decided = decisions.decide_many([(charlie.pk, resource.pk) for resource in many], NOW)
    allowed = {resource for (_, resource), decision in decided.items() if decision.allowed}
    assert allowed == {resource.pk for number, resource in enumerate(many) if number % 6 == 0}
    assert allowed == set(reachable_by(charlie, NOW).values_list("pk", flat=True))
