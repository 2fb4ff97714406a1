"""Work that goes on as long as its process: when it ends by itself, that is a fault, and a loud one."""

import asyncio
from collections.abc import Awaitable


async def lasting(work: Awaitable[object]) -> None:
    """RuntimeError when `work` ends, or is cancelled by nobody: a task group lets both pass in silence."""
    try:
        await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
    raise RuntimeError(f"{work} has ended, and nobody told it to.")
