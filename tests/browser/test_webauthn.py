"""Security keys end to end, with Chromium's virtual authenticator, under the console's own policy."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from playwright.sync_api import Page, expect

from accounts.models import Account
from audit.models import Activity
from tests.accounts.people import has_factor
from tests.people import PASSWORD


@pytest.fixture(autouse=True)
def _no_counters(transactional_db: None) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def key(page: Page) -> dict[str, Any]:
    """A key with a PIN that its holder always knows."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "usb",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    authenticator = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
    return {"session": session, "authenticatorId": authenticator}


def forget_key(key: dict[str, Any]) -> None:
    key["session"].send("WebAuthn.clearCredentials", {"authenticatorId": key["authenticatorId"]})


def add_key(page: Page, *, alone: bool) -> None:
    page.goto("/settings/security/")
    page.get_by_role("link", name="Add a security key").click()
    page.get_by_label("Name").fill("Blue key")
    if alone:
        page.get_by_label("Sign in with this key alone").check()
    page.get_by_role("button", name="Add key").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").first.click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_key_is_the_second_factor(
    signed_in_page: Callable[[Account], Page], alice: Account, key: dict[str, Any]
) -> None:
    page = signed_in_page(alice)
    add_key(page, alone=False)
    assert has_factor(alice, "webauthn")
    sign_out(page)
    page.goto("/settings/people/")
    page.get_by_label("E-mail address").fill(alice.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Use a security key").click()
    expect(page.get_by_role("heading", name="People")).to_be_visible()
    verbs = set(Activity.objects.values_list("verb", flat=True))
    assert {"second factor added", "recovery codes made", "signed out", "signed in"} <= verbs


def test_a_passkey_signs_in_alone_and_leads_to_the_page_that_was_asked_for(
    signed_in_page: Callable[[Account], Page], alice: Account, key: dict[str, Any]
) -> None:
    page = signed_in_page(alice)
    add_key(page, alone=True)
    sign_out(page)
    page.goto("/settings/people/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="People")).to_be_visible()


def test_a_suspended_person_s_passkey_signs_nobody_in(
    signed_in_page: Callable[[Account], Page], alice: Account, key: dict[str, Any]
) -> None:
    page = signed_in_page(alice)
    add_key(page, alone=True)
    sign_out(page)
    Account.objects.update(is_active=False)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Your account is suspended")).to_be_visible()


def test_a_key_confirms_who_is_there(
    signed_in_page: Callable[[Account], Page], alice: Account, key: dict[str, Any]
) -> None:
    page = signed_in_page(alice)
    add_key(page, alone=False)
    page.goto("/confirm/?next=/settings/people/")
    page.get_by_role("link", name="Use a security key").click()
    page.get_by_role("button", name="Use a security key").click()
    expect(page.get_by_role("heading", name="People")).to_be_visible()


def test_a_removed_key_opens_nothing(
    signed_in_page: Callable[[Account], Page], alice: Account, key: dict[str, Any]
) -> None:
    page = signed_in_page(alice)
    add_key(page, alone=True)
    page.goto("/settings/security/")
    page.get_by_role("link", name="Rename Blue key").click()
    page.get_by_label("Name").fill("<b>Green</b>")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Remove <b>Green</b>").click()
    page.get_by_role("button", name="Remove key").click()
    expect(page.get_by_text("Whoever knows your password can sign in.")).to_be_visible()
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("This key is not one of yours here")).to_be_visible()
    assert Activity.objects.filter(verb="sign-in failed", after__reason="security key refused").exists()


@pytest.mark.console_errors
def test_a_key_that_does_not_answer_is_told_about(
    signed_in_page: Callable[[Account], Page], alice: Account, key: dict[str, Any]
) -> None:
    page = signed_in_page(alice)
    add_key(page, alone=False)
    page.goto("/confirm/security-key/?next=/settings/people/")
    forget_key(key)
    page.get_by_role("button", name="Use a security key").click()
    expect(page.get_by_text("Nothing was chosen, or it took too long.")).to_be_visible()
