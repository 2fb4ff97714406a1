"""A restart from the button to the worker that is back, over the control link."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from api.serving import serving
from clusters import restarts
from clusters.models import Cluster, Worker
from sdm.contract.v1 import workers_pb2 as v1
from tests.api.conftest import Ground
from tests.api.worker import STARTED, act, eventually
from tests.worker.processes import Worker as WorkerProcess
from tests.worker.processes import is_the_answer, request

State = Worker.State


@pytest.fixture
def processes() -> Iterator[list[WorkerProcess]]:
    started: list[WorkerProcess] = []
    yield started
    for process in started:
        process.kill()


@pytest.fixture(autouse=True)
def quick(settings) -> None:
    settings.WORKER_HEARTBEAT_SECONDS = 1


def ask(ground: Ground) -> None:
    for worker in Worker.objects.select_related("cluster"):
        assert restarts.worker_restart(actor=ground.alice, worker=worker)


def is_(state: str) -> Callable[[], bool]:
    return lambda: Worker.objects.filter(state=state).exists()


def test_it_is_told_on_the_stream_when_its_turn_comes_and_not_before(ground: Ground):
    async def scene(ground: Ground) -> v1.Instruction:
        worker = ground.worker()
        await worker.register()
        busy = v1.WorkerReport(state=v1.WORKER_STATE_STARTED, connections=1)
        async with worker.watching() as stream:
            await stream.next()
            await worker.heartbeat(busy)
            await eventually(lambda: Worker.objects.get().connections == 1 and is_("started")())
            # No window is open now.
            await act(lambda: _closed(ground.cluster))
            await act(lambda: ask(ground))
            await eventually(is_("awaiting_restart"))
            answer = await worker.heartbeat(busy)
            assert answer.instruction.WhichOneof("instruction") != "restart"
            await act(lambda: ground.cluster.maintenance_windows.update(cron_schedule="* * * * *"))
            while True:
                instruction: v1.Instruction = await stream.next()
                if instruction.WhichOneof("instruction") == "restart":
                    return instruction

    assert ground.run(scene).restart.cut_connections


def _closed(cluster: Cluster) -> None:
    hour = (timezone.now().hour + 12) % 24
    cluster.maintenance_windows.create(cron_schedule=f"* {hour} * * *")


def test_without_a_stream_the_heartbeat_s_answer_tells_it(ground: Ground):
    async def scene(ground: Ground) -> v1.HeartbeatResponse:
        worker = ground.worker()
        joined = await worker.register()
        await worker.heartbeat(STARTED)
        await eventually(is_("started"))
        await act(lambda: ask(ground))
        generation = joined.configuration.generation
        report = v1.WorkerReport(state=v1.WORKER_STATE_STARTED, configuration_generation=generation)
        answer: v1.HeartbeatResponse = await worker.heartbeat(report)
        return answer

    assert ground.run(scene).instruction.WhichOneof("instruction") == "restart"


@pytest.mark.process
def test_a_real_worker_restarts_and_is_back_as_the_same(
    ground: Ground, processes: list[WorkerProcess], tmp_path: Path
):
    async def scene() -> None:
        async with serving("127.0.0.1:0") as port:
            environment = {
                "SDM_PROXY_CLUSTER_ACCESS_KEY": ground.key.pk,
                "SDM_PROXY_CLUSTER_SECRET_KEY": ground.secret.reveal(),
                "SDM_APP_DOMAIN": f"127.0.0.1:{port}",
                "SDM_MAINTENANCE_WINDOW_START": "23",
            }
            processes.append(worker := WorkerProcess(environment, tmp_path / f"{secrets.token_hex(4)}.log"))
            await eventually(is_("started"), 20)
            await act(lambda: Worker.objects.update(version="0.0.1"))
            await act(lambda: ask(ground))
            await eventually(is_("restarting"), 20)
            await eventually(is_("started"), 20)
            assert worker.process.poll() is None
            assert is_the_answer(await asyncio.to_thread(request, worker.port()))

    asyncio.run(scene())
    worker = Worker.objects.get()
    assert (worker.restart_requested_at, worker.maintenance_hour) == (None, 23)
    assert worker.version != "0.0.1"
    assert "Starting anew." in processes[0].log
