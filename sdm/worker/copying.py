"""The second copy: read from the spool beside the delivery, so that it holds up neither that nor a session."""

import asyncio
import logging
import time
from pathlib import Path

from sdm.control_plane.pauses import Pauses
from sdm.worker.config import Config
from sdm.worker.copies import Copies
from sdm.worker.destination import Destination
from sdm.worker.sinks import Sink, sink_for
from sdm.worker.unread import Portion, Unread

log = logging.getLogger(__name__)

READER = "copy"
FILE = Path("logs") / "requests.log"
_LOOK_EVERY = 0.2
_PATIENCE = 5.0
_SAY_EVERY = 60.0


class Copying:
    """`keeps` is how much of the spool may wait for a sink that takes nothing."""

    def __init__(
        self, unread: Unread, destination: Destination, *, directory: Path, host_name: str, keeps: int
    ) -> None:
        self._unread = unread
        self._destination = destination
        self._beside_spool = directory / FILE
        self._host_name = host_name
        self._keeps = keeps
        self._copies = Copies(destination.format)
        self._sink: Sink | None = None
        self._pauses = Pauses()
        self._said_at = float("-inf")
        # Why lines cannot be written now, for an operator.
        self.problem = ""

    @classmethod
    def of(cls, config: Config, unread: Unread) -> "Copying | None":
        if config.second_copy is None:
            return None
        return cls(
            unread,
            config.second_copy,
            directory=config.spool_directory,
            host_name=config.host_name,
            keeps=config.spool_bytes // 2,
        )

    async def keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_PATIENCE):
                    copied = await self._copy_one()
            except (OSError, TimeoutError) as error:
                self._complain(error)
                self._give_up_if_there_is_too_much()
                await asyncio.sleep(self._pauses.take())
            else:
                await asyncio.sleep(0 if copied and copied.is_full else _LOOK_EVERY)

    async def finish(self, seconds: float) -> None:
        """What is there, if that is possible in time; the next worker has the rest."""
        try:
            async with asyncio.timeout(seconds):
                while await self._copy_one():
                    pass
        except (OSError, TimeoutError) as error:
            self._complain(error)

    async def _copy_one(self) -> Portion | None:
        portion = self._unread.next(READER)
        if portion is None:
            return None
        if self._sink is None:
            self._sink = sink_for(self._destination, self._beside_spool, self._host_name)
        await self._sink.write(list(self._copies.lines(portion.records)))
        self._unread.done(portion, READER)
        self._pauses.reset()
        if self.problem:
            self.problem = ""
            log.info("The second copy of the request log is written again.")
        return portion

    def _complain(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error) or "it takes nothing"
        self.problem = (
            f"The second copy of the request log cannot be written to {self._destination}: {reason}."
        )
        if time.monotonic() - self._said_at > _SAY_EVERY:
            self._said_at = time.monotonic()
            log.error("%s", self.problem)

    def _give_up_if_there_is_too_much(self) -> None:
        if self._unread.held_bytes > self._keeps:
            log.error(
                "%d bytes of the request log are left out of the second copy: there is no more room for them.",
                self._unread.skip(READER),
            )
