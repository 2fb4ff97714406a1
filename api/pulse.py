"""What workers report, written together twice a second instead of one by one: SQLite has one writer."""

import asyncio
import logging
from collections.abc import Mapping

from django.db import DatabaseError
from django.utils import timezone

from api.calls import Threads
from clusters.workers import Report, workers_reported

logger = logging.getLogger(__name__)

EVERY = 0.5


class Pulse:
    """The last report of each worker that is not written yet."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._waiting: dict[str, Report] = {}

    def heard(self, worker_id: str, report: Report) -> None:
        self._waiting[worker_id] = report

    async def beat(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.write()

    async def write(self) -> None:
        if not self._waiting:
            return
        reports, self._waiting = self._waiting, {}
        try:
            await self._threads.run(_write, reports)
        except DatabaseError as error:
            logger.warning("Reports of %d workers are written later: %s", len(reports), error)
            self._waiting = reports | self._waiting


def _write(reports: Mapping[str, Report]) -> None:
    workers_reported(reports, at=timezone.now())
