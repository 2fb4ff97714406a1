"""Trying a cluster's advertised address when a worker has come: once for those that come together."""

import asyncio

from api.calls import Threads
from clusters.models import Cluster
from clusters.reach import reach_check

# A balancer has to have seen the worker as well.
AFTER = 2.0


class Reaching:
    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def soon(self, cluster_id: str) -> None:
        if cluster_id not in self._tasks:
            task = asyncio.create_task(self._try(cluster_id))
            self._tasks[cluster_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(cluster_id, None))

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def _try(self, cluster_id: str) -> None:
        await asyncio.sleep(AFTER)
        await self._threads.run(_check, cluster_id)


def _check(cluster_id: str) -> None:
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster is not None:
        reach_check(cluster)
