"""Proxy clusters as an administrator uses them: with the mouse, the keyboard alone, and without scripts."""

import itertools
import re

import pytest
from playwright.sync_api import expect

from clusters.models import Cluster, Worker
from keys.models import ClusterKey
from tests.browser.conftest import LOOKS, Look
from tests.clusters.factories import make_cluster, make_worker

LIST = "/networking/proxy-clusters/"


def tab(cluster, name):
    return f"{LIST}{cluster.pk}/{name}/"


@pytest.fixture
def clusters(alice):
    made = [
        make_cluster("keen-coffee", "10.0.0.021:443", Environment="sandbox"),
        make_cluster(
            "calm-tea", "[2001:db8::1]:443", Environment="production", Team="a rather long value " * 8
        ),
    ]
    make_worker(made[0], host_name="edge-1.a-very-long-host-name.internal.example.com")
    make_worker(made[0], Worker.State.DEAD, host_name="edge-2")
    return made


def test_a_cluster_its_key_and_nothing_left_behind(signed_in_page, alice):
    page = signed_in_page(alice)
    page.goto(LIST)
    page.get_by_role("link", name="Add proxy cluster").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("keen-coffee")
    dialog.get_by_role("button", name="Create proxy cluster").click()
    expect(dialog.get_by_label("Advertised Address")).to_be_focused()
    expect(dialog).to_contain_text("Enter where clients connect")
    dialog.get_by_label("Advertised Address").fill("127.0.0.1:8443")
    dialog.get_by_label("Tag key").first.fill("Environment")
    dialog.get_by_label("Tag value").first.fill("sandbox")
    dialog.get_by_role("button", name="Create proxy cluster").click()
    page.wait_for_url("**/keys/")

    page.get_by_role("button", name="Add authentication key").click()
    expect(dialog).to_contain_text("Authentication key for keen-coffee")
    expect(dialog).to_contain_text("Waiting for a worker")
    dialog.get_by_role("button", name="Copy the secret key").click()
    expect(page.locator("#announcements")).to_have_text("Copied")
    secret = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"sdmpck_[0-9A-Za-z]{49}", secret)

    make_worker(
        Cluster.objects.get(), access_key=ClusterKey.objects.get().pk, host_name="edge-7", version="9.9"
    )
    expect(dialog).to_contain_text("edge-7", timeout=12_000)

    dialog.get_by_role("link", name="Done").click()
    expect(page.get_by_role("table", name="Authentication keys")).to_contain_text(ClusterKey.objects.get().pk)
    assert secret not in page.content()
    page.go_back()
    assert secret not in page.content()
    page.go_forward()
    assert secret not in page.content()

    page.goto(LIST)
    page.get_by_role("link", name="Environment=sandbox").click()
    expect(page.get_by_role("searchbox").or_(page.get_by_role("combobox"))).to_have_value(
        "tags:Environment=sandbox"
    )
    expect(page.get_by_role("link", name="keen-coffee")).to_be_visible()


def test_closing_a_key_that_was_not_copied_asks_once(signed_in_page, alice, clusters):
    page = signed_in_page(alice)
    page.goto(tab(clusters[0], "keys"))
    page.get_by_role("button", name="Add authentication key").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Waiting for a worker")
    expect(dialog.get_by_role("alert")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(dialog.get_by_role("alert")).to_contain_text("Nothing was copied yet")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("row")).to_have_count(2)


def test_removing_rows_by_keyboard_goes_on_to_the_next(signed_in_page, alice):
    page = signed_in_page(alice)
    page.goto(f"{LIST}new/")
    rows, add = page.locator("[data-row]"), page.get_by_role("button", name="Add a tag")
    while rows.count() < 3:
        add.click()
    for number, key in enumerate("abc"):
        rows.nth(number).get_by_label("Tag key").fill(key)
    removers = page.get_by_role("button", name="Remove this tag")
    removers.nth(1).press("Enter")
    expect(rows).to_have_count(2)
    expect(removers.nth(1)).to_be_focused()
    expect(rows.nth(1).get_by_label("Tag key")).to_have_value("c")
    page.keyboard.press("Enter")
    expect(removers.first).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows).to_have_count(0)
    expect(add).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows.first.get_by_label("Tag key")).to_be_focused()


