"""The control link's service (proto/sdm/contract/v1/workers.proto): calls become acts, and acts become answers."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.utils import timezone

from api import callers, messages
from api.calls import Context, Threads, address_of, answering, decodable, from_source, refusing
from api.health import HealthCalls
from api.limits import JoiningLimits
from api.pulse import Pulse
from api.reaching import Reaching
from api.sessions import SessionCalls
from api.streams import Closing, first_to_end
from authority.services import Issued
from clusters.configuration import Configuration, configuration_of
from clusters.models import Worker
from clusters.restarts import Turn, turn_of
from clusters.workers import Refused, certificate_renew, standing, topics_of, worker_topic
from events.hub import Hub, Subscription
from events.publishing import MISSED, Event, publish
from events.topics import ACCESS
from keys import joining
from resources.health import check_topic
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as v1

# A stream looks for itself as often, should no event have told it to.
LOOK_AFTER = 60.0
# Changes come in bursts: a worker hears of one once.
SETTLE = 0.2
# Who is told to stop ends the stream, and gets as long for it. Ended by us while a report is on its way, gRPC would
# tell the worker of an error of its own instead.
TO_HANG_UP = 1.0


class Workers(SessionCalls, HealthCalls):
    def __init__(
        self, *, threads: Threads, hub: Hub, pulse: Pulse, reaching: Reaching, closing: Closing
    ) -> None:
        super().__init__(threads=threads)
        self._hub = hub
        self._pulse = pulse
        self._reaching = reaching
        self._limits = JoiningLimits()
        self._closing = closing

    # --- Joining ---

    @answering
    async def GetChallenge(
        self, request: v1.GetChallengeRequest, context: Context
    ) -> v1.GetChallengeResponse:
        self._limits.admit(address_of(context), request.access_key)
        nonce = joining.new_challenge(request.access_key)
        return v1.GetChallengeResponse(nonce=nonce, now=messages.timestamp(timezone.now()))

    @answering
    async def Register(self, request: v1.RegisterRequest, context: Context) -> v1.RegisterResponse:
        address = address_of(context)
        self._limits.admit(address, request.access_key)
        try:
            join = from_source(context, messages.version(request), joining.join)
            joined = await self._threads.run(join, _application(request, address))
        except Refused as refused:
            if refused.reason is not Reason.UNAVAILABLE:
                self._limits.refused(address, request.access_key)
            raise
        cluster = joined.worker.cluster
        return v1.RegisterResponse(
            worker_id=joined.worker.pk,
            cluster_id=cluster.pk,
            cluster_name=cluster.name,
            certificate=messages.certificate(joined.certificate),
            configuration=_configuration(joined.configuration),
        )

    # --- Afterwards ---

    @answering
    async def Heartbeat(self, request: v1.WorkerReport, context: Context) -> v1.HeartbeatResponse:
        try:
            worker, _ = await self._caller(context, "Heartbeat", request)
        except Refused as refused:
            if refused.reason in _TOLD_TO_STOP:
                return v1.HeartbeatResponse(instruction=messages.stop(refused.reason, str(refused)))
            raise
        self._pulse.heard(worker.pk, messages.report(request))
        if request.configuration_generation == worker.cluster.configuration_generation:
            turn = await self._threads.run(turn_of, worker, at=timezone.now())
            return v1.HeartbeatResponse(instruction=messages.restart(turn) if turn else None)
        current = await self._threads.run(configuration_of, worker.cluster)
        instruction = v1.Instruction(configuration=_configuration(current))
        return v1.HeartbeatResponse(instruction=instruction)

    @answering
    async def Renew(self, request: v1.RenewRequest, context: Context) -> v1.RenewResponse:
        worker, given = await self._caller(context, "Renew", request)
        issued: Issued = await self._threads.run(
            certificate_renew,
            worker,
            certificate_pem=callers.pem_of(given),
            csr_pem=request.certificate_request,
        )
        return v1.RenewResponse(certificate=messages.certificate(issued))

    # Written through the context, not yielded: it listens at the same time. The published types know the other way.
    async def Watch(  # type: ignore[override]
        self, request_iterator: AsyncIterator[v1.WorkerReport], context: Context
    ) -> None:
        async with refusing(context):
            worker, _ = await self._caller(context, "Watch")
            topics = (*topics_of(worker), ACCESS, check_topic(worker.cluster_id))
            async with self._hub.subscribe(*topics) as news:
                await first_to_end(
                    self._listen(worker, request_iterator),
                    self._tell(worker, news, context),
                    self._closing.end(),
                )

    # --- The stream ---

    async def _listen(self, worker: Worker, reports: AsyncIterator[v1.WorkerReport]) -> None:
        """Until the worker has nothing more to say."""
        state = worker.state
        async for said in reports:
            report = messages.report(decodable(said))
            self._pulse.heard(worker.pk, report)
            if report.state == Worker.State.STARTED != state:
                self._reaching.soon(worker.cluster_id)
            state = report.state

    async def _tell(self, worker: Worker, news: Subscription, context: Context) -> None:
        """Until the worker is told to stop, or has opened another stream."""
        stream = _Stream()
        await self._threads.run(publish, worker_topic(worker.pk), {"stream": stream.name})
        sent, heard = None, _Heard(look=True)
        while True:
            if heard.look:
                current, turn = await self._as_it_is(worker, context)
                if current.generation != sent:
                    sent = current.generation
                    await context.write(v1.Instruction(configuration=_configuration(current)))
                if turn is not None:
                    await context.write(messages.restart(turn))
            for instruction in heard.instructions():
                await context.write(instruction)
            heard = await _something_new(news, stream)

    async def _as_it_is(self, worker: Worker, context: Context) -> tuple[Configuration, Turn | None]:
        try:
            return await self._threads.run(_as_it_is, worker)
        except Refused as refused:
            await context.write(messages.stop(refused.reason, str(refused)))
            await asyncio.sleep(TO_HANG_UP)
            raise


# What ends a worker is an instruction where there is an answer to put it in.
_TOLD_TO_STOP = frozenset({Reason.DISCONNECTED, Reason.KEY_DELETED, Reason.CLUSTER_DELETED})


class _Stream:
    """One stream of a worker, as it is announced. Events come in their order: what comes before ours is older."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(8)
        self._announced = False

    def concerns(self, payload: Mapping[str, Any]) -> bool:
        """Whether there is something to do. Refused when a newer stream of this worker has begun."""
        other = payload.get("stream")
        if other is None:
            return True
        if other != self.name and self._announced:
            raise Refused(Reason.REPLACED)
        self._announced = self._announced or other == self.name
        return False


