"""Joining the cluster, staying in it, and coming back.

A *session* is one connection with three tasks: the stream, the pulse, and the renewal of the certificate. The first
of them that fails ends it, and what the failure says decides what is next: the same again after a pause, to join
anew, or the end. Pauses grow and are drawn by lot, so that a thousand workers do not come back together.
"""

import asyncio
import datetime as dt
import logging
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import NoReturn, Protocol

from grpc import aio

from sdm.contract.reasons import Reason, Then
from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane.connection import connect
from sdm.control_plane.pauses import Pauses
from sdm.control_plane.refusals import ControlError
from sdm.control_plane.together import together
from sdm.pki import profiles
from sdm.worker.config import Config
from sdm.worker.control.calls import Calls, Me

log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 10
# A clock that is set meanwhile is noticed this soon.
_LONGEST_SLEEP = 60.0
_chance = secrets.SystemRandom()


class Worker(Protocol):
    """Who is a member: what it reports, and what it does with what it is told."""

    changed: asyncio.Event

    def report(self) -> pb.WorkerReport: ...
    def joined(self, me: Me, cluster: str) -> None: ...
    def connected(self, up: bool) -> None: ...
    def configure(self, configuration: pb.Configuration) -> None: ...
    def restart(self, *, cut_connections: bool) -> None: ...
    def recheck(self) -> None: ...
    def check_health(self, resource_ids: Iterable[str]) -> None: ...


