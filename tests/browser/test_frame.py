"""The frame around every page, as a browser shows it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Account
from tests.browser.conftest import LOOKS, Look


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_front_page_is_accessible(
    signed_in_page: Callable[[Account], Page], charlie: Account, axe: Callable[[Page], None]
):
    page = signed_in_page(charlie)
    page.goto("/")
    expect(page.get_by_role("main")).to_be_visible()
    axe(page)


@pytest.mark.parametrize("look", [Look(390), Look(390, "dark", scripts=False)], ids=str)
def test_a_second_tap_at_the_same_place_closes_the_menu(
    signed_in_page: Callable[[Account], Page], alice: Account, look: Look
):
    page = signed_in_page(alice)
    page.goto("/networking/proxy-clusters/")
    box = page.get_by_text("Menu", exact=True).bounding_box()
    assert box
    entry = page.get_by_role("navigation", name="Menu").get_by_role("link", name="Roles")
    expect(entry).to_be_hidden()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(*middle)
    expect(entry).to_be_visible()
    page.mouse.click(*middle)
    expect(entry).to_be_hidden()
    page.mouse.click(*middle)
    page.get_by_role("link", name="Proxy Clusters").first.click()
    expect(entry).to_be_hidden()


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("url", ["/nothing-is-here/", "/settings/people/", "/settings/security/sessions/"])
@pytest.mark.console_errors
def test_what_went_wrong_leaves_the_navigation(
    signed_in_page: Callable[[Account], Page], charlie: Account, axe: Callable[[Page], None], url: str
):
    page = signed_in_page(charlie)
    page.goto(url)
    axe(page)


@pytest.mark.console_errors
def test_a_page_that_is_not_there_says_so(signed_in_page: Callable[[Account], Page], charlie: Account):
    page = signed_in_page(charlie)
    page.goto("/nothing-is-here/")
    expect(page.get_by_role("main")).to_contain_text("There is nothing here")
