"""Resources as a person works with them: adding, replacing a secret, attaching, and back again."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Account
from resources.kinds import KINDS
from resources.models import Resource
from tests.browser.conftest import LOOKS, Look
from tests.clusters.factories import make_cluster, make_worker
from tests.resources.factories import make_resource, store_secret, stored_secret

SignedIn = Callable[[Account], Page]
Axe = Callable[[Page], None]


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_each_page_is_accessible_and_fits(signed_in_page: SignedIn, alice: Account, axe: Axe, look: Look):
    here, there = make_cluster("keen-coffee"), make_cluster("calm-tea")
    resource = make_resource(alice, "orders " + "long-name" * 12, cluster=here, tags={"Team": "x" * 200})
    store_secret(resource, "secret")
    make_resource(alice, "wiki", kind="httpNoAuth", cluster=there, healthy=False)
    page = signed_in_page(alice)
    tab = f"/networking/proxy-clusters/{here.pk}/"
    for path in (
        "/resources/",
        "/resources/?q=nothing-is-called-so+type:ssh",
        "/resources/new/",
        *(f"/resources/new/{kind}/" for kind in ("postgres", "sshCustomerKey", "httpAuth")),
        f"/resources/{resource.pk}/",
        f"/resources/{resource.pk}/edit/",
        f"/resources/{resource.pk}/deletion/",
        f"/resources/{resource.pk}/credentials/password/",
        tab,
        f"{tab}attachments/",
    ):
        page.goto(path)
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= look.width, path


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_what_is_broken_is_told_by_word_and_shape(signed_in_page: SignedIn, alice: Account, look: Look):
    page = signed_in_page(alice)
    page.goto(f"/resources/{make_resource(alice, 'orders', cluster=make_cluster()).pk}/")
    chain = page.get_by_role("region", name="Reachability")
    shapes = set()
    for word in ("Holds", "Broken"):
        status = chain.get_by_text(word).first
        box = status.bounding_box()
        assert box
        assert box["width"] > 20
        shapes.add(status.evaluate("e => getComputedStyle(e, '::before').clipPath"))
    assert len(shapes) == 2


def test_a_tag_of_several_lines_is_no_ellipse(signed_in_page: SignedIn, alice: Account):
    page = signed_in_page(alice)
    resource = make_resource(alice, "orders", tags={"Team": "several words " * 15, "Env": "b"})
    page.goto(f"/resources/{resource.pk}/")
    radius = page.locator(".tag").first.evaluate("e => parseFloat(getComputedStyle(e).borderTopLeftRadius)")
    assert 8 < radius < 16


def test_addresses_are_copied_where_they_stand(signed_in_page: SignedIn, alice: Account):
    cluster = make_cluster()
    resource = make_resource(alice, "orders", cluster=cluster, port_override=10_007)
    worker = make_worker(cluster)
    page = signed_in_page(alice)
    tab = f"/networking/proxy-clusters/{cluster.pk}/"
    for url, name, text in (
        ("/resources/", "Copy the address", "db.internal:5432"),
        (tab, "Copy the address", "db.internal:5432"),
        (f"/resources/{resource.pk}/", "Copy the local address", "127.0.0.1:10007"),
        (f"{tab}workers/", "Copy the worker's id", worker.pk),
        (f"{tab}workers/", "Copy the source address", "192.0.2.7"),
        (f"{tab}workers/", "Copy the access key", worker.access_key),
    ):
        page.goto(url)
        page.get_by_role("main").get_by_role("button", name=name, exact=True).last.click()
        expect(page.locator("#announcements")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == text


def test_adding_with_the_keyboard_alone(signed_in_page: SignedIn, alice: Account):
    make_cluster("keen-coffee")
    page = signed_in_page(alice)
    page.goto("/resources/new/postgres/")
    page.get_by_label("Name", exact=True).fill("orders")
    cluster = page.get_by_role("combobox", name="Proxy Cluster")
    cluster.press_sequentially("coff")
    expect(page.get_by_role("option", name="keen-coffee")).to_be_visible()
    cluster.press("ArrowDown")
    cluster.press("Enter")
    expect(cluster).to_have_value("keen-coffee")
    page.get_by_label("Host").fill("169.254.169.254")
    for label in ("Username", "Password", "Database"):
        page.get_by_label(label, exact=True).fill("typed")
    page.get_by_label("Database", exact=True).press("Enter")
    expect(page.get_by_label("Host")).to_be_focused()
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    page.get_by_label("Password", exact=True).fill("typed-again")
    page.get_by_label("Host").fill("db.internal")
    page.get_by_label("Host").press("Enter")
    expect(page.get_by_role("heading", name="orders")).to_be_visible()
    assert stored_secret(Resource.objects.get()) == "typed-again"


@pytest.mark.parametrize("look", [Look(), Look(390, scripts=False)], ids=str)
def test_a_secret_is_replaced(signed_in_page: SignedIn, alice: Account, look: Look):
    resource = make_resource(alice, "orders")
    store_secret(resource, "old")
    page = signed_in_page(alice)
    page.goto(f"/resources/{resource.pk}/")
    page.get_by_role("link", name="Replace the password").click()
    page.get_by_label("New password").fill("new")
    page.get_by_role("button", name="Replace password").click()
    expect(page.get_by_text("Password replaced.")).to_be_visible()
    assert stored_secret(resource) == "new"


@pytest.mark.parametrize("look", [Look(), Look(390, scripts=False)], ids=str)
def test_attaching_and_undoing(signed_in_page: SignedIn, alice: Account, look: Look):
    cluster = make_cluster("keen-coffee")
    for name in ("one", "two"):
        make_resource(alice, name)
    page = signed_in_page(alice)
    page.goto(f"/networking/proxy-clusters/{cluster.pk}/")
    page.get_by_role("link", name="Attach existing").click()
    for name in ("one", "two"):
        page.get_by_role("checkbox", name=f"Attach {name}").check()
    page.get_by_role("button", name="Attach chosen").click()
    expect(page.get_by_text("2 resources are attached to keen-coffee.")).to_be_visible()
    assert cluster.resources.count() == 2
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Nothing is attached to keen-coffee yet")).to_be_visible()
    assert cluster.resources.count() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_rare_settings_open_when_they_say_something(signed_in_page: SignedIn, alice: Account, kind: str):
    if not KINDS[kind].form.rare:
        return
    page = signed_in_page(alice)
    page.goto(f"/resources/new/{kind}/")
    folded = page.locator("details.more")
    expect(folded).not_to_have_attribute("open", "")
    folded.locator("summary").click()
    folded.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Add resource").click()
    expect(folded).to_have_attribute("open", "")