@dataclass
class _Heard:
    """What the events of a moment ask for."""

    # The worker itself may be another than it was: what it works by, and whether it goes on.
    look: bool = False
    recheck: bool = False
    # Resources whose health somebody wants to know.
    resources: set[str] = field(default_factory=set)

    @property
    def something(self) -> bool:
        return self.look or self.recheck or bool(self.resources)

    def add(self, event: Event, stream: _Stream) -> None:
        if event.topic == ACCESS:
            self.recheck = True
        elif "resource" in event.payload:
            self.resources.add(event.payload["resource"])
        elif stream.concerns(event.payload):
            self.look = True
            # Of those that passed by, one may have been about access.
            self.recheck = self.recheck or event.topic == MISSED

    def instructions(self) -> Iterator[v1.Instruction]:
        if self.recheck:
            yield v1.Instruction(recheck=v1.Recheck())
        if self.resources:
            yield v1.Instruction(check_health=v1.CheckHealth(resource_ids=sorted(self.resources)))


async def _something_new(news: Subscription, stream: _Stream) -> _Heard:
    """Wait for an event, and a moment for those that come with it; or a while, and look."""
    heard = _Heard()
    try:
        async with asyncio.timeout(LOOK_AFTER):
            while not heard.something:
                heard.add(await anext(news), stream)
    except TimeoutError:
        return _Heard(look=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLE):
            while True:
                heard.add(await anext(news), stream)
    return heard


def _as_it_is(worker: Worker) -> tuple[Configuration, Turn | None]:
    worker = standing(worker.pk, access_key=worker.access_key)
    return configuration_of(worker.cluster), turn_of(worker, at=timezone.now())


def _configuration(current: Configuration) -> v1.Configuration:
    return messages.configuration(current, heartbeat_seconds=settings.WORKER_HEARTBEAT_SECONDS)


def _application(request: v1.RegisterRequest, address: str) -> joining.Application:
    try:
        joining.check_clock(messages.moment(request.sent_at))
    except ValueError as error:
        raise Refused(Reason.BAD_REQUEST, "sent_at is no moment.") from error
    return joining.Application(
        access_key=request.access_key,
        nonce=request.nonce,
        signature=request.signature,
        csr=request.certificate_request,
        host_name=messages.host_name(request),
        version=messages.version(request),
        source_address=address,
        maintenance_hour=messages.maintenance_hour(request),
    )
