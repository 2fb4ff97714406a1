"""Tickets of many resources at once."""

import asyncio
import datetime as dt

from sdm.client.tickets import Permission, Tickets
from sdm.control_plane.proven import AT_ONCE


def test_however_many_are_wanted_a_bounded_number_is_asked_for_at_a_time():
    async def scene() -> None:
        asked, answers = [], asyncio.Event()

        async def fetch(resource_id: str) -> Permission:
            asked.append(resource_id)
            await answers.wait()
            ends = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)
            return Permission(resource_id, ends, "127.0.0.1", 1, "", "n-1")

        tickets = Tickets(fetch)
        wanted = [f"rs-{number}" for number in range(500)]
        getting = [asyncio.create_task(tickets.get(resource_id)) for resource_id in wanted]
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(asked) == AT_ONCE
        answers.set()
        assert [found.ticket for found in await asyncio.gather(*getting)] == wanted

    asyncio.run(scene())
