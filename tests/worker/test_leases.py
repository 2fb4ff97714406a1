"""Leases at the desk: kept, shared, forgotten, and never given for what was true before."""

import asyncio
import datetime as dt

import pytest

from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane.proven import AT_ONCE
from sdm.control_plane.refusals import ControlError
from sdm.worker.desk.leases import Leases
from sdm.worker.desk.messages import Ask

HOUR = dt.timedelta(hours=1)


class Plane:
    def __init__(self) -> None:
        self.asked: list[pb.GetLeaseRequest] = []
        self.good_for = HOUR
        self.ends_in: dt.timedelta | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.refuses = False

    async def get(self, request: pb.GetLeaseRequest) -> pb.GetLeaseResponse:
        self.asked.append(request)
        refuses = self.refuses  # decided now, and answered when it gets through
        await self.answers.wait()
        if refuses:
            raise ControlError(Reason.NO_ACCESS, "no")
        now = dt.datetime.now(dt.UTC)
        response = pb.GetLeaseResponse()
        response.good_until.FromDatetime(now + self.good_for)
        if self.ends_in is not None:
            response.ends_at.FromDatetime(now + self.ends_in)
        return response


def ask(session: str = "s-1", *, resource: str = "rs-1", proved: str = "") -> Ask:
    return Ask(session, "a-1", resource, "thumbprint", "ticket", "192.0.2.1", proved)


def test_one_that_is_good_is_asked_for_once():
    async def scenario() -> None:
        plane = Plane()
        leases = Leases(plane.get)
        for _ in range(3):
            await leases.get(ask())
        assert len(plane.asked) == 1
        await leases.get(ask(resource="rs-2"))
        assert len(plane.asked) == 2
        leases.forget()
        await leases.get(ask())
        assert len(plane.asked) == 3

    asyncio.run(scenario())


@pytest.mark.parametrize("what", ["lease", "access"])
def test_one_that_is_over_is_asked_for_again(what: str):
    async def scenario() -> None:
        plane = Plane()
        over = dt.timedelta(seconds=-1)
        plane.good_for, plane.ends_in = (over, None) if what == "lease" else (HOUR, over)
        leases = Leases(plane.get)
        await leases.get(ask())
        await leases.get(ask())
        assert len(plane.asked) == 2

    asyncio.run(scenario())


def test_many_at_once_are_one_question():
    async def scenario() -> None:
        plane = Plane()
        plane.answers.clear()
        leases = Leases(plane.get)
        tasks = [asyncio.create_task(leases.get(ask(f"s-{number}"))) for number in range(100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        plane.answers.set()
        await asyncio.gather(*tasks)
        assert len(plane.asked) == 1

    asyncio.run(scenario())


def test_however_many_are_wanted_a_bounded_number_is_asked_for_at_a_time():
    async def scenario() -> None:
        plane = Plane()
        plane.answers.clear()
        leases = Leases(plane.get)
        wanted = [ask(f"s-{number}", resource=f"rs-{number}") for number in range(300)]
        tasks = [asyncio.create_task(leases.get(each)) for each in wanted]
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(plane.asked) == AT_ONCE
        plane.answers.set()
        await asyncio.gather(*tasks)
        assert len(plane.asked) == 300

    asyncio.run(scenario())


def test_what_was_decided_before_a_change_is_asked_for_again():
    async def scenario() -> None:
        plane = Plane()
        plane.answers.clear()
        leases = Leases(plane.get)
        task = asyncio.create_task(leases.get(ask()))
        await asyncio.sleep(0.01)
        leases.forget()
        plane.refuses = True
        plane.answers.set()
        with pytest.raises(ControlError):
            await task
        assert len(plane.asked) == 2

    asyncio.run(scenario())


def test_nobody_waits_for_an_answer_from_before_a_change():
    async def scenario() -> None:
        plane = Plane()
        plane.answers.clear()
        leases = Leases(plane.get)
        before = asyncio.create_task(leases.get(ask("s-1")))
        await asyncio.sleep(0.01)
        leases.forget()
        plane.refuses = True
        after = asyncio.create_task(leases.get(ask("s-2")))
        await asyncio.sleep(0.01)
        plane.answers.set()
        for task in (before, after):
            with pytest.raises(ControlError):
                await task

    asyncio.run(scenario())


def test_a_refusal_is_not_kept():
    async def scenario() -> None:
        plane = Plane()
        plane.refuses = True
        leases = Leases(plane.get)
        with pytest.raises(ControlError):
            await leases.get(ask())
        plane.refuses = False
        await leases.get(ask())

    asyncio.run(scenario())


def test_a_proof_is_good_once():
    async def scenario() -> None:
        leases = Leases(Plane().get)
        await leases.get(ask(proved="one"))
        await leases.get(ask(proved="other"))
        with pytest.raises(ControlError, match="made before"):
            await leases.get(ask(proved="one"))

    asyncio.run(scenario())
