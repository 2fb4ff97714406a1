"""From the spool to the control plane, in portions; what is stored there is removed here.

What was delivered and not yet removed when this process dies is delivered again, and stored once. One portion at a
time is in memory.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from sdm.control_plane.pauses import Pauses
from sdm.control_plane.refusals import ControlError
from sdm.worker.unread import Portion, Unread

log = logging.getLogger(__name__)

READER = "delivery"
# What is new is looked for as often; what others have left behind, less so.
_LOOK_EVERY, _LOOK_AROUND_EVERY = 0.2, 30.0
# A log that is so much behind is worth a word.
_SAY_AFTER = 60.0

Send = Callable[[Sequence[bytes]], Awaitable[None]]


class Delivery:
    """`send` raises ControlError for what is to be tried again."""

    def __init__(self, unread: Unread, send: Send) -> None:
        self._unread = unread
        self._send = send
        self._pauses = Pauses()
        # The control plane was heard again: to wait longer would only add to what waits.
        self._is_back = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._looked_around = float("-inf")
        # Since when there is something that could not be delivered.
        self._behind_since: float | None = None
        self.records = 0

    @property
    def seconds_behind(self) -> float:
        return 0.0 if self._behind_since is None else time.monotonic() - self._behind_since

    @property
    def problem(self) -> str:
        if self.seconds_behind < _SAY_AFTER:
            return ""
        minutes = round(self.seconds_behind / 60)
        return f"The request log could not be delivered for {minutes} minutes; {self._unread.held_bytes:,} bytes wait."

    def hurry(self) -> None:
        """The control plane answers again."""
        self._pauses.reset()
        self._is_back.set()

    async def keep(self) -> None:
        while True:
            if self._unread.cluster_id and time.monotonic() - self._looked_around > _LOOK_AROUND_EVERY:
                self._unread.look_around()
                self._looked_around = time.monotonic()
            try:
                delivered = await self._deliver_one()
                # A call costs as much as some hundred records: they are let gather.
                await asyncio.sleep(0 if delivered and delivered.is_full else _LOOK_EVERY)
            except ControlError as error:
                log.debug("The request log waits: %s", error)
                self._behind_since = self._behind_since or time.monotonic()
                await self._pause()

    async def _pause(self) -> None:
        self._is_back.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pauses.take()):
                await self._is_back.wait()

    async def finish(self, seconds: float) -> None:
        """All that is there, if that is possible in time: nothing more is written."""
        try:
            async with asyncio.timeout(seconds):
                while await self._deliver_one():
                    pass
        except (ControlError, TimeoutError) as error:
            log.warning("The rest of the request log waits in the spool for the next worker. %s", error)

    async def _deliver_one(self) -> Portion | None:
        async with self._one_at_a_time:
            portion = self._unread.next(READER)
            if portion is None:
                self._behind_since = None
                return None
            await self._send(portion.records)
            self._unread.done(portion, READER)
        self.records += len(portion.records)
        self._pauses.reset()
        return portion
