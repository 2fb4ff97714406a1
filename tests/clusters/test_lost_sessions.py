"""With its worker a session is over: once, and whichever way the worker went."""

import datetime as dt

import pytest
from django.utils import timezone

from audit.models import Session
from clusters.models import Worker
from clusters.services import cluster_delete
from clusters.workers import Report, worker_disconnect, workers_lost, workers_of_key_stop, workers_reported
from tests.audit.factories import make_session
from tests.clusters.factories import make_cluster, make_worker

pytestmark = pytest.mark.django_db


def fall_silent(worker, alice):
    workers_lost(silent_since=timezone.now() + dt.timedelta(minutes=1))
    workers_lost(silent_since=timezone.now() + dt.timedelta(minutes=1))


def disconnect(worker, alice):
    worker_disconnect(actor=alice, worker=worker)


def delete_its_key(worker, alice):
    workers_of_key_stop(worker.access_key)


def say_goodbye(worker, alice):
    report = Report(
        state=Worker.State.STOPPED,
        connections=0,
        cpu_percent=0,
        configuration_generation=0,
        problems=(),
        version="1.0.0",
    )
    workers_reported({worker.pk: report}, at=timezone.now())


def delete_its_cluster(worker, alice):
    cluster_delete(actor=alice, cluster=worker.cluster)


@pytest.mark.parametrize(
    "leave",
    [fall_silent, disconnect, delete_its_key, say_goodbye, delete_its_cluster],
    ids=lambda f: f.__name__,
)
def test_its_sessions_are_closed(alice, leave):
    cluster = make_cluster()
    worker = make_worker(cluster)
    session = make_session(worker_id=worker.pk, cluster_id=cluster.pk)
    over = make_session(worker_id=worker.pk, cluster_id=cluster.pk, ending="client-left")
    leave(worker, alice)
    assert Session.objects.get(pk=session.pk).ending == "worker-lost"
    assert Session.objects.get(pk=over.pk).ending == "client-left"
