"""Disconnect on the Workers tab: administrators may, it is asked for, and what became of it is shown."""

import pytest

from audit.models import Activity
from audit.verbs import Verb
from clusters.models import Cluster, Worker
from tests.clusters.factories import make_cluster, make_worker


@pytest.fixture
def cluster(db):
    return make_cluster("keen-coffee")


@pytest.fixture
def worker(cluster):
    return make_worker(cluster, host_name="<b>host")


def url(worker, tail=""):
    return f"/networking/proxy-clusters/{worker.cluster_id}/workers/{worker.pk}/disconnection/"


def test_it_is_asked_for_and_done(alice_client, worker):
    asked = alice_client.get(url(worker), headers={"HX-Request": "true"}).content.decode()
    assert "&lt;b&gt;host" in asked
    assert Worker.objects.get().is_online
    answer = alice_client.post(url(worker), follow=True)
    page = answer.content.decode()
    assert "An administrator disconnected this worker" in page
    assert "Disconnect</a>" not in page
    worker = Worker.objects.get()
    assert (worker.state, worker.stopped_reason) == ("stopped", "disconnected")
    assert Cluster.objects.get().workers_online == 0
    activity = Activity.objects.get(verb=Verb.WORKER_DISCONNECTED)
    assert (activity.before or {})["host name"] == "<b>host"


def test_twice_is_once(alice_client, worker):
    alice_client.post(url(worker))
    assert "had stopped already" in alice_client.post(url(worker), follow=True).content.decode()
    assert Activity.objects.filter(verb=Verb.WORKER_DISCONNECTED).count() == 1


def test_who_may(client, bob_client, charlie_client, worker):
    assert client.post(url(worker)).status_code == 302
    for other in (bob_client, charlie_client):
        assert other.get(url(worker)).status_code == 403
        assert other.post(url(worker)).status_code == 403
    assert Worker.objects.get().is_online
    page = bob_client.get(f"/networking/proxy-clusters/{worker.cluster_id}/workers/").content.decode()
    assert "Disconnect" not in page


def test_another_clusters_worker_is_not_found(alice_client, worker):
    worker.cluster_id = make_cluster("other").pk
    assert alice_client.post(url(worker)).status_code == 404


def test_what_a_worker_reports_of_itself_is_shown_as_text(bob_client, worker):
    Worker.objects.update(problems=["<script>alert(1)</script> is cut off"])
    page = bob_client.get(f"/networking/proxy-clusters/{worker.cluster_id}/workers/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; is cut off" in page
