"""The log of queries, as it is laid out."""

import pytest
from playwright.sync_api import expect

from sdm.contract.endings import Ending
from tests.audit.factories import answered, asked, began, new_session_id, tell


@pytest.mark.parametrize("text", [b"SELECT 1", b"SELECT orders.item FROM orders " * 4])
def test_why_a_query_failed_takes_two_lines(signed_in_page, alice, text):
    page, session_id = signed_in_page(alice), new_session_id()
    tell(began(session_id), asked(session_id, text=text), answered(session_id, error=Ending.RESOURCE_REFUSED))
    page.goto("/audit/queries/")
    words = page.get_by_text(Ending.RESOURCE_REFUSED.sentence)
    expect(words).to_be_visible()
    lines = words.evaluate("it => it.offsetHeight / parseFloat(getComputedStyle(it).lineHeight)")
    assert 1 <= round(lines) <= 2
