"""What is checked, when, and what is told of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane.refusals import ControlError
from sdm.worker import health
from sdm.worker.health import Health
from sdm.worker.protocols import KINDS
from sdm.worker.sessions.lease import Target
from sdm.worker.upstream import Unreachable

PATIENCE = 20.0


@dataclass
class Control:
    """A control plane with some resources."""

    targets: dict[str, pb.Target]
    versions: dict[str, str] = field(default_factory=dict)
    told: list[pb.Health] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    is_away: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def list_targets(self) -> pb.ListTargetsResponse:
        if self.is_away:
            self.news.set()
            raise ControlError(Reason.UNAVAILABLE)
        targets = [
            pb.TargetVersion(resource_id=each, version=self.versions.get(each, "1")) for each in self.targets
        ]
        return pb.ListTargetsResponse(targets=targets)

    async def get_target(self, resource_id: str) -> pb.GetTargetResponse:
        self.fetched.append(resource_id)
        return pb.GetTargetResponse(target=self.targets[resource_id])

    async def report_health(self, request: pb.ReportHealthRequest) -> None:
        self.told.extend(request.checks)
        self.news.set()

    async def has_told(self, count: int) -> None:
        while len(self.told) < count:
            self.news.clear()
            await self.news.wait()


class Checked:
    """A kind whose checks do as they are told, by the name of the resource."""

    running = 0
    most = 0

    async def check(self, target: Target) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0)
            if target.name == "broken":
                raise Unreachable("10.0.0.5:5432 cannot be reached: connection refused.")
            if target.name == "hangs":
                await asyncio.sleep(60)
        finally:
            self.running -= 1


@pytest.fixture
def kind(monkeypatch) -> Checked:
    kind = Checked()
    monkeypatch.setattr(health, "KINDS", {"rawTCP": kind})
    return kind


def target(name: str, kind: str = "rawTCP") -> pb.Target:
    return pb.Target(resource_id=name, name=name, kind=kind, hostname="10.0.0.5", port=5432)


def during(control: Callable[[], Control], use: Callable[[Control, Health], Awaitable[None]]) -> None:
    async def run() -> None:
        there = control()
        checks = Health()
        keeping = asyncio.create_task(checks.keep(there))
        try:
            async with asyncio.timeout(PATIENCE):
                await use(there, checks)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(run())


def of(*names: str) -> Callable[[], Control]:
    return lambda: Control({name: target(name) for name in names})


def test_what_is_there_is_checked_at_once_and_told_in_words(kind: Checked):
    async def use(control: Control, checks: Health) -> None:
        await control.has_told(2)
        told = {each.resource_id: each for each in control.told}
        assert told["fine"].healthy
        assert not told["fine"].problem
        assert not told["broken"].healthy
        assert told["broken"].problem == "10.0.0.5:5432 cannot be reached: connection refused."
        assert told["broken"].checked_at.seconds > 0

    during(of("fine", "broken"), use)


def test_what_hangs_is_unhealthy_after_its_deadline_and_nobody_waits_for_it(kind: Checked, monkeypatch):
    monkeypatch.setattr(health, "DEADLINE", 0.2)

    async def use(control: Control, checks: Health) -> None:
        await control.has_told(2)
        assert [each.resource_id for each in control.told] == ["fine", "hangs"]
        assert "takes longer" in control.told[1].problem

    during(of("hangs", "fine"), use)


def test_a_change_is_checked_and_what_stayed_is_not(kind: Checked):
    async def use(control: Control, checks: Health) -> None:
        await control.has_told(2)
        control.versions["one"] = "2"
        control.targets["new"] = target("new")
        checks.look()
        await control.has_told(4)
        assert sorted(control.fetched) == ["new", "one", "one", "two"]

    during(of("one", "two"), use)


def test_it_is_checked_again_when_somebody_wants_to_know(kind: Checked):
    async def use(control: Control, checks: Health) -> None:
        await control.has_told(2)
        checks.check_now(["two"])
        await control.has_told(3)
        checks.check_now()
        await control.has_told(5)
        assert control.fetched.count("two") == 3

    during(of("one", "two"), use)


def test_what_was_taken_away_is_forgotten(kind: Checked):
    async def use(control: Control, checks: Health) -> None:
        await control.has_told(2)
        del control.targets["two"]
        checks.look()
        checks.check_now(["one"])
        await control.has_told(3)
        checks.check_now(["two"])
        checks.check_now(["one"])
        await control.has_told(4)
        assert control.fetched.count("two") == 1

    during(of("one", "two"), use)


def test_many_are_not_checked_all_at_once(kind: Checked):
    async def use(control: Control, checks: Health) -> None:
        await control.has_told(100)
        assert kind.most <= 8

    during(of(*(f"r{number}" for number in range(100))), use)


def test_without_a_control_plane_there_is_nobody_to_tell_and_later_there_is(kind: Checked):
    def away() -> Control:
        control = of("one")()
        control.is_away = True
        return control

    async def use(control: Control, checks: Health) -> None:
        await control.news.wait()
        control.is_away = False
        checks.look()
        await control.has_told(1)

    during(away, use)


def test_a_kind_that_is_not_spoken_here_is_left_to_others(kind: Checked):
    def some() -> Control:
        return Control({"old": target("old", "x3270"), "one": target("one")})

    async def use(control: Control, checks: Health) -> None:
        await control.has_told(1)
        assert [each.resource_id for each in control.told] == ["one"]

    during(some, use)


def test_every_kind_that_is_spoken_can_be_checked():
    assert all(callable(each.check) for each in KINDS.values())
