"""A resource's page names the link of the chain that is broken, and what mends it."""

import pytest

from clusters.models import Worker
from keys.models import ClusterKey
from resources.kinds.base import NOT_SERVED
from resources.models import Resource
from tests.clusters.factories import make_cluster, make_worker
from tests.resources.factories import make_resource, store_secret


@pytest.fixture
def resource(alice):
    cluster = make_cluster("keen-coffee")
    ClusterKey.objects.create(cluster=cluster, public_key=b"0" * 32, created_by=alice)
    make_worker(cluster)
    resource = make_resource(alice, "orders", cluster=cluster, healthy=True)
    store_secret(resource, "secret")
    return resource


def broken(client, resource):
    response = client.get(f"/resources/{resource.pk}/")
    link = response.context["chain"].broken
    if link:
        assert link.text in response.content.decode().replace("&#x27;", "'")
        assert client.get(link.url).status_code == 200, "the remedy leads somewhere"
    return link and link.text


def test_a_chain_that_holds(alice_client, resource):
    assert broken(alice_client, resource) is None
    assert "Nothing stands in the way" in alice_client.get(f"/resources/{resource.pk}/").content.decode()


def test_each_link_in_turn(alice_client, resource):
    Resource.objects.update(healthy=False)
    assert "did not answer" in broken(alice_client, resource)
    resource.credentials.all().delete()
    assert broken(alice_client, resource) == "Password is not set."
    Worker.objects.update(state=Worker.State.DEAD)
    assert broken(alice_client, resource) == f"No worker of {resource.cluster.name} is online."
    Worker.objects.all().delete()
    assert broken(alice_client, resource) == "No worker has joined yet."
    ClusterKey.objects.all().delete()
    assert "no authentication key" in broken(alice_client, resource)
    Resource.objects.update(cluster=None)
    assert "attached to no proxy cluster" in broken(alice_client, resource)


def test_not_checked_yet_is_not_broken(alice_client, resource):
    Resource.objects.update(healthy=None)
    assert broken(alice_client, resource) is None
    page = alice_client.get(f"/resources/{resource.pk}/").content.decode()
    assert "No worker has checked yet" in page
    assert "Nothing stands in the way" not in page


def test_what_has_no_credentials_did_not_refuse_them(alice, alice_client, resource):
    plain = make_resource(alice, "mail", kind="rawTCP", cluster=resource.cluster, healthy=False)
    assert broken(alice_client, plain) == f"{plain.address} did not answer at the last check."


def test_a_secret_that_is_optional_may_be_missing(alice, alice_client, resource):
    cache = make_resource(alice, "cache", kind="redis", cluster=resource.cluster)
    links = alice_client.get(f"/resources/{cache.pk}/").context["chain"].links
    assert not any("Password" in link.text for link in links)


def test_a_kind_that_no_worker_speaks_is_the_first_thing_in_the_way(alice, alice_client, resource):
    cache = make_resource(alice, "cache", kind="redis", cluster=resource.cluster)
    page = alice_client.get(f"/resources/{cache.pk}/")
    assert page.context["chain"].broken.text == NOT_SERVED
    assert f"It cannot be reached. <strong>{NOT_SERVED}</strong>" in page.content.decode()
