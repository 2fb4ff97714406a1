"""Whether the resources of the cluster can be reached from here: connect, sign in, ask for something trivial.

Each is checked when it is new or has changed, when somebody wants to know, and every five minutes, drawn by lot so
that many workers do not all ask at once. Credentials are fetched for one check and forgotten after it.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import secrets
import time
from collections.abc import Iterable
from typing import Protocol

from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane.refusals import ControlError
from sdm.worker.protocols import KINDS
from sdm.worker.sessions.lease import Target
from sdm.worker.upstream import Unreachable

log = logging.getLogger(__name__)

EVERY = 300.0
# When the control plane did not give what is needed, or take what was found.
_RETRY_AFTER = 30.0
# How often it is asked what there is to check; changes are announced besides.
_LOOK_EVERY = 60.0
# A resource that is slower than this is not healthy.
DEADLINE = 20.0
_AT_ONCE = 8
_BATCH = 200
_MAX_PROBLEM = 500
_chance = secrets.SystemRandom()


class Control(Protocol):
    """What is asked of the control plane; ControlError when it cannot be had."""

    async def list_targets(self) -> pb.ListTargetsResponse: ...
    async def get_target(self, resource_id: str) -> pb.GetTargetResponse: ...
    async def report_health(self, request: pb.ReportHealthRequest) -> None: ...


class Health:
    def __init__(self) -> None:
        # Version and the moment of the next check, of each resource.
        self._known: dict[str, tuple[str, float]] = {}
        self._wanted = asyncio.Event()

    def check_now(self, resource_ids: Iterable[str] = ()) -> None:
        """These, or all; and look what is there to check."""
        chosen = list(resource_ids) or list(self._known)
        for resource_id in chosen:
            if resource_id in self._known:
                self._known[resource_id] = (self._known[resource_id][0], 0.0)
        self._wanted.set()

    def look(self) -> None:
        """Something may be new or another than before."""
        self._wanted.set()

    async def keep(self, control: Control) -> None:
        """For ever. While the control plane is away there is nobody to tell."""
        while True:
            with contextlib.suppress(ControlError):
                await self._turn(control)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience()):
                    await self._wanted.wait()

    def _patience(self) -> float:
        next_due = min((due for _, due in self._known.values()), default=float("inf"))
        return max(0.5, min(_LOOK_EVERY, next_due - time.monotonic()))

    async def _turn(self, control: Control) -> None:
        self._wanted.clear()
        versions = {each.resource_id: each.version for each in (await control.list_targets()).targets}
        known, now = self._known, time.monotonic()
        self._known = {
            resource_id: known[resource_id] if known.get(resource_id, ("",))[0] == version else (version, 0.0)
            for resource_id, version in versions.items()
        }
        due = [resource_id for resource_id, (_, moment) in self._known.items() if moment <= now]
        for begin in range(0, len(due), _BATCH):
            await self._check_all(control, due[begin : begin + _BATCH])

    async def _check_all(self, control: Control, resource_ids: list[str]) -> None:
        """Each is told as soon as it is known: what hangs does not keep the others waiting."""
        limit = asyncio.Semaphore(_AT_ONCE)

        async def check(resource_id: str) -> None:
            async with limit:
                self._put_off(resource_id, _RETRY_AFTER)
                found = await _check(control, resource_id)
                if found is not None:
                    await control.report_health(pb.ReportHealthRequest(checks=[found]))
            self._put_off(resource_id, EVERY)

        outcomes = await asyncio.gather(*map(check, resource_ids), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def _put_off(self, resource_id: str, seconds: float) -> None:
        version, _ = self._known[resource_id]
        self._known[resource_id] = (version, time.monotonic() + seconds * _chance.uniform(0.9, 1.1))


async def _check(control: Control, resource_id: str) -> pb.Health | None:
    """None when this kind cannot be checked, or the resource is gone meanwhile."""
    response = await control.get_target(resource_id)
    target = Target.read(response.target)
    kind = KINDS.get(target.kind)
    if kind is None:
        return None
    began, problem = time.monotonic(), ""
    at = dt.datetime.now(dt.UTC)
    try:
        async with asyncio.timeout(DEADLINE):
            await kind.check(target)
    except Unreachable as error:
        problem = str(error)
    except TimeoutError:
        problem = f"{target.hostname}:{target.port} takes longer than {DEADLINE:.0f} s."
    except OSError as error:
        problem = f"{target.hostname}:{target.port}: {error.strerror or error}."
    found = pb.Health(
        resource_id=resource_id,
        healthy=not problem,
        problem=problem[:_MAX_PROBLEM],
        milliseconds=round(1000 * (time.monotonic() - began)),
    )
    found.checked_at.FromDatetime(at)
    return found
