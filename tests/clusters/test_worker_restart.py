"""Restarting workers: who may, when it happens, in which order, and what is shown of it."""

import datetime as dt

import pytest
import time_machine

from audit.models import Activity
from audit.services import PermissionRequired
from audit.verbs import Verb
from clusters import restarts, workers
from clusters.models import Worker
from clusters.restarts import Turn
from clusters.services import workers_changed
from clusters.workers import Report
from tests.clusters.factories import make_cluster, make_worker

State = Worker.State
# A Friday.
NOON = dt.datetime(2026, 11, 20, 12, 0, 30, tzinfo=dt.UTC)
SEVEN = NOON.replace(hour=7)


@pytest.fixture
def cluster(db):
    return make_cluster("keen-coffee")


@pytest.fixture
def worker(cluster):
    return make_worker(cluster, host_name="<b>edge-1")


@pytest.fixture
def told(monkeypatch):
    """Whose streams were woken."""
    topics: list[str] = []
    monkeypatch.setattr(restarts, "publish", topics.append)
    return topics


def window(cluster, schedule, idle=False):
    cluster.maintenance_windows.create(cron_schedule=schedule, require_idleness=idle)


def ask(alice, *workers, at=NOON):
    for number, worker in enumerate(workers):
        with time_machine.travel(at + dt.timedelta(seconds=number), tick=False):
            assert restarts.worker_restart(actor=alice, worker=worker)
            worker.refresh_from_db()


def reports(worker, state, at=NOON, **fields):
    values = {
        "connections": 0,
        "cpu_percent": 0,
        "configuration_generation": 0,
        "problems": (),
        "version": "",
    }
    workers.workers_reported({worker.pk: Report(state=state, **{**values, **fields})}, at=at)
    worker.refresh_from_db()


def url(worker, tail="restart/"):
    return f"/networking/proxy-clusters/{worker.cluster_id}/workers/{worker.pk}/{tail}"


# --- The page -------------------------------------------------------------------------------------


