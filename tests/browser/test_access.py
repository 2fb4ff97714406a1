"""Roles, rules with their preview, members and temporary access, as an administrator uses them."""

import pytest
from playwright.sync_api import expect

from access.models import Attachment, Grant, Role, Rule
from tests.access.factories import attach, choose, make_role
from tests.browser.conftest import LOOKS, Look
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource

ROLES = "/access/roles/"


@pytest.fixture
def resources(alice):
    cluster = make_cluster("keen-coffee")
    return [
        make_resource(alice, "orders-db", cluster=cluster, tags={"Environment": "sandbox"}),
        make_resource(alice, "cache", cluster=cluster, kind="redis", tags={"Environment": "sandbox"}),
    ]


def test_a_role_its_rule_and_its_members(signed_in_page, alice, charlie, resources):
    page = signed_in_page(alice)
    page.goto(ROLES)
    page.get_by_role("link", name="Add role").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("developers")
    dialog.get_by_role("button", name="Create role").click()
    page.get_by_role("link", name="Add rule").click()

    preview = page.locator("#preview")
    expect(page.get_by_role("button", name="Preview")).to_be_hidden()
    page.get_by_label("PostgreSQL").check()
    expect(preview).to_contain_text("Opens 1 resource now")
    page.get_by_label("Redis").check()
    expect(preview).to_contain_text("Opens 2 resources now")
    page.get_by_label("Tag key").first.fill("Environment")
    page.get_by_label("Tag value").first.fill("production")
    expect(preview).to_contain_text("Opens nothing now.")
    page.get_by_role("button", name="Remove this tag").first.click()
    expect(preview).to_contain_text("Opens 2 resources now")
    page.get_by_label("In this proxy cluster").fill("keen")
    expect(preview).to_contain_text("There is no proxy cluster of this name. Did you mean keen-coffee?")
    page.get_by_role("option", name="keen-coffee").click()
    expect(preview).to_contain_text("Opens 2 resources now")
    page.get_by_role("button", name="Add rule").click()
    expect(page.get_by_text("PostgreSQL or Redis")).to_be_visible()

    page.get_by_role("link", name="Members").click()
    page.get_by_role("combobox", name="Person").press_sequentially("char")
    page.get_by_role("option", name="charlie@example.com").click()
    page.get_by_role("button", name="Add member").click()
    expect(page.get_by_text("Charlie has the role developers now.")).to_be_visible()
    page.get_by_role("link", name="Charlie").click()
    expect(page.get_by_role("table", name="What Charlie can reach, and why")).to_contain_text("orders-db")
    page.get_by_role("link", name="orders-db").click()
    expect(page.get_by_role("table")).to_contain_text("charlie@example.com")

    page.goto(f"{ROLES}{Role.objects.get().pk}/members/")
    page.get_by_role("button", name="Remove Charlie").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Charlie has the role developers now.")).to_be_visible()


def test_resources_by_name(signed_in_page, alice, resources):
    page = signed_in_page(alice)
    role = make_role(alice, "developers")
    page.goto(f"{ROLES}{role.pk}/rules/new/")
    expect(page.get_by_label("Resources, one in a line")).to_be_hidden()
    page.get_by_label("These, by name").check()
    expect(page.get_by_label("PostgreSQL")).to_be_hidden()
    page.get_by_label("Resources, one in a line").fill("cache\norder")
    expect(page.locator("#preview")).to_contain_text("There is no resource “order”. Did you mean orders-db?")
    page.get_by_label("Resources, one in a line").fill("cache\nORDERS-db")
    expect(page.locator("#preview")).to_contain_text("Opens 2 resources now")
    page.get_by_role("button", name="Add rule").click()
    expect(page.get_by_role("heading", name="These resources")).to_be_visible()


def test_temporary_access(signed_in_page, alice, charlie, resources):
    page = signed_in_page(alice)
    page.goto(f"/resources/{resources[0].pk}/access/")
    page.get_by_role("link", name="Give temporary access").click()
    expect(page.get_by_role("combobox", name="Resource")).to_have_value("orders-db")
    page.get_by_role("combobox", name="Person").fill("charlie@example.com")
    page.get_by_role("button", name="Give access").click()
    expect(page.get_by_label("Reason")).to_be_focused()
    page.get_by_label("Reason").fill("Incident 4711")
    page.get_by_role("button", name="Give access").click()
    expect(page.get_by_text("Charlie has temporary access to orders-db.")).to_be_visible()
    page.get_by_role("button", name="End the access of Charlie to orders-db now").click()
    expect(page.get_by_text("Nobody has temporary access")).to_be_visible()
    assert Grant.objects.get().ended_by == alice


@pytest.mark.parametrize("look", [Look(scripts=False), Look(390, scripts=False)], ids=str)
def test_everything_works_without_scripts(signed_in_page, alice, charlie, resources):
    page = signed_in_page(alice)
    page.goto(ROLES)
    page.get_by_role("link", name="Add role").first.click()
    page.get_by_label("Name").fill("developers")
    page.get_by_role("button", name="Create role").click()
    page.get_by_role("link", name="Add rule").click()
    page.get_by_label("PostgreSQL").check()
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("Opens 1 resource now")
    expect(page.get_by_label("PostgreSQL")).to_be_checked()
    page.get_by_role("button", name="Add rule").click()
    page.get_by_role("link", name="Change rule 1").click()
    page.get_by_label("These, by name").check()
    page.get_by_label("Resources, one in a line").fill("cache")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("cache")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_role("link", name="Members").click()
    page.get_by_role("combobox", name="Person").fill("charlie@example.com")
    page.get_by_role("button", name="Add member").click()
    expect(page.get_by_text("Charlie has the role developers now.")).to_be_visible()
    page.get_by_role("link", name="Settings", exact=True).last.click()
    page.get_by_role("link", name="Delete role").click()
    page.get_by_label("Type developers to confirm").fill("developers")
    page.get_by_role("button", name="Delete role").click()
    expect(page.get_by_text("developers is deleted.")).to_be_visible()
    assert not Rule.objects.exists() and not Attachment.objects.exists()


WIDTHS = (*LOOKS, Look(768), Look(2560, "dark"))


@pytest.mark.parametrize("look", WIDTHS, ids=str)
def test_long_words_and_refused_forms_stay_inside_the_page(
    signed_in_page, alice, charlie, resources, axe, look
):
    page = signed_in_page(alice)
    role = make_role(alice, "averylongnameofarole" * 6, **{"Key" * 40: "value" * 50})
    resource = make_resource(alice, "averylongnameofaresource" * 5, cluster=resources[0].cluster)
    attach(alice, charlie, role)
    rule = choose(role, resource, *resources)
    pages = [
        ROLES,
        f"{ROLES}{role.pk}/",
        f"{ROLES}{role.pk}/members/",
        f"{ROLES}{role.pk}/rules/{rule.pk}/",
        f"/resources/{resource.pk}/access/",
        f"/settings/people/{charlie.pk}/access/",
    ]
    for address in pages:
        page.goto(address)
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= look.width, address
    page.goto(f"{ROLES}{role.pk}/rules/new/")
    page.get_by_role("button", name="Add rule").click()
    expect(page.get_by_text("a rule without any of them would open nothing").first).to_be_visible()
    axe(page)
    page.goto("/access/grants/new/")
    page.get_by_role("button", name="Give access").click()
    expect(page.get_by_text("Enter a resource here, or a role below.")).to_be_visible()
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= look.width
