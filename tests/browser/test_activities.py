"""The log as a browser shows it: rows open, newcomers appear, nothing that is read is taken away."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Account
from audit.models import Activity
from audit.services import record
from audit.verbs import Verb
from tests.browser.conftest import LOOKS, TIMEOUT_MS, Look

SignedIn = Callable[[Account], Page]
WITHOUT_SCRIPTS = Look(scripts=False)


def make(actor: Account, name: str) -> Activity:
    return record(
        actor=actor, verb=Verb.RESOURCE_UPDATED, entity_name=name, before={"port": 1}, after={"port": 2}
    )


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_log_is_accessible(signed_in_page: SignedIn, bob: Account, axe: Callable[[Page], None]):
    make(bob, "billing")
    record(actor=bob, verb=Verb.PERMISSION_DENIED, entity_name="POST /", outcome=Activity.Outcome.DENIED)
    page = signed_in_page(bob)
    page.goto("/audit/activities/?actor=bob@example.com")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_text("changed resource billing").click()
    expect(page.get_by_text("Recorded as").last).to_be_visible()
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("link", name="just now").last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("bob@example.com changed resource billing")
    axe(page)


def test_a_newcomer_appears_and_an_open_row_stays_open(signed_in_page: SignedIn, bob: Account):
    opened = make(bob, "billing")
    page = signed_in_page(bob)
    page.goto("/audit/activities/")
    row = page.locator(f"#activity-{opened.pk}")
    row.locator("summary").click()
    page.locator("h1").click()
    page.evaluate("document.activeElement.blur()")
    newcomer = make(bob, "payroll")
    expect(page.locator(f"#activity-{newcomer.pk}")).to_be_visible(timeout=TIMEOUT_MS)
    expect(row).to_have_attribute("open", "")


def test_a_log_in_which_nothing_happens_answers_not_modified(signed_in_page: SignedIn, bob: Account):
    make(bob, "billing")
    page = signed_in_page(bob)
    page.goto("/audit/activities/")

    def poll() -> int:
        with page.expect_response("**/audit/activities/") as answer:
            page.locator("#activities").dispatch_event("console:tick")
        return answer.value.status

    poll()
    expect(page.locator("#activities:not(.htmx-request)")).to_be_visible()
    assert poll() == 304


@pytest.mark.parametrize("look", [WITHOUT_SCRIPTS], ids=str)
def test_all_of_it_works_without_scripts(signed_in_page: SignedIn, bob: Account):
    make(bob, "billing")
    page = signed_in_page(bob)
    page.goto("/audit/activities/")
    page.get_by_text("changed resource billing").click()
    expect(page.get_by_text("activity", exact=False).last).to_be_visible()
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("What").select_option("signed in")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url("/audit/activities/?verb=signed+in")
    expect(page.get_by_text("No activities match")).to_be_visible()
    page.get_by_role("link", name="Remove What: signed in").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename.endswith(".csv")
