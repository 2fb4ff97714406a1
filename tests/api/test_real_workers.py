"""Both halves as they are: a worker's processes, and the API that they join."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from clusters.models import Cluster, Worker
from clusters.services import cluster_delete
from keys.services import key_delete
from sdm.contract.keys import SecretKey
from sdm.contract.reasons import Reason
from sdm.exit_codes import ExitCode
from tests.api.conftest import Ground
from tests.api.worker import eventually
from tests.clusters.factories import make_cluster
from tests.worker.processes import Worker as Process

pytestmark = pytest.mark.process

Start = Callable[..., Process]


@pytest.fixture
def start(ground: Ground, tmp_path: Path) -> Iterator[Start]:
    """Start a worker that joins `ground`, with these keys."""
    started: list[Process] = []

    def start_one(access_key: str = "", secret: SecretKey | None = None) -> Process:
        environment = {
            "SDM_PROXY_CLUSTER_ACCESS_KEY": access_key or ground.key.pk,
            "SDM_PROXY_CLUSTER_SECRET_KEY": (secret or ground.secret).reveal(),
            "SDM_APP_DOMAIN": f"127.0.0.1:{ground.port}",
            "SDM_WORKERS": "1",
        }
        started.append(Process(environment, tmp_path / f"worker{len(started)}.log"))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()


def test_a_killed_worker_is_dead_after_three_missed_heartbeats_and_shown_once(
    ground: Ground, start: Start, settings
):
    settings.WORKER_HEARTBEAT_SECONDS = 1

    async def scene(ground: Ground) -> float:
        process = start()
        await eventually(lambda: Worker.objects.filter(state="started").first(), 20)
        os.killpg(process.process.pid, signal.SIGKILL)
        dead = await eventually(lambda: Worker.objects.filter(state="dead").first(), 20)
        silent_for: float = (dead.state_changed_at - dead.last_heartbeat_at).total_seconds()
        await asyncio.sleep(2)
        assert await eventually(lambda: Worker.objects.get().state_changed_at) == dead.state_changed_at
        return silent_for

    assert ground.run(scene, 60) >= 3
    worker = Worker.objects.get()
    assert worker.state == "dead"
    assert worker.state_changed_at < timezone.now()
    assert Cluster.objects.get().workers_online == 0


def test_one_that_was_killed_and_started_anew_is_another(ground: Ground, start: Start, settings):
    """Under one host name: the dead one and the live one are told apart."""
    settings.WORKER_HEARTBEAT_SECONDS = 1

    async def scene(ground: Ground) -> None:
        first = start()
        await eventually(lambda: Worker.objects.filter(state="started").first(), 20)
        os.killpg(first.process.pid, signal.SIGKILL)
        start()
        await eventually(lambda: Worker.objects.filter(state="dead").count() == 1, 20)
        await eventually(lambda: Worker.objects.filter(state="started").count() == 1, 20)

    ground.run(scene, 60)
    one, other = Worker.objects.all()
    assert one.host_name == other.host_name
    assert Cluster.objects.get().workers_online == 1


def unknown_key(ground: Ground) -> tuple[str, SecretKey]:
    return "gk-0123456789abcdef", ground.secret


def wrong_secret(ground: Ground) -> tuple[str, SecretKey]:
    return ground.key.pk, SecretKey.generate()


def other_clusters_secret(ground: Ground) -> tuple[str, SecretKey]:
    return ground.key.pk, ground.other_key(make_cluster("other"))[1]


def deleted_key(ground: Ground) -> tuple[str, SecretKey]:
    key_delete(actor=ground.alice, key=ground.key)
    return ground.key.pk, ground.secret


def deleted_cluster(ground: Ground) -> tuple[str, SecretKey]:
    cluster_delete(actor=ground.alice, cluster=ground.cluster)
    return ground.key.pk, ground.secret


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unknown_key, Reason.UNKNOWN_KEY),
        (wrong_secret, Reason.WRONG_SECRET),
        (other_clusters_secret, Reason.OTHER_CLUSTERS_KEY),
        (deleted_key, Reason.KEY_DELETED),
        (deleted_cluster, Reason.CLUSTER_DELETED),
    ],
)
def test_keys_that_are_refused_end_a_worker_with_their_own_reason_and_no_second_try(
    spoil: Callable[[Ground], tuple[str, SecretKey]], reason: Reason, ground: Ground, start: Start
):
    keys = spoil(ground)

    async def scene(ground: Ground) -> tuple[Process, float]:
        began = time.monotonic()
        process = start(*keys)
        assert await asyncio.to_thread(process.ends) == ExitCode.REFUSED
        return process, time.monotonic() - began

    process, seconds = ground.run(scene, 60)
    assert f"({reason.value})" in process.last_line
    assert "Trying again" not in process.log
    # Two, and the start of Python; a machine that does other things besides is not the worker's.
    assert seconds < 10
    assert not Worker.objects.exists()
