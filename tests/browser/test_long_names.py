"""The longest names that everything may have: no page, no dialog and no message is wider than the window."""

import pytest
from playwright.sync_api import Page, expect

from access.models import MAX_NAME as MAX_ROLE
from access.models import Role
from accounts.models import Account
from clusters.models import MAX_NAME as MAX_CLUSTER
from clusters.models import MAX_TAG_KEY, MAX_TAG_VALUE, Cluster, Worker
from logins.models import ClientLogin
from resources.models import MAX_NAME as MAX_RESOURCE
from resources.models import Resource
from tests.audit.factories import make_session
from tests.browser.conftest import LOOKS, Look
from tests.browser.test_every_page import PAGES
from tests.every.objects import make_objects

NARROW_AND_WIDE = (Look(390), Look(1440))
MAX_PERSON = 150
HOST = ".".join(["h" * 61] * 4)
EMAIL = f"{'m' * 64}@{'.'.join(['d' * 60] * 3)}"
OPENS_A_DIALOG = 'main :is(a, button):is([hx-target="#dialog"], [hx-target="#dialog"] *):visible'
# Boxes of ours out of which something sticks. A wide table may scroll, cards may not.
OVERFLOWING = """() => [...document.querySelectorAll(
  "html, dialog[open], dialog[open] .dialog__body, .panel, .message, .empty, .page-head, .page-head > *, .facts > dd"
  + (innerWidth < 768 ? ", .table-wrap" : "")
)].filter((box) => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1)
  .map((box) => `${box.tagName} ${box.className}: ${box.scrollWidth} in ${box.clientWidth}`)"""


@pytest.fixture
def longest(alice: Account, bob: Account) -> dict[str, str]:
    """An object for each route, each named as long as can be, in one word."""
    ids = make_objects(alice, bob)
    for role in Role.objects.all():
        _rename(role, "r" * MAX_ROLE)
        _tag(role)
    for cluster in Cluster.objects.all():
        _rename(cluster, "c" * MAX_CLUSTER)
        _tag(cluster)
    for resource in Resource.objects.all():
        _rename(resource, "w" * MAX_RESOURCE)
        _tag(resource)
    Cluster.objects.update(address=f"{HOST}:65535", host=HOST)
    Resource.objects.update(hostname=HOST, port=65535, username="u" * 256)
    Worker.objects.update(host_name=HOST, version="9" * 64, problems=["p" * 200])
    Account.objects.filter(pk=bob.pk).update(name="n" * MAX_PERSON, email=EMAIL)
    ClientLogin.objects.update(host_name=HOST)
    names = {"account_name": "n" * MAX_PERSON, "resource_name": "w" * MAX_RESOURCE}
    session = make_session(b"SELECT 1", cluster_id=ids["cluster_id"], **names)
    return {**ids, "session_id": session.pk, "query_id": f"{session.pk}-1"}


def _rename(thing: Cluster | Resource | Role, name: str) -> None:
    type(thing).objects.filter(pk=thing.pk).update(name=name, name_folded=name)


def _tag(thing: Cluster | Resource | Role) -> None:
    thing.tags.create(key="k" * MAX_TAG_KEY, value="v" * MAX_TAG_VALUE)


def overflowing(page: Page, opened: str = "") -> list[str]:
    return [f"{page.url} {opened}: {box}" for box in page.evaluate(OVERFLOWING)]


@pytest.mark.parametrize("look", NARROW_AND_WIDE, ids=str)
def test_every_page_and_each_of_its_dialogs(signed_in_page, alice, longest, look):
    page, dialogs, wrong = signed_in_page(alice), 0, []
    for route in PAGES:
        url = route.url(longest)
        # What takes POST alone, or has no object behind it now, is no page.
        if page.request.get(url, max_redirects=0).status != 200:
            continue
        page.goto(url)
        wrong += overflowing(page)
        for opener in page.locator(OPENS_A_DIALOG).all():
            name = opener.inner_text()
            opener.click()
            expect(page.locator("dialog[open] h1")).to_be_visible()
            wrong += overflowing(page, name)
            # What shows a secret asks before it closes.
            page.goto(url)
            dialogs += 1
    assert wrong == [], "\n".join(wrong)
    assert dialogs >= 10


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_message_after_adding_a_cluster(signed_in_page, alice, look, axe):
    page = signed_in_page(alice)
    page.goto("/networking/proxy-clusters/")
    page.get_by_role("link", name="Add proxy cluster").first.click()
    page.get_by_label("Name").fill("c" * MAX_CLUSTER)
    page.get_by_label("Advertised Address").fill(f"{HOST}:443")
    page.get_by_role("button", name="Create proxy cluster").click()
    expect(page.get_by_text("was added.")).to_be_visible()
    assert overflowing(page) == []
    axe(page)


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_message_after_detaching_a_resource(signed_in_page, alice, longest, look, axe):
    page = signed_in_page(alice)
    page.goto(f"/resources/{longest['resource_id']}/")
    page.get_by_role("button", name="Detach").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert overflowing(page) == []
    axe(page)
