"""What long streams have in common: they end together with their parts, and when the server ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from clusters.workers import Refused
from sdm.contract.reasons import Reason


async def first_to_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them together; with the first, all end, and what it raised is raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class Closing:
    """Whether the server ends: callers come back to whoever serves next."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def begin(self) -> None:
        self._begun.set()

    async def end(self) -> None:
        """Until then; what waits for it is refused."""
        await self._begun.wait()
        raise Refused(Reason.UNAVAILABLE, "The control plane restarts.")