@pytest.mark.parametrize("asked", [False, True])
def test_a_key_that_a_worker_joined_with_was_copied(signed_in_page, alice, clusters, asked):
    page = signed_in_page(alice)
    page.goto(tab(clusters[0], "keys"))
    page.get_by_role("button", name="Add authentication key").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Waiting for a worker")
    if asked:
        page.keyboard.press("Escape")
        expect(dialog.get_by_role("alert")).to_be_visible()
    make_worker(clusters[0], access_key=ClusterKey.objects.get().pk, host_name="edge-7")
    expect(dialog).to_contain_text("edge-7", timeout=12_000)
    expect(dialog.get_by_role("alert")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_search_by_keyboard_alone(signed_in_page, alice, clusters):
    page = signed_in_page(alice)
    page.goto(LIST)
    page.keyboard.press("/")
    search = page.get_by_role("combobox", name="Search proxy clusters")
    expect(search).to_be_focused()
    page.keyboard.type("ta")
    options = page.get_by_role("listbox", name="Suggestions").get_by_role("option")
    expect(options.first).to_have_text("tags:")
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(search).to_have_value("tags:")
    expect(options.first).to_have_text("tags:Environment=")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(options.nth(1)).to_have_text("tags:Environment=sandbox")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(search).to_have_value("tags:Environment=sandbox")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page).to_have_url(re.compile("q=tags%3AEnvironment%3Dsandbox"))
    expect(search).to_be_focused()
    page.get_by_role("link", name="Remove tags:Environment=sandbox").click()
    expect(page.get_by_role("row")).to_have_count(3)
    page.go_back()
    expect(page.get_by_role("row")).to_have_count(2)
    expect(search).to_have_value("tags:Environment=sandbox")


def test_the_keys_are_listed_on_question_mark(signed_in_page, alice, clusters):
    page = signed_in_page(alice)
    page.goto(LIST)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Go to the search field")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.parametrize("look", [Look(scripts=False), Look(390, scripts=False)], ids=str)
def test_everything_works_without_scripts(signed_in_page, alice):
    page = signed_in_page(alice)
    page.goto(LIST)
    page.get_by_role("link", name="Add proxy cluster").first.click()
    page.get_by_label("Name").fill("keen-coffee")
    page.get_by_label("Advertised Address").fill("127.0.0.1")
    page.get_by_role("button", name="Create proxy cluster").click()
    expect(page.get_by_text("Did you mean 127.0.0.1:443?")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("keen-coffee")
    page.get_by_label("Advertised Address").fill("127.0.0.1:443")
    page.get_by_role("button", name="Create proxy cluster").click()
    page.get_by_role("button", name="Add authentication key").click()
    expect(page.get_by_text("sdmpck_").first).to_be_visible()
    page.get_by_role("link", name="Done").click()
    page.get_by_role("link", name="Delete gk-").click()
    page.get_by_role("button", name="Delete key").click()
    expect(page.get_by_text("is deleted")).to_be_visible()
    page.get_by_role("link", name="Settings", exact=True).last.click()
    page.get_by_label("Tag key").first.fill("Environment")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.goto(LIST)
    page.locator("#q").fill("tags:Environment=")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("link", name="keen-coffee")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_page_of_a_cluster_is_accessible(signed_in_page, alice, clusters, axe, look):
    page = signed_in_page(alice)
    cluster = clusters[0]
    alice_sees = [
        LIST,
        f"{LIST}?q=tags:Environment=sandbox+10.0.0.21:443+nmae:x",
        f"{LIST}?q=coffee",
        f"{LIST}new/",
        f"{LIST}{cluster.pk}/",
        tab(cluster, "keys"),
        tab(cluster, "workers"),
        tab(clusters[1], "workers"),
        tab(cluster, "settings"),
        tab(cluster, "deletion"),
    ]
    for url in alice_sees:
        page.goto(url)
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= look.width, url
    page.goto(tab(cluster, "keys"))
    page.get_by_role("button", name="Add authentication key").click()
    expect(page.get_by_role("dialog")).to_contain_text("Waiting for a worker")
    axe(page)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_form_with_errors_is_accessible(signed_in_page, alice, axe):
    page = signed_in_page(alice)
    page.goto(LIST)
    axe(page)  # nothing there yet
    page.get_by_role("link", name="Add proxy cluster").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tag key").first.fill("a=b")
    dialog.get_by_role("button", name="Create proxy cluster").click()
    expect(dialog).to_contain_text("cannot contain")
    axe(page)


@pytest.mark.parametrize("look", [Look(320), Look(720), Look(2560)], ids=str)
def test_nothing_is_wider_than_the_window(signed_in_page, alice, clusters, look):
    """720 px are 1440 at 200 % zoom, 320 px are 1280 at 400 % (WCAG 1.4.10)."""
    page = signed_in_page(alice)
    for url in [
        LIST,
        f"{LIST}?q={'y' * 500}",
        *(tab(clusters[1], name) for name in ("keys", "workers", "settings")),
    ]:
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth") <= look.width, url


@pytest.mark.console_errors  # the browser says itself what failed
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "did not answer"),
        (500, "could not finish"),
        (403, "may not do this"),
        (404, "not there any more"),
    ],
)
def test_a_form_that_fails_on_the_way_says_so_and_keeps_what_was_typed(signed_in_page, alice, answer, words):
    page = signed_in_page(alice)
    page.goto(LIST)
    page.get_by_role("link", name="Add proxy cluster").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Advertised Address").fill("127.0.0.1:443")
    page.route(
        "**/new/", lambda route: route.abort() if answer is None else route.fulfill(status=answer, body="")
    )
    dialog.get_by_role("button", name="Create proxy cluster").click()
    expect(dialog.get_by_role("alert")).to_contain_text(words)
    expect(dialog.get_by_label("Advertised Address")).to_have_value("127.0.0.1:443")
    expect(dialog.get_by_role("button", name="Create proxy cluster")).to_be_enabled()


