"""A control plane that is away for long: how often a worker tries, by a clock that the test turns."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any, cast

import pytest

from sdm.contract.keys import SecretKey
from sdm.contract.reasons import Reason
from sdm.control_plane.refusals import ControlError
from sdm.worker.config import load
from sdm.worker.control.membership import Membership

ENVIRONMENT = {
    "SDM_PROXY_CLUSTER_ACCESS_KEY": "gk-0123456789abcdef",
    "SDM_PROXY_CLUSTER_SECRET_KEY": SecretKey.generate().reveal(),
    "SDM_APP_DOMAIN": "127.0.0.1:1",
}
MINUTE, HOUR = 60.0, 3600.0


class Over(Exception):
    """The time that is looked at has passed."""


class Worker:
    """Whom a membership tells that there is no connection."""

    changed: asyncio.Event

    def connected(self, up: bool) -> None:
        assert not up


def attempts(
    monkeypatch: pytest.MonkeyPatch, away: float, answers: Callable[[Membership], None] = lambda _: None
) -> list[float]:
    """The moments at which a worker tries while the control plane is away."""
    now, moments = 0.0, list[float]()

    async def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now > away:
            raise Over

    async def try_it(member: Membership) -> None:
        moments.append(now)
        answers(member)
        raise ControlError(Reason.UNAVAILABLE)

    monkeypatch.setattr(asyncio, "sleep", pass_time)
    monkeypatch.setattr(Membership, "_session", try_it)
    member = Membership(load(ENVIRONMENT), cast(Any, Worker()), "0.1.0", None)
    with pytest.raises(Over):
        asyncio.run(member.keep())
    return moments


def pauses(moments: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(moments)]


def test_it_tries_soon_then_rarely_and_never_gives_up(monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    tried = pauses(attempts(monkeypatch, 24 * HOUR))
    assert tried[0] <= 0.5
    assert all(15 <= pause <= 30 for pause in tried[7:])
    # A day: one every half minute at the rarest.
    assert 24 * HOUR / 30 <= len(tried) <= 24 * HOUR / 15


def test_a_second_is_over_at_once_and_a_minute_within_half_of_it(monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    for away, most in ((1.0, 2.0), (MINUTE, 30.0), (HOUR, 30.0)):
        last = attempts(monkeypatch, away)[-1]
        assert away - last <= most


def test_a_thousand_workers_do_not_come_back_together(monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    after = [attempts(monkeypatch, MINUTE)[-1] for _ in range(1_000)]
    busiest = max(sum(second <= moment < second + 1 for moment in after) for second in range(60))
    assert busiest < 300


def test_whoever_was_connected_again_begins_with_short_pauses(monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    seen = itertools.count()

    def answers_once(member: Membership) -> None:
        if next(seen) == 10:
            member._pauses.reset()

    tried = pauses(attempts(monkeypatch, HOUR, answers_once))
    assert tried[9] >= 15
    assert tried[10] <= 0.5
