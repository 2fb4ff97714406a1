"""The frame around every page, as a browser shows it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Account
from tests.browser.conftest import LOOKS


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_front_page_is_accessible(
    signed_in_page: Callable[[Account], Page], charlie: Account, axe: Callable[[Page], None]
):
    page = signed_in_page(charlie)
    page.goto("/")
    expect(page.get_by_role("main")).to_be_visible()
    axe(page)


@pytest.mark.console_errors
def test_a_page_that_is_not_there_says_so(signed_in_page: Callable[[Account], Page], charlie: Account):
    page = signed_in_page(charlie)
    page.goto("/nothing-is-here/")
    expect(page.get_by_role("main")).to_contain_text("There is nothing here")
