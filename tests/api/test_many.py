"""Two hundred workers at once, and a control plane that is restarted under them."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from api.serving import serving
from clusters.models import Cluster, Worker
from tests.api.conftest import Ground
from tests.api.worker import STARTED, SimulatedWorker, Stream, eventually
from tests.house.checkout import free_port

pytestmark = pytest.mark.process

WORKERS = 200


async def come(workers: list[SimulatedWorker], stack: AsyncExitStack) -> list[Stream]:
    """Each opens its stream and has heard how it should work."""
    streams = [await stack.enter_async_context(worker.watching(STARTED)) for worker in workers]
    await asyncio.gather(*(stream.next(20) for stream in streams))
    return streams


def test_two_hundred_join_and_all_come_back_after_a_restart(ground: Ground, caplog):
    ground.port = free_port()
    workers: list[SimulatedWorker] = []
    took: list[float] = []

    async def first_life(stack: AsyncExitStack) -> list[Stream]:
        async with serving(f"127.0.0.1:{ground.port}"):
            workers.extend(ground.worker(host_name=f"host-{number}") for number in range(WORKERS))
            begun = time.monotonic()
            await asyncio.gather(*(worker.register() for worker in workers))
            streams = await come(workers, stack)
            await eventually(lambda: Cluster.objects.get().workers_online == WORKERS, 20)
            took.append(time.monotonic() - begun)
        return streams

    async def second_life(stack: AsyncExitStack) -> None:
        async with serving(f"127.0.0.1:{ground.port}"):
            begun = time.monotonic()
            await come(workers, stack)
            await asyncio.gather(*(worker.heartbeat() for worker in workers))
            took.append(time.monotonic() - begun)

    async def scene() -> None:
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            streams = await first_life(stack)
            reasons = await asyncio.gather(*(stream.end(20) for stream in streams))
            assert set(reasons) == {"unavailable"}
            await second_life(stack)

    asyncio.run(scene())
    # Nobody joined twice, and nobody was taken for dead.
    assert Worker.objects.count() == Worker.objects.filter(state="started").count() == WORKERS
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    assert max(took) < 20, took