def test_a_double_click_adds_one_cluster(signed_in_page, alice):
    page = signed_in_page(alice)
    page.goto(f"{LIST}new/")
    page.get_by_label("Name").fill("")
    page.get_by_label("Advertised Address").fill("127.0.0.1:443")
    page.get_by_role("button", name="Create proxy cluster").dblclick()
    page.wait_for_url("**/keys/")
    assert Cluster.objects.count() == 1


def test_a_wrong_window_takes_the_focus(signed_in_page, alice, clusters):
    page = signed_in_page(alice)
    page.goto(tab(clusters[0], "settings"))
    schedule = page.get_by_label("Cron schedule in UTC").first
    schedule.fill("x y")
    page.get_by_role("button", name="Save windows").click()
    expect(page.get_by_text("A schedule has five fields")).to_be_in_viewport()
    expect(page.get_by_label("Cron schedule in UTC").first).to_be_focused()


@pytest.mark.parametrize("look", [Look(390), Look(720)], ids=str)
def test_a_narrow_list_can_be_sorted_and_nothing_overlaps(signed_in_page, alice, clusters):
    make_cluster("bare-cluster")
    page = signed_in_page(alice)
    page.goto(LIST)
    page.get_by_role("link", name="Created").click()
    expect(page).to_have_url(re.compile("sort=created"))
    row = page.get_by_role("row").filter(has_text="bare-cluster")
    # What is empty takes no room.
    shown = row.locator("td:visible")
    assert shown.count() >= 4
    boxes = [shown.nth(number).bounding_box() for number in range(shown.count())]
    for above, below in itertools.pairwise(boxes):
        assert above
        assert below
        assert above["y"] + above["height"] <= below["y"] + 1


def test_the_longest_name_leaves_room_for_the_rest(signed_in_page, alice):
    make_cluster("a" * 63, **{"aws:cost": "a:b"})
    page = signed_in_page(alice)
    page.goto(LIST)
    box = page.get_by_role("row").nth(1).bounding_box()
    assert box
    assert box["height"] < 120
    wrap = page.locator(".table-wrap")
    assert wrap.evaluate("e => e.scrollWidth <= e.clientWidth")
