"""Pages of people in a real browser: the dialogs, without scripts, and what the rules of accessibility say."""

import re
from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from playwright.sync_api import Page, expect

from accounts import services
from accounts.models import Account
from accounts.policy import Level
from accounts.setup import setup_path
from tests.accounts.people import NEW_PASSWORD, add_app, recovery_codes
from tests.browser.conftest import LOOKS, Look
from tests.people import make_account

PAGES = (
    "/settings/people/",
    "/settings/people/invitations/new/",
    "/settings/security/",
    "/settings/security/password/",
    "/settings/security/app/removal/",
    "/settings/security/keys/new/",
    "/settings/security/codes/",
    "/settings/security/codes/new/",
    "/confirm/",
    "/confirm/code/",
    "/sign-out/",
)


@pytest.fixture(autouse=True)
def _no_counters(transactional_db: None) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def no_wider_than_the_window(page: Page) -> None:
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, page.url


@pytest.mark.parametrize("look", LOOKS[1:3], ids=str)
def test_every_page_is_accessible(
    signed_in_page: Callable[[Account], Page], alice: Account, axe: Callable[[Page], None]
) -> None:
    page = signed_in_page(alice)
    page.goto("/settings/security/app/")
    axe(page)
    add_app(alice)
    recovery_codes(alice)
    charlie = make_account("Charlie", Level.USER)
    services.invitation_create(actor=alice, email="somebody.with.a.long.name@example.com", level=Level.ADMIN)
    for path in (*PAGES, f"/settings/people/{charlie.pk}/", f"/settings/people/{alice.pk}/"):
        page.goto(path)
        axe(page)
        no_wider_than_the_window(page)


@pytest.mark.parametrize("look", LOOKS[1:3], ids=str)
def test_every_page_before_sign_in_is_accessible(
    page: Page, transactional_db: None, axe: Callable[[Page], None]
) -> None:
    paths = [setup_path(), "/sign-in/", "/sign-in/forgotten/", "/sign-in/suspended/"]
    for path in paths:
        page.goto(str(path))
        axe(page)
    alice = make_account("Alice", Level.ADMIN)
    issued = services.invitation_create(actor=alice, email="dora@example.com", level=Level.USER)
    lost = services.password_link_create(actor=alice, account=alice)
    for path in (f"/invitation/{issued.token}/", f"/new-password/{lost.token}/"):
        page.goto(path)
        axe(page)
        no_wider_than_the_window(page)


@pytest.mark.console_errors  # a form that is not valid answers 422
def test_an_invitation_in_the_dialog(signed_in_page: Callable[[Account], Page], alice: Account) -> None:
    page = signed_in_page(alice)
    page.goto("/settings/people/")
    page.get_by_role("link", name="Invite somebody").click()
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_label("E-mail address")
    expect(field).to_be_focused()
    field.fill("nonsense")
    dialog.get_by_role("button", name="Invite").click()
    expect(dialog.get_by_text("Enter a valid email address.")).to_be_visible()
    expect(field).to_be_focused()
    expect(field).to_have_value("nonsense")
    field.fill("dora@example.com")
    field.press("Enter")
    link = dialog.get_by_role("region", name="The link")
    expect(link).to_have_text(re.compile(r"/invitation/[\w-]{43}/"))
    address = link.inner_text()
    page.keyboard.press("Escape")
    expect(dialog.get_by_text("The link was not copied yet")).to_be_visible()
    dialog.get_by_role("button", name="Copy the link").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Pending invitations")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == address
    # Nothing of the secret stays in the page, nor comes back with it.
    assert address not in page.content()
    page.go_back()
    assert address not in page.content()


def test_the_dialog_obeys_the_policy(signed_in_page: Callable[[Account], Page], alice: Account) -> None:
    page = signed_in_page(alice)
    page.goto("/settings/people/")
    page.get_by_role("link", name="Invite somebody").click()
    page.get_by_label("E-mail address").fill("dora@example.com")
    page.get_by_role("button", name="Invite", exact=True).click()
    page.get_by_role("button", name="Copy the link").click()
    page.get_by_role("link", name="Done").click()
    page.get_by_role("button", name="New link for dora@example.com").click()
    expect(page.get_by_role("region", name="The link")).to_be_visible()


@pytest.mark.parametrize("look", [Look(scripts=False)], ids=str)
def test_inviting_and_accepting_without_scripts(
    signed_in_page: Callable[[Account], Page], alice: Account
) -> None:
    page = signed_in_page(alice)
    page.goto("/settings/people/")
    page.get_by_role("link", name="Invite somebody").click()
    page.get_by_label("E-mail address").fill("dora@example.com")
    page.get_by_label("Auditor: sees everything").check()
    page.get_by_role("button", name="Invite", exact=True).click()
    address = page.get_by_role("region", name="The link").inner_text()
    page.goto(address[address.index("/invitation/") :])
    page.get_by_label("Name").fill("Dora")
    page.get_by_label("Password", exact=True).fill(NEW_PASSWORD)
    page.get_by_label("Password, once more").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="Proxy Clusters")).to_be_visible()
    assert Account.objects.get(email="dora@example.com").level == Level.AUDITOR


def test_suspending_is_undone_from_its_message(
    signed_in_page: Callable[[Account], Page], alice: Account
) -> None:
    charlie = make_account("Charlie", Level.USER)
    page = signed_in_page(alice)
    page.goto(f"/settings/people/{charlie.pk}/")
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("Charlie is suspended and signed out.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Charlie can sign in again.")).to_be_visible()
    charlie.refresh_from_db()
    assert charlie.is_active