def test_it_is_asked_for_shown_and_withdrawn(alice_client, worker):
    Worker.objects.update(connections=3)
    with time_machine.travel(NOON, tick=False):
        asked = alice_client.get(url(worker), headers={"HX-Request": "true"}).content.decode()
        when = "restarts as soon as it has no connections, at 07:00 UTC on Saturday in any case"
        assert when in asked and "It has 3 connections now" in asked and "&lt;b&gt;edge-1" in asked
        assert Worker.objects.get().state == State.STARTED, "asking changes nothing"
        page = alice_client.post(url(worker), follow=True).content.decode()
    assert page.count(when) == 2, "in the message and beside the state"
    assert "Verifying restart" in page and "Restart</a>" not in page
    page = alice_client.post(url(worker, "restart/withdrawal/"), follow=True).content.decode()
    assert "does not restart" in page and "Restart</a>" in page
    worker = Worker.objects.get()
    assert (worker.state, worker.restart_requested_at) == (State.STARTED, None)
    verbs = list(Activity.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs[-2:] == [Verb.WORKER_RESTART_REQUESTED, Verb.WORKER_RESTART_WITHDRAWN]
    after = Activity.objects.get(verb=Verb.WORKER_RESTART_REQUESTED).after
    assert after
    assert after["host name"] == "<b>edge-1"


def test_twice_is_once_and_what_has_begun_is_not_withdrawn(alice_client, alice, worker):
    alice_client.post(url(worker))
    assert "restarts already" in alice_client.post(url(worker), follow=True).content.decode()
    reports(worker, State.RESTARTING)
    answer = alice_client.post(url(worker, "restart/withdrawal/"), follow=True).content.decode()
    assert "has begun to restart" in answer
    assert Activity.objects.filter(verb__startswith="proxy worker restart").count() == 1


@pytest.mark.parametrize("state", [State.STOPPED, State.DEAD, State.NEW, State.RESTARTING])
def test_one_that_does_not_run_is_not_restarted(alice, alice_client, cluster, state):
    worker = make_worker(cluster, state)
    assert not restarts.worker_restart(actor=alice, worker=worker)
    page = alice_client.get(f"/networking/proxy-clusters/{cluster.pk}/workers/").content.decode()
    assert "Restart</a>" not in page


def test_who_may(client, bob, bob_client, charlie_client, worker):
    for tail in ("restart/", "restart/withdrawal/"):
        assert client.post(url(worker, tail)).status_code == 302
        for other in (bob_client, charlie_client):
            assert other.post(url(worker, tail)).status_code == 403
    assert bob_client.get(url(worker)).status_code == 403
    for act in (restarts.worker_restart, restarts.worker_restart_withdraw):
        with pytest.raises(PermissionRequired):
            act(actor=bob, worker=worker)
    assert Worker.objects.get().restart_requested_at is None
    page = bob_client.get(f"/networking/proxy-clusters/{worker.cluster_id}/workers/").content.decode()
    assert "Restart</a>" not in page


def test_another_clusters_worker_is_not_found(alice_client, worker):
    worker.cluster_id = make_cluster("other").pk
    assert alice_client.post(url(worker)).status_code == 404
    assert alice_client.get(url(worker, "restart/withdrawal/")).status_code == 405


# --- Whose turn it is -----------------------------------------------------------------------------


def turn(worker, at=NOON):
    worker.refresh_from_db()
    return restarts.turn_of(worker, at=at)


def test_without_windows_at_once_when_idle_and_in_its_own_hour_in_any_case(alice, worker):
    assert turn(worker) is None, "nobody asked"
    ask(alice, worker)
    assert turn(worker) == Turn(worker.pk, cut_connections=False)
    Worker.objects.update(connections=1)
    assert turn(worker) is None
    assert turn(worker, SEVEN) == Turn(worker.pk, cut_connections=True)
    assert turn(worker, SEVEN.replace(hour=8)) is None
    Worker.objects.update(maintenance_hour=0)
    assert turn(worker, SEVEN) is None
    assert turn(worker, SEVEN.replace(hour=0)) == Turn(worker.pk, cut_connections=True)


def test_the_clusters_windows_replace_all_of_that(alice, cluster, worker):
    window(cluster, "* 3 * * 6")
    window(cluster, "* 12 * * *", idle=True)
    ask(alice, worker)
    assert turn(worker) == Turn(worker.pk, cut_connections=False)
    assert turn(worker, NOON.replace(hour=13)) is None, "idle, and no window is open"
    assert turn(worker, SEVEN) is None
    Worker.objects.update(connections=1)
    assert turn(worker) is None
    saturday = NOON.replace(day=21, hour=3)
    assert turn(worker, saturday) == Turn(worker.pk, cut_connections=True)


def test_a_window_may_cross_midnight(alice, cluster, worker):
    window(cluster, "* 23,0 * * *")
    ask(alice, worker)
    for hour, day, allowed in ((22, 20, False), (23, 20, True), (0, 21, True), (1, 21, False)):
        assert bool(turn(worker, NOON.replace(day=day, hour=hour, minute=59))) is allowed


def test_without_a_forced_window_it_waits_for_idleness_for_ever(alice, cluster, worker):
    window(cluster, "* * * * *", idle=True)
    ask(alice, worker)
    Worker.objects.update(connections=1)
    assert not any(turn(worker, NOON + dt.timedelta(hours=hour)) for hour in range(0, 200, 7))
    Worker.objects.update(connections=0)
    assert turn(worker)


def test_summer_time_changes_nothing(alice, cluster, worker):
    window(cluster, "* 1 * * *")
    ask(alice, worker)
    for day in (dt.date(2026, 3, 29), dt.date(2026, 10, 25)):
        hours = [dt.datetime.combine(day, dt.time(hour), dt.UTC) for hour in range(24)]
        assert [moment.hour for moment in hours if turn(worker, moment)] == [1]


def test_workers_of_a_cluster_restart_one_after_the_other(alice, cluster, told):
    first, second = make_worker(cluster), make_worker(cluster)
    elsewhere = make_worker(make_cluster("other"))
    ask(alice, first, second, elsewhere)
    told.clear()
    restarts.restarts_look(at=NOON)
    assert set(told) == {f"worker:{first.pk}", f"worker:{elsewhere.pk}"}
    assert set(Worker.objects.values_list("state", flat=True)) == {State.AWAITING_RESTART}
    assert (turn(first), turn(second)) == (Turn(first.pk, False), None)
    reports(first, State.RESTARTING)
    assert (turn(first), turn(second)) == (None, None)
    reports(first, State.STARTED)
    assert (turn(first), turn(second)) == (None, Turn(second.pk, False))


def test_a_busy_worker_does_not_keep_an_idle_one_waiting(alice, cluster):
    busy, idle = make_worker(cluster, connections=1), make_worker(cluster)
    ask(alice, busy, idle)
    assert (turn(busy), turn(idle)) == (None, Turn(idle.pk, False))
    assert turn(busy, SEVEN) == Turn(busy.pk, True)


def test_one_that_died_or_was_disconnected_is_not_waited_for(alice, cluster):
    gone, other, last = (make_worker(cluster) for _ in range(3))
    ask(alice, gone, other, last)
    Worker.objects.filter(pk=gone.pk).update(state=State.DEAD)
    workers.worker_disconnect(actor=alice, worker=other)
    assert turn(last) == Turn(last.pk, False)
    assert turn(gone) is None


def test_without_anything_pending_looking_costs_one_query(cluster, worker, django_assert_num_queries):
    with django_assert_num_queries(1):
        restarts.restarts_look(at=NOON)


# --- What a worker reports meanwhile --------------------------------------------------------------


def test_the_states_of_a_restart_and_the_version_after_it(alice, cluster, worker):
    workers_changed(cluster)
    ask(alice, worker)
    assert worker.state == State.VERIFYING_RESTART
    reports(worker, State.STARTED, connections=2)
    assert (worker.state, worker.connections) == (State.VERIFYING_RESTART, 2), "it does not know of it yet"
    restarts.restarts_look(at=NOON)
    reports(worker, State.STARTED)
    assert worker.state == State.AWAITING_RESTART
    cluster.refresh_from_db()
    assert cluster.workers_online == 1
    reports(worker, State.RESTARTING)
    assert worker.state == State.RESTARTING
    reports(worker, State.STARTED, version="9.9.9")
    assert (worker.state, worker.restart_requested_at, worker.version) == (State.STARTED, None, "9.9.9")


def test_one_that_was_silent_for_too_long_and_came_back_has_restarted(alice, worker):
    ask(alice, worker)
    reports(worker, State.RESTARTING)
    Worker.objects.update(state=State.DEAD)
    reports(worker, State.STARTED)
    assert (worker.state, worker.restart_requested_at) == (State.STARTED, None)
