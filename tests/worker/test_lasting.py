"""What goes on as long as its process does not end without a word."""

import asyncio

import pytest

from sdm.worker.lasting import lasting


async def ends() -> None:
    """At once."""


async def is_cancelled_by_what_it_waits_for() -> None:
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gone.cancel()
    await gone


@pytest.mark.parametrize("work", [ends, is_cancelled_by_what_it_waits_for])
def test_work_that_ends_by_itself_is_a_fault(work):
    with pytest.raises(RuntimeError, match="nobody told it to"):
        asyncio.run(lasting(work()))


def test_work_that_is_told_to_end_does():
    async def scene() -> None:
        task = asyncio.create_task(lasting(asyncio.sleep(60)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(scene())
