"""Hundreds of calls at once on one connection: they wait their turn, and none of them fails."""

import asyncio
from collections import Counter
from typing import cast

from accounts.models import Account
from api.serving import OPTIONS
from sdm.client.calls import Calls
from sdm.client.identity import Identity
from sdm.contract.reasons import Reason
from sdm.control_plane.connection import connect
from sdm.control_plane.proven import AT_ONCE
from sdm.control_plane.where import parse
from tests.api.client import SimulatedClient
from tests.api.conftest import Ground

CALLS = 300


def test_more_calls_at_once_than_a_connection_takes_all_have_their_answer(ground: Ground, charlie: Account):
    async def scene(ground: Ground) -> list[BaseException | object]:
        client = SimulatedClient.at(ground.port)
        await client.log_in(charlie)
        me = cast(Identity, client)  # a key and a certificate are all that is asked of it
        async with connect(parse(f"127.0.0.1:{ground.port}", frozenset())) as channel:
            calls = Calls(channel, "the console")
            asking = [calls.ticket(me, f"rs-{number:016x}") for number in range(CALLS)]
            return await asyncio.gather(*asking, return_exceptions=True)

    answers = ground.run(scene, 60)
    # There are no such resources: each is told so by the control plane itself.
    assert Counter(getattr(answer, "reason", answer) for answer in answers) == {Reason.NO_ACCESS: CALLS}


def test_leases_and_tickets_leave_room_for_the_other_calls_of_their_connection():
    assert dict(OPTIONS)["grpc.max_concurrent_streams"] > 2 * AT_ONCE
