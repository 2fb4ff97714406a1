"""Disconnect, on a tab that draws itself anew every few seconds."""

import pytest
from playwright.sync_api import expect

from clusters.models import Worker
from tests.clusters.factories import make_cluster, make_worker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_worker_is_disconnected_in_a_dialog(signed_in_page, alice):
    cluster = make_cluster("keen-coffee", "127.0.0.1:1")
    make_worker(cluster, host_name="host-1")
    page = signed_in_page(alice)
    page.goto(f"/networking/proxy-clusters/{cluster.pk}/workers/")
    page.get_by_role("link", name="Disconnect host-1").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_contain_text("Disconnect host-1?")
    dialog.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_text("host-1 is told to stop.")).to_be_visible()
    expect(page.get_by_role("table")).to_contain_text("An administrator disconnected this worker")
    assert Worker.objects.get().stopped_reason == "disconnected"
