"""Who may see and do what, for every page of resources. Alice administers, Bob audits, Charlie is a user."""

import pytest
from django.test import Client

from audit.models import Activity
from resources.models import Resource
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource, sent, store_secret

SEEING = [
    "/resources/",
    "/resources/completions/",
    "/resources/clusters/",
    "/resources/{resource}/",
    "/networking/proxy-clusters/{cluster}/",
]
DOING = [
    "/resources/new/",
    "/resources/new/postgres/",
    "/resources/{resource}/edit/",
    "/resources/{resource}/deletion/",
    "/resources/{resource}/credentials/password/",
    "/networking/proxy-clusters/{cluster}/attachments/",
]
SENDING = ["/resources/moves/", *(url for url in DOING if url.count("/") > 3 and "attachments" not in url)]


@pytest.fixture
def places(alice):
    cluster = make_cluster("keen-coffee")
    resource = make_resource(alice, "orders", cluster=cluster)
    store_secret(resource, "secret")
    return {"cluster": cluster.pk, "resource": resource.pk}


def denials():
    return Activity.objects.filter(verb="permission denied")


@pytest.mark.parametrize("url", SEEING)
def test_administrators_and_auditors_see(alice_client, bob_client, charlie_client, places, url):
    assert alice_client.get(url.format(**places)).status_code == 200
    assert bob_client.get(url.format(**places)).status_code == 200
    assert charlie_client.get(url.format(**places)).status_code == 403
    assert denials().count() == 1


@pytest.mark.parametrize("url", DOING)
def test_only_administrators_open_what_changes(alice_client, bob_client, charlie_client, places, url):
    assert alice_client.get(url.format(**places)).status_code == 200
    assert bob_client.get(url.format(**places)).status_code == 403
    assert charlie_client.get(url.format(**places)).status_code == 403
    assert denials().count() == 2


@pytest.mark.parametrize("url", SENDING)
def test_what_others_send_changes_nothing(bob_client, charlie_client, places, url):
    data = sent(name="orders", secret="stolen", move=f"{places['resource']}:{places['cluster']}:")
    for client in (bob_client, charlie_client):
        assert client.post(url.format(**places), data).status_code == 403
    resource = Resource.objects.get()
    assert (resource.version, resource.cluster_id) == (1, places["cluster"])


@pytest.mark.parametrize("url", SEEING + DOING)
def test_nobody_sees_anything_without_signing_in(places, url):
    response = Client().get(url.format(**places))
    assert response.status_code == 302 and response.headers["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("url", [url for url in SEEING + DOING if "credentials" not in url])
def test_reading_never_writes(alice_client, places, url):
    before = (list(Resource.objects.values()), Activity.objects.count())
    alice_client.get(url.format(**places))
    alice_client.head(url.format(**places))
    assert (list(Resource.objects.values()), Activity.objects.count()) == before


def test_forms_of_other_pages_are_refused(alice, places):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    move = f"{places['resource']}:{places['cluster']}:"
    assert client.post("/resources/moves/", {"move": move}).status_code == 403
    assert Resource.objects.get().cluster_id == places["cluster"]


def test_only_posting_moves(alice_client, db):
    assert alice_client.get("/resources/moves/").status_code == 405
