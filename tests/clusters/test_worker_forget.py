"""Forget on the Workers tab: a dead worker is not waited for any more; one that may still run is kept."""

import pytest

from audit.models import Activity
from audit.verbs import Verb
from clusters.models import Worker
from tests.clusters.factories import make_cluster, make_worker


@pytest.fixture
def worker(db):
    return make_worker(make_cluster("keen-coffee"), Worker.State.DEAD, host_name="<b>host")


def url(worker, tail="forgetting/"):
    return f"/networking/proxy-clusters/{worker.cluster_id}/workers/{worker.pk}/{tail}"


def test_a_dead_worker_is_forgotten_at_once(alice_client, worker):
    tab = f"/networking/proxy-clusters/{worker.cluster_id}/workers/"
    assert url(worker) in alice_client.get(tab).content.decode()
    page = alice_client.post(url(worker), follow=True).content.decode()
    assert "&lt;b&gt;host" in page
    assert "is forgotten" in page
    assert not Worker.objects.exists()
    activity = Activity.objects.get(verb=Verb.WORKER_FORGOTTEN)
    assert (activity.before or {})["worker"] == worker.pk
    assert alice_client.post(url(worker)).status_code == 404


@pytest.mark.parametrize("state", [state for state in Worker.State if state != Worker.State.DEAD])
def test_only_a_dead_one(alice_client, worker, state):
    Worker.objects.update(state=state)
    assert "is kept" in alice_client.post(url(worker), follow=True).content.decode()
    assert Worker.objects.exists()
    assert not Activity.objects.filter(verb=Verb.WORKER_FORGOTTEN).exists()


def test_who_may(client, bob_client, charlie_client, worker):
    assert client.post(url(worker)).status_code == 302
    for other in (bob_client, charlie_client):
        assert other.post(url(worker)).status_code == 403
    assert Worker.objects.exists()


def test_it_is_asked_for_by_post_alone(alice_client, worker):
    assert alice_client.get(url(worker)).status_code == 405
