"""What is done every few seconds, by one process for all: restarts, and workers that have fallen silent."""

import asyncio
import datetime as dt
import logging
import os
import secrets
import socket
import time

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from api.calls import Threads
from audit.storing import purge as requests_purge
from clusters.restarts import restarts_look
from clusters.workers import MISSED_HEARTBEATS, workers_forget, workers_lost
from events import leases, sources
from logins.services import logins_sweep
from resources.health import health_sweep

logger = logging.getLogger(__name__)

JOB = "upkeep"


class Upkeep:
    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._holder = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._silence = settings.WORKER_HEARTBEAT_SECONDS * MISSED_HEARTBEATS
        # While nobody listened, nobody was silent: workers have as long to come back.
        self._since = time.monotonic()

    async def run(self) -> None:
        """Until cancelled; then somebody else may go on at once."""
        every = settings.WORKER_HEARTBEAT_SECONDS / 4
        try:
            while True:
                await asyncio.sleep(every)
                try:
                    await self._threads.run(self._turn, every)
                except DatabaseError as error:
                    logger.warning("Upkeep waits: %s", error)
                    self._since = time.monotonic()
        finally:
            await asyncio.shield(self._threads.run(leases.give_back, JOB, holder=self._holder))

    def _turn(self, every: float) -> None:
        if not leases.take(JOB, holder=self._holder, seconds=every * 4):
            return
        restarts_look(at=timezone.now())
        logins_sweep()
        health_sweep()
        if time.monotonic() - self._since < self._silence:
            return
        lost = workers_lost(silent_since=timezone.now() - dt.timedelta(seconds=self._silence))
        if lost:
            logger.warning("%d workers have missed their heartbeats and count as dead", lost)
        workers_forget()
        sources.purge()
        requests_purge(before=timezone.now() - dt.timedelta(days=settings.REQUEST_LOG_DAYS))
