"""Restart, its dialog, and the way back while it has not begun."""

import pytest
from playwright.sync_api import expect

from clusters.models import Worker
from tests.browser.conftest import Look
from tests.clusters.factories import make_cluster, make_worker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("look", [Look(), Look(390, "dark"), Look(scripts=False)], ids=str)
def test_a_restart_is_asked_for_and_withdrawn(signed_in_page, alice):
    cluster = make_cluster("keen-coffee", "127.0.0.1:1")
    make_worker(cluster, host_name="host-1", connections=3)
    page = signed_in_page(alice)
    page.goto(f"/networking/proxy-clusters/{cluster.pk}/workers/")
    page.get_by_role("link", name="Restart host-1").click()
    expect(page.get_by_role("heading", name="Restart host-1?")).to_be_visible()
    expect(page.get_by_text("It has 3 connections now.")).to_be_visible()
    page.get_by_role("button", name="Restart", exact=True).click()
    expect(page.get_by_role("table")).to_contain_text("Verifying restart")
    page.get_by_role("button", name="Do not restart host-1").click()
    expect(page.get_by_text("host-1 does not restart.")).to_be_visible()
    expect(page.get_by_role("link", name="Restart host-1")).to_be_visible()
    assert Worker.objects.get().restart_requested_at is None


def test_what_becomes_of_it_is_shown_without_a_reload(signed_in_page, alice):
    cluster = make_cluster("keen-coffee", "127.0.0.1:1")
    make_worker(cluster, Worker.State.AWAITING_RESTART, host_name="host-1")
    page = signed_in_page(alice)
    page.goto(f"/networking/proxy-clusters/{cluster.pk}/workers/")
    expect(page.get_by_role("table")).to_contain_text("Awaiting restart")
    Worker.objects.update(state=Worker.State.RESTARTING)
    expect(page.get_by_role("table")).to_contain_text("Restarting", timeout=12_000)
    Worker.objects.update(state=Worker.State.STARTED)
    expect(page.get_by_role("table")).to_contain_text("Started", timeout=12_000)
