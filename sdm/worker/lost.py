"""How sessions ended whose process was killed: it cannot tell any more, so the link does."""

import asyncio
from collections.abc import Callable, Sequence

from sdm.contract.endings import Ending
from sdm.worker.config import Config
from sdm.worker.records import RequestLog
from sdm.worker.spool import Run

_LOOK_AGAIN = 1.0
_WORDS = "The process of the worker that held this session died."


class Lost:
    def __init__(self, run: Run, config: Config, is_behind: Callable[[], bool]) -> None:
        """`is_behind` says whether older records wait for the control plane."""
        self._run = run
        self._config = config
        self._is_behind = is_behind
        self._ids: list[str] = []
        self._news = asyncio.Event()

    def add(self, session_ids: Sequence[str]) -> None:
        self._ids += session_ids
        self._news.set()

    async def keep(self) -> None:
        """For ever. Segments of two processes have no order, and an end that came before its beginning would be of a
        session that nobody knows: what the process wrote itself is delivered first. An end among it counts more.
        """
        while True:
            await self._news.wait()
            if self._is_behind():
                await asyncio.sleep(_LOOK_AGAIN)
                continue
            self._news.clear()
            ids, self._ids = self._ids, []
            await self._write(ids)

    async def _write(self, session_ids: Sequence[str]) -> None:
        request_log = RequestLog.begin(self._run.path, self._config)
        try:
            for session_id in session_ids:
                request_log.session(session_id).ended(Ending.WORKER_LOST, _WORDS)
            while not request_log.is_idle:
                await asyncio.sleep(_LOOK_AGAIN)
                request_log.flush()
        finally:
            request_log.close()
