import pytest

from audit.models import Activity
from clusters.models import Cluster, Worker
from resources.models import Resource
from tests.clusters.factories import make_cluster, make_worker


@pytest.fixture
def cluster(db):
    return make_cluster("keen-coffee")


def url(cluster):
    return f"/networking/proxy-clusters/{cluster.pk}/deletion/"


def test_an_empty_cluster_goes_with_one_click(alice_client, cluster):
    assert "nothing else is lost" in alice_client.get(url(cluster)).content.decode()
    alice_client.post(url(cluster))
    assert not Cluster.objects.exists()


def test_what_is_lost_is_said_in_numbers_and_needs_the_name(alice_client, alice, cluster):
    make_worker(cluster)
    make_worker(cluster, Worker.State.RESTARTING)
    for number in range(3):
        Resource.objects.create(
            name=f"db-{number}",
            name_folded=f"db-{number}",
            kind="postgres",
            cluster=cluster,
            hostname="db",
            port=5432,
            created_by=alice,
        )
    page = alice_client.get(url(cluster)).content.decode()
    assert "2 workers will disconnect" in page
    assert "3 resources become unreachable" in page
    wrong = alice_client.post(url(cluster), {"name": "keen"})
    assert wrong.status_code == 422
    assert "This is not its name" in wrong.content.decode()
    assert Cluster.objects.exists()
    alice_client.post(url(cluster), {"name": "keen-coffee"})
    assert not Cluster.objects.exists()
    assert not Worker.objects.exists()
    assert Resource.objects.filter(cluster=None).count() == 3
    activity = Activity.objects.get(verb="proxy cluster deleted")
    assert activity.entity_name == "keen-coffee"
    assert activity.before
    assert activity.before["resources detached"] == 3


def test_who_may_delete(client, bob_client, charlie_client, cluster):
    for other in (bob_client, charlie_client):
        assert other.get(url(cluster)).status_code == 403
        assert other.post(url(cluster), {"name": "keen-coffee"}).status_code == 403
    assert client.post(url(cluster)).status_code == 302
    assert Cluster.objects.exists()


def test_a_page_that_is_looked_at_deletes_nothing(alice_client, cluster):
    alice_client.get(url(cluster), {"name": "keen-coffee"})
    assert Cluster.objects.exists()
