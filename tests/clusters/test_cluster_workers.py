import datetime as dt

import pytest
from django.utils import timezone

from clusters.models import Cluster, Worker
from clusters.selectors import worker_counts
from clusters.workers import Report, workers_lost, workers_reported
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


def test_two_of_one_host_are_told_apart(bob_client, cluster):
    pair = [make_worker(cluster, host_name="a") for _ in range(2)]
    page = bob_client.get(url(cluster)).content.decode()
    assert all(worker.pk in page for worker in pair)


def test_a_dead_worker_says_why_and_when_it_was_heard_of_last(bob_client, cluster):
    heard = dt.datetime(2026, 5, 4, 3, 2, 1, tzinfo=dt.UTC)
    make_worker(cluster, Worker.State.DEAD, last_heartbeat_at=heard)
    page = bob_client.get(url(cluster)).content.decode()
    assert "It missed three heartbeats" in page
    assert "2026-05-04 03:02:01 UTC" in page
    assert "just now" not in page


def test_a_revoked_certificate_is_said_to_be_revoked(bob_client, cluster):
    expires = timezone.now() + dt.timedelta(hours=23, minutes=30)
    values = {"stopped_reason": "key-deleted", "certificate_expires_at": expires}
    make_worker(cluster, Worker.State.STOPPED, **values)
    page = bob_client.get(url(cluster)).content.decode()
    assert ">revoked<" in page
    assert "in 23 hours" not in page


@pytest.mark.parametrize("state", [Worker.State.STOPPED, Worker.State.DEAD])
def test_a_worker_that_is_gone_carries_nothing(cluster, state):
    now = timezone.now()
    worker = make_worker(
        cluster, connections=3, cpu_percent=40, last_heartbeat_at=now - dt.timedelta(hours=1)
    )
    if state == Worker.State.DEAD:
        workers_lost(silent_since=now)
    else:
        workers_reported({worker.pk: Report(state, 3, 40, 0, (), "")}, at=now)
    worker.refresh_from_db()
    assert (worker.state, worker.connections, worker.cpu_percent) == (state, 0, 0)


def test_a_reported_problem_shows_on_the_row_the_head_and_the_list(bob_client, cluster):
    make_worker(cluster, problems=["<b>The certificate's file is cut off."])
    make_worker(cluster)
    make_worker(cluster, Worker.State.STOPPED, problems=["of yesterday"])
    count = worker_counts([cluster.pk])[cluster.pk]
    assert (count.status, count.troubled) == (Cluster.Status.DEGRADED, 1)
    page = bob_client.get(url(cluster)).content.decode()
    assert 'status--warn"><bdi>&lt;b&gt;The certificate' in page
    assert "2 of 2 workers online, 1 with a problem" in page
    assert "of yesterday" not in page
    assert "2 of 2 online, 1 with a problem" in bob_client.get("/networking/proxy-clusters/").content.decode()


def test_what_was_found_at_the_address_is_not_told_of_workers_that_came_or_went_since(bob_client, cluster):
    worker = make_worker(cluster)
    tried = {"reach": "good", "reach_words": "A worker of this cluster answers.", "reach_at": timezone.now()}
    Cluster.objects.update(**tried)
    assert "answers. Tried" in " ".join(bob_client.get(url(cluster)).content.decode().split())
    make_worker(cluster)
    assert "before the last change of a worker" in bob_client.get(url(cluster)).content.decode()
    for other in Worker.objects.all():
        workers_reported({other.pk: Report(Worker.State.STOPPED, 0, 0, 0, (), "")}, at=timezone.now())
    page = bob_client.get(url(cluster)).content.decode()
    assert "No worker is online now" in page
    assert "A worker of this cluster answers" not in page
    assert worker.pk in page


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
