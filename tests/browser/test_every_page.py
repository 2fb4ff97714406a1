"""Every page there is: accessible, quiet, and never wider than the window."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from accounts.policy import Level
from accounts.services import invitation_create, password_link_create
from accounts.setup import setup_path
from tests.access.factories import choose, grant, make_role
from tests.browser.conftest import LOOKS
from tests.clusters.factories import make_cluster
from tests.every.objects import make_objects
from tests.every.routes import all_routes
from tests.resources.factories import make_resource

# Fragments and files: what no person opens as a page.
NOT_PAGES = {
    "access:role-completions",
    "access:person-suggestions",
    "access:resource-suggestions",
    "access:role-suggestions",
    "authority:trusted-download",
    "clusters:cluster-head",
    "clusters:cluster-completions",
    "keys:key-arrivals",
    "resources:resource-completions",
    "resources:cluster-suggestions",
}
PAGES = [route for route in all_routes() if route.name not in NOT_PAGES]


def look_at(page, url, axe, look):
    response = page.goto(url)
    assert response is not None
    assert response.status == 200, url
    expect(page.get_by_role("main")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= look.width, url


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_of_an_administrator(signed_in_page, alice, bob, axe, look):
    page, ids = signed_in_page(alice), make_objects(alice, bob)
    seen = 0
    for route in PAGES:
        # What takes POST alone, or has no object behind it now, is no page.
        if page.request.get(route.url(ids), max_redirects=0).status == 200:
            look_at(page, route.url(ids), axe, look)
            seen += 1
    assert seen >= 40


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_of_a_stranger(page, alice, bob, axe, look):
    invitation = invitation_create(actor=alice, email="dora@example.com", level=Level.AUDITOR)
    link = password_link_create(actor=alice, account=bob)
    for url in (
        reverse("account_login"),
        reverse("accounts:password-forgotten"),
        reverse("accounts:invitation-accept", args=[invitation.token]),
        reverse("accounts:password-set", args=[link.token]),
        reverse("account_inactive"),
    ):
        look_at(page, url, axe, look)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_page_that_makes_the_first_administrator(page, transactional_db, axe, look):
    look_at(page, setup_path(), axe, look)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_what_a_person_can_reach(signed_in_page, alice, charlie, axe, look):
    page = signed_in_page(charlie)
    look_at(page, reverse("home"), axe, look)
    cluster = make_cluster("keen-coffee")
    names = ["orders-db", "cache", "the-database-of-the-orders-of-a-company-with-a-very-long-name"]
    kinds = ["postgres", "redis", "httpAuth"]
    choose(
        make_role(alice, "developers", charlie),
        *(
            make_resource(alice, name, kind=kind, cluster=cluster)
            for name, kind in zip(names, kinds, strict=True)
        ),
    )
    grant(alice, charlie, make_resource(alice, "for-a-while", cluster=cluster))
    look_at(page, reverse("home"), axe, look)
    for name in [*names, "for-a-while", "sdm login"]:
        expect(page.get_by_role("main")).to_contain_text(name)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_what_an_auditor_sees(signed_in_page, alice, bob, axe, look):
    page, ids = signed_in_page(bob), make_objects(alice, bob)
    for route in PAGES:
        if route.name in {
            "clusters:cluster-list",
            "clusters:cluster-settings",
            "keys:cluster-keys",
            "resources:cluster-resources",
            "resources:resource-list",
            "resources:resource-detail",
            "audit:activity-list",
            "audit:session-list",
            "audit:session-detail",
            "audit:query-list",
            "audit:query-detail",
            "access:role-list",
            "access:role-rules",
            "access:role-members",
            "access:role-settings",
            "access:grant-list",
            "access:resource-access",
            "access:person-access",
            "accounts:account-list",
            "accounts:account-detail",
            "authority:authority-list",
        }:
            look_at(page, route.url(ids), axe, look)