class Membership:
    def __init__(
        self, config: Config, worker: Worker, version: str, me: Me | None, pins: Sequence[str] = ()
    ) -> None:
        self._config = config
        self._where = config.control_plane
        self._believe(pins)
        self._worker = worker
        self._version = version
        self.me = me
        self._pauses = Pauses()
        self._heartbeat_seconds = _HEARTBEAT_SECONDS
        # Those of the connection that stands.
        self._standing: Calls | None = None

    async def keep(self) -> NoReturn:
        """For ever; a ControlError says why not any longer."""
        while True:
            try:
                await self._session()
            except ControlError as error:
                self._worker.connected(False)
                if error.reason.then is Then.END:
                    self.me = None  # nobody over there waits for a goodbye
                    raise
                if error.reason.then is Then.REGISTER:
                    self.me = None
                pause = self._pauses.take()
                log.warning("%s Trying again in %.1f s.", error, pause)
                await asyncio.sleep(pause)

    async def say_goodbye(self, seconds: float) -> None:
        """A last report, if it can be had quickly. Missing it costs three heartbeats of patience over there."""
        if self.me is None:
            return
        try:
            async with asyncio.timeout(seconds), connect(self._where) as channel:
                await self._calls(channel).heartbeat(self.me, self._worker.report(), seconds=seconds)
        except (ControlError, TimeoutError) as error:
            log.debug("The last report did not get through: %s", error)

    async def get_lease(self, request: pb.GetLeaseRequest) -> pb.GetLeaseResponse:
        calls, me = self._stands()
        return await calls.get_lease(me, request)

    async def check_sessions(self, request: pb.CheckSessionsRequest) -> pb.CheckSessionsResponse:
        calls, me = self._stands()
        return await calls.check_sessions(me, request)

    async def list_targets(self) -> pb.ListTargetsResponse:
        calls, me = self._stands()
        return await calls.list_targets(me)

    async def get_target(self, resource_id: str) -> pb.GetTargetResponse:
        calls, me = self._stands()
        return await calls.get_target(me, resource_id)

    async def report_health(self, request: pb.ReportHealthRequest) -> None:
        calls, me = self._stands()
        await calls.report_health(me, request)

    async def deliver_records(self, records: Sequence[bytes]) -> None:
        calls, me = self._stands()
        await calls.deliver_records(me, pb.DeliverRecordsRequest(records=records))

    def _stands(self) -> tuple[Calls, Me]:
        if self._standing is None or self.me is None:
            raise ControlError(Reason.UNAVAILABLE, f"The control plane at {self._where} is out of reach.")
        return self._standing, self.me

    def _calls(self, channel: aio.Channel) -> Calls:
        return Calls(channel, str(self._where))

    async def _session(self) -> None:
        async with connect(self._where) as channel:
            calls = self._calls(channel)
            me = self.me or await self._join(calls)
            self._standing = calls
            try:
                await together(self._watch(calls, me), self._pulse(calls), self._renew(calls))
            except ExceptionGroup as group:
                raise _gravest(group) from None
            finally:
                self._standing = None

    async def _join(self, calls: Calls) -> Me:
        me, response = await calls.register(
            access_key=self._config.access_key,
            secret_key=self._config.secret_key,
            host_name=self._config.host_name,
            version=self._version,
            window_start=self._config.maintenance_window_start,
        )
        self.me = me
        log.info("Joined cluster %s as %s.", response.cluster_name, me.worker_id)
        self._worker.joined(me, response.cluster_name)
        self._configure(response.configuration)
        return me

    async def _watch(self, calls: Calls, me: Me) -> None:
        async with aclosing(calls.watch(me, self._reports())) as instructions:
            async for instruction in instructions:
                self._pauses.reset()
                self._worker.connected(True)
                self._obey(instruction)

    async def _reports(self) -> AsyncIterator[pb.WorkerReport]:
        while True:
            self._worker.changed.clear()
            yield self._worker.report()
            await self._worker.changed.wait()

    async def _pulse(self, calls: Calls) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_seconds * _chance.uniform(0.8, 1))
            if self.me is not None:
                self._obey(await calls.heartbeat(self.me, self._worker.report()))
                self._pauses.reset()

    async def _renew(self, calls: Calls) -> None:
        while self.me is not None:
            due = profiles.renew_at(self.me.certificate, chance=_chance.random())
            await _until(due)
            self.me = await calls.renew(self.me)
            log.info(
                "The certificate is renewed, until %s.", self.me.certificate.not_valid_after_utc.isoformat()
            )
            self._worker.joined(self.me, "")

    def _obey(self, instruction: pb.Instruction) -> None:
        match instruction.WhichOneof("instruction"):
            case "configuration":
                self._configure(instruction.configuration)
            case "restart":
                self._worker.restart(cut_connections=instruction.restart.cut_connections)
            case "recheck":
                self._worker.recheck()
            case "check_health":
                self._worker.check_health(instruction.check_health.resource_ids)
            case "stop":
                raise stopped(instruction.stop)

    def _configure(self, configuration: pb.Configuration) -> None:
        self._heartbeat_seconds = configuration.heartbeat_seconds or _HEARTBEAT_SECONDS
        self._believe(configuration.control_plane_pins)
        self._worker.configure(configuration)

    def _believe(self, pins: Sequence[str]) -> None:
        """Who pins one authority of the control plane believes the others that it names."""
        given = self._config.control_plane
        if given.pins:
            self._where = replace(given, pins=given.pins.union(pins))


async def _until(moment: dt.datetime) -> None:
    while (left := (moment - dt.datetime.now(dt.UTC)).total_seconds()) > 0:  # noqa: ASYNC110  # it waits for a time
        await asyncio.sleep(min(left, _LONGEST_SLEEP))


def stopped(stop: pb.Stop) -> ControlError:
    """Told to stop for a reason that it has never heard of, a worker stops; after some it may come back."""
    try:
        reason = Reason(stop.reason)
    except ValueError:
        reason = Reason.DISCONNECTED
    return ControlError(reason, stop.message)


def _gravest(group: ExceptionGroup[Exception]) -> Exception:
    """The one that decides. What is no ControlError is a fault of ours, and goes all the way up."""
    order = [Then.END, Then.REGISTER, Then.RETRY]
    errors = [error for error in group.exceptions if isinstance(error, ControlError)]
    if len(errors) < len(group.exceptions):
        return group
    return min(errors, key=lambda error: order.index(error.reason.then))
