"""Several pieces of work of one connection: when one fails, the others end."""

import asyncio
from collections.abc import Coroutine


async def together(*works: Coroutine[object, object, None]) -> None:
    """ExceptionGroup of what failed.

    In a task of its own: Python 3.11's TaskGroup, when one of its tasks fails while it waits for them, cancels the task
    that it is in and never takes that back. From then on a timeout there ends the task instead of the waiting.
    """

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work)

    await asyncio.create_task(run())
