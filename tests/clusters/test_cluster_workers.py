import datetime as dt

import pytest
from django.utils import timezone

from clusters.models import Cluster, Worker
from clusters.selectors import worker_counts
from tests.clusters.factories import make_cluster, make_worker


@pytest.fixture
def cluster(db):
    return make_cluster("keen-coffee")


def url(cluster, tab="workers"):
    return f"/networking/proxy-clusters/{cluster.pk}/{tab}/"


def test_workers_are_listed_with_what_is_known_of_them(bob_client, cluster):
    make_worker(cluster, host_name="<b>host", version="1.2.3", source_address="2001:db8::7", cpu_percent=250)
    page = bob_client.get(url(cluster)).content.decode()
    for text in ("&lt;b&gt;host", "1.2.3", "2001:db8::7", "250 %", "Started"):
        assert text in page


def test_a_worker_that_is_gone_fades_after_a_day(bob_client, cluster):
    now = timezone.now()
    make_worker(cluster, Worker.State.DEAD, host_name="lately", state_changed_at=now - dt.timedelta(hours=23))
    make_worker(cluster, Worker.State.DEAD, host_name="faded", state_changed_at=now - dt.timedelta(hours=25))
    page = bob_client.get(url(cluster)).content.decode()
    assert "lately" in page
    assert "faded" not in page


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], Cluster.Status.NO_WORKERS),
        (["stopped"], Cluster.Status.NO_WORKERS),
        (["dead"], Cluster.Status.OFFLINE),
        (["restarting"], Cluster.Status.OFFLINE),
        (["started", "stopped"], Cluster.Status.ONLINE),
        (["started"], Cluster.Status.ONLINE),
        (["started", "awaiting_restart"], Cluster.Status.ONLINE),
        (["started", "restarting"], Cluster.Status.DEGRADED),
        (["started", "dead"], Cluster.Status.DEGRADED),
    ],
)
def test_the_status_of_a_cluster_is_that_of_its_workers(cluster, states, status):
    for state in states:
        make_worker(cluster, Worker.State(state))
    assert worker_counts([cluster.pk])[cluster.pk].status == status


def test_a_rolling_update_is_no_outage(bob_client, cluster):
    for state in ("started", "started", "stopped", "stopped"):
        make_worker(cluster, Worker.State(state))
    assert "2 of 2 workers online" in bob_client.get(url(cluster)).content.decode()
    assert "2 of 2 online" in bob_client.get("/networking/proxy-clusters/").content.decode()


def test_a_dead_worker_counts_until_its_host_is_back_or_a_day_has_gone(cluster):
    heard = timezone.now() - dt.timedelta(minutes=2)
    dead = make_worker(cluster, Worker.State.DEAD, host_name="a", last_heartbeat_at=heard)
    make_worker(cluster, host_name="a", joined_at=heard - dt.timedelta(hours=1))  # beside it all the time
    make_worker(make_cluster(), host_name="a")  # elsewhere
    make_worker(cluster, host_name="b")
    assert str(worker_counts([cluster.pk])[cluster.pk]) == "2 of 3 workers online"
    back = make_worker(cluster, host_name="a")
    assert str(worker_counts([cluster.pk])[cluster.pk]) == "3 of 3 workers online"
    back.delete()
    Worker.objects.filter(pk=dead.pk).update(state_changed_at=timezone.now() - dt.timedelta(hours=25))
    assert str(worker_counts([cluster.pk])[cluster.pk]) == "2 of 2 workers online"


def test_without_any_online_it_is_offline(bob_client, cluster):
    make_worker(cluster, Worker.State.DEAD)
    page = bob_client.get(url(cluster)).content.decode()
    assert ">Offline<" in page
    assert "0 of 1 worker online" in page
    assert "No workers" not in page


def test_live_parts_answer_304_while_nothing_changed(bob_client, cluster):
    make_worker(cluster, last_heartbeat_at=None)
    for tab in ("workers", "head"):
        first = bob_client.get(url(cluster, tab), headers={"HX-Request": "true"})
        etag = first.headers["ETag"]
        again = {"HX-Request": "true", "If-None-Match": etag}
        assert bob_client.get(url(cluster, tab), headers=again).status_code == 304
        make_worker(cluster)
        assert bob_client.get(url(cluster, tab), headers=again).status_code == 200


def test_who_may_see_workers(client, charlie_client, cluster):
    assert client.get(url(cluster)).status_code == 302
    assert charlie_client.get(url(cluster)).status_code == 403
    assert charlie_client.get(url(cluster, "head")).status_code == 403
