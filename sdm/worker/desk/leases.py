"""Leases, in memory, for as long as they are good."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable

from sdm.contract.proof import TOLERANCE
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane.proven import AT_ONCE
from sdm.control_plane.refusals import ControlError
from sdm.worker.desk.messages import Ask

# Whatever the control plane says.
LONGEST = dt.timedelta(seconds=60)
MOST = 10_000
# Of proofs that were used; one is good for so long before and after the moment that it names.
_REMEMBERED = 2 * TOLERANCE
_MOST_PROOFS = 100_000


class OwnRefusal(ControlError):
    """Of this worker: the control plane has not been asked."""


GetLease = Callable[[pb.GetLeaseRequest], Awaitable[pb.GetLeaseResponse]]
_Key = tuple[str, str, str]


class Leases:
    def __init__(self, get: GetLease) -> None:
        self._get = get
        self._kept: dict[_Key, tuple[dt.datetime, pb.GetLeaseResponse]] = {}
        # By the epoch as well: who asks after a change gets no answer from before it.
        self._asking: dict[tuple[int, _Key], asyncio.Task[pb.GetLeaseResponse]] = {}
        self._limit = asyncio.Semaphore(AT_ONCE)
        # Counts up whenever what was decided before is worth nothing.
        self._epoch = 0
        self._proofs: dict[str, dt.datetime] = {}

    def forget(self) -> None:
        self._epoch += 1
        self._kept.clear()

    async def get(self, ask: Ask) -> pb.GetLeaseResponse:
        """For this session; ControlError when there is none."""
        self._use_proof(ask.proved)
        key = (ask.account_id, ask.resource_id, ask.thumbprint)
        while True:
            kept = self._kept.get(key)
            if kept is not None and dt.datetime.now(dt.UTC) < kept[0]:
                return kept[1]
            epoch = self._epoch
            response = await self._asked(key, ask)
            # Decided before something changed, it may be wrong: and nobody would look at this session again soon.
            if epoch == self._epoch:
                self._keep(key, response)
                return response

    async def _asked(self, key: _Key, ask: Ask) -> pb.GetLeaseResponse:
        """A hundred connections at once are one question."""
        question = self._epoch, key
        task = self._asking.get(question)
        if task is None:
            task = self._asking[question] = asyncio.create_task(self._ask(ask))
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        return await asyncio.shield(task)

    async def _ask(self, ask: Ask) -> pb.GetLeaseResponse:
        request = pb.GetLeaseRequest(
            ticket=ask.ticket, client_address=ask.client_address, client_thumbprint=ask.thumbprint
        )
        async with self._limit:
            return await self._get(request)

    def _keep(self, key: _Key, response: pb.GetLeaseResponse) -> None:
        now = dt.datetime.now(dt.UTC)
        good_until = min(response.good_until.ToDatetime(dt.UTC), now + LONGEST)
        if response.HasField("ends_at"):
            good_until = min(good_until, response.ends_at.ToDatetime(dt.UTC))
        if len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (good_until, response)

    def _use_proof(self, proved: str) -> None:
        """Each once: who copies one between a balancer and here has nothing."""
        if not proved:
            return
        now = dt.datetime.now(dt.UTC)
        while self._proofs and (first := next(iter(self._proofs))) and self._proofs[first] < now:
            del self._proofs[first]
        if proved in self._proofs:
            raise OwnRefusal(Reason.NOT_LOGGED_IN, "This request was made before. Connect again.")
        if len(self._proofs) >= _MOST_PROOFS:
            raise OwnRefusal(
                Reason.TOO_MANY, "There were too many connections lately. Try again in a few minutes."
            )
        self._proofs[proved] = now + _REMEMBERED
