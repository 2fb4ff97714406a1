"""The pages that say what went wrong."""

import pytest
from django.test import Client
from django.urls import reverse

from clusters.models import Cluster
from tests.clusters.factories import make_cluster

CLUSTERS = "/networking/proxy-clusters/"
MAIN_NAVIGATION = 'aria-label="Main"'


@pytest.mark.parametrize(
    ("url", "status"), [("/nothing-is-here/", 404), (f"{CLUSTERS}n-none/", 404), ("/resources/moves/", 405)]
)
def test_who_is_signed_in_keeps_the_navigation(alice_client: Client, url: str, status: int):
    response = alice_client.get(url)
    page = response.content.decode()
    assert response.status_code == status
    assert MAIN_NAVIGATION in page
    for way_out in (CLUSTERS, "/audit/activities/", reverse("account_logout"), "Alice"):
        assert way_out in page


def test_a_refusal_shows_only_what_is_allowed(charlie_client: Client):
    response = charlie_client.get(CLUSTERS)
    page = response.content.decode()
    assert response.status_code == 403
    assert MAIN_NAVIGATION in page
    assert "Sign out" in page
    assert CLUSTERS not in page


def test_what_was_not_sent_from_our_pages_keeps_it_too(alice_client: Client, db: None):
    client = Client(enforce_csrf_checks=True)
    client.cookies = alice_client.cookies
    response = client.post(f"{CLUSTERS}new/", {"address": "10.0.0.1:443"})
    assert response.status_code == 403
    assert MAIN_NAVIGATION in response.content.decode()
    assert not Cluster.objects.exists()


def test_strangers_see_none(client: Client, db: None):
    for response in (
        client.get("/setup/no-such-token/"),
        client.get("/nothing-is-here/", headers={"host": "elsewhere.example"}),
    ):
        assert response.status_code in {400, 404}
        assert MAIN_NAVIGATION not in response.content.decode()


def test_it_asks_the_database_for_no_more_than_who_it_is(alice_client: Client, django_assert_num_queries):
    make_cluster()
    alice_client.get("/nothing-is-here/")
    with django_assert_num_queries(2):  # the session, and whose it is
        alice_client.get("/nothing-is-here/")
