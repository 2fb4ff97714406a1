"""Who reaches what, and why, on the pages of a resource and of a person."""

import datetime as dt

import pytest
from django.utils import timezone

from access.models import Grant
from accounts.policy import Level
from tests.access.factories import attach, choose, grant, make_role, match
from tests.access.pages import text, url
from tests.clusters.factories import make_cluster
from tests.people import make_account
from tests.resources.factories import make_resource

pytestmark = pytest.mark.django_db


def test_a_resource_says_who_reaches_it_and_why(alice, alice_client, charlie, role, orders):
    assert "Nobody can reach it" in text(alice_client.get(url("resource-access", orders)))
    attach(alice, charlie, role)
    choose(role, orders)
    match(role, kinds=["postgres"])
    dora = make_account("Dora", Level.USER)
    grant(alice, dora, orders)
    page = text(alice_client.get(url("resource-access", orders)))
    assert "charlie@example.com" in page and "dora@example.com" in page and "alice@example.com" not in page
    assert page.count(f'href="{url("role-rules", role)}"') == 1  # one reason, though two rules say so
    assert "On call" in page and "2 people" in page


def test_a_resource_of_no_cluster_says_that_nobody_reaches_it(alice, alice_client, charlie, role):
    resource = make_resource(alice, "orphan")
    choose(role, resource)
    attach(alice, charlie, role)
    assert "It is attached to no proxy cluster." in text(alice_client.get(url("resource-access", resource)))


def test_a_person_s_page_says_what_they_reach_and_why(alice, alice_client, charlie, role, orders):
    make_resource(alice, "secret-db", cluster=orders.cluster, kind="redis")
    attach(alice, charlie, role)
    match(role, kinds=["postgres"])
    page = text(alice_client.get(url("person-access", charlie)))
    assert "orders-db" in page and "secret-db" not in page and "developers" in page
    part = alice_client.get(url("person-access", charlie), {"q": "x"}, headers={"HX-Request": "true"})
    assert "No resources match" in text(part) and "<html" not in text(part)


def test_a_person_who_reaches_nothing_is_told_apart(alice, alice_client, bob, charlie, role, orders):
    choose(role, orders)
    for account in (bob, charlie):
        attach(alice, account, role)
    charlie.is_active = False
    charlie.save()
    assert "Charlie is suspended" in text(alice_client.get(url("person-access", charlie)))
    assert "Auditors reach no resources" in text(alice_client.get(url("person-access", bob)))
    assert "Nothing" in text(alice_client.get(url("person-access", bob)))


def test_the_explanations_take_as_many_queries_for_many(
    alice, alice_client, charlie, orders, django_assert_max_num_queries
):
    for number in range(20):
        role = make_role(alice, f"role-{number}", charlie)
        match(role, kinds=["postgres"])
        choose(role, orders)
        attach(alice, make_account(f"person-{number}", Level.USER), role)
        make_resource(alice, cluster=orders.cluster)
    with django_assert_max_num_queries(16):
        assert "21 people" in text(alice_client.get(url("resource-access", orders)))
    with django_assert_max_num_queries(22):
        assert "21 resources" in text(alice_client.get(url("person-access", charlie)))


def test_markup_in_names_is_text(alice, alice_client, charlie):
    role = make_role(alice, "<script>alert(1)</script>", charlie)
    resource = make_resource(alice, "<img src=x>", cluster=make_cluster())
    choose(role, resource)
    made = grant(alice, charlie, resource, ends=timezone.now() + dt.timedelta(hours=1))
    Grant.objects.filter(pk=made.pk).update(reason="<b>why</b>")
    for address in (
        url("role-list"),
        url("role-rules", role),
        url("role-members", role),
        url("grant-list"),
        url("resource-access", resource),
        url("person-access", charlie),
    ):
        page = text(alice_client.get(address))
        assert "<script>alert" not in page and "<img src=x>" not in page and "<b>why" not in page
