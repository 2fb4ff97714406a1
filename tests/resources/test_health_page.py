"""What workers found stands on a resource's page, and can be asked for anew."""

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import Account
from resources.health import Finding, health_reported
from resources.models import Resource
from tests.clusters.factories import make_cluster, make_worker
from tests.resources.factories import make_resource


@pytest.fixture
def resource(alice: Account) -> Resource:
    cache.clear()
    cluster = make_cluster("keen-coffee")
    found = make_resource(alice, "orders", cluster=cluster)
    reaching, failing = make_worker(cluster, host_name="host-1"), make_worker(cluster, host_name="host-2")
    make_worker(cluster, host_name="host-3")
    now = timezone.now()
    health_reported(reaching, [Finding(found.pk, True, "", 12, now)])
    health_reported(failing, [Finding(found.pk, False, "<b>db.internal</b> refuses.", 3, now)])
    return found


def test_each_worker_with_what_it_found(bob_client: Client, resource: Resource):
    page = bob_client.get(f"/resources/{resource.pk}/").content.decode()
    assert "12 ms" in page and "Not checked yet" in page
    assert "&lt;b&gt;db.internal&lt;/b&gt; refuses." in page
    assert "Check now" not in page
    assert Resource.objects.get().healthy is False
    url = f"/resources/{resource.pk}/health/"
    live = bob_client.get(url, headers={"HX-Request": "true"})
    assert live.status_code == 200 and "host-3" in live.content.decode()
    again = bob_client.get(url, headers={"HX-Request": "true", "If-None-Match": live.headers["ETag"]})
    assert again.status_code == 304
    assert bob_client.get(url).headers["Location"] == f"/resources/{resource.pk}/"


def test_check_now_is_for_those_who_change_resources(
    alice_client: Client, bob_client: Client, charlie_client: Client, resource: Resource
):
    url = f"/resources/{resource.pk}/check/"
    for client in (bob_client, charlie_client):
        assert client.post(url).status_code == 403
    assert "are told to check" in alice_client.post(url, follow=True).content.decode()
    assert "under way already" in alice_client.post(url, follow=True).content.decode()
    assert alice_client.get(url).status_code == 405


def test_a_resource_without_a_cluster_has_no_health(alice: Account, alice_client: Client, resource: Resource):
    alone = make_resource(alice, "alone")
    assert 'id="health"' not in alice_client.get(f"/resources/{alone.pk}/").content.decode()
    assert (
        "under way already"
        in alice_client.post(f"/resources/{alone.pk}/check/", follow=True).content.decode()
    )
