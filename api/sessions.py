"""The calls by which workers let people through: leases, and whether live sessions go on."""

import re
from collections.abc import Sequence

from api import client_messages, messages
from api.calls import Context, acting_as, answering
from api.proved import ProvedCalls
from api.records import deliver
from audit.context import Source
from audit.storing import sessions_found
from clusters.workers import Refused
from connections.leases import Lease, cancel_secret, lease_of
from connections.verdicts import Live, Verdict, verdicts
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as v1

MAX_SESSIONS = 500
_THUMBPRINT = re.compile(r"[0-9a-f]{64}", re.ASCII)


class SessionCalls(ProvedCalls):
    @answering
    async def GetLease(self, request: v1.GetLeaseRequest, context: Context) -> v1.GetLeaseResponse:
        worker, _ = await self._caller(context, "GetLease", request)
        source = Source(messages.ip_address(request.client_address), "sdm")
        lease = await self._threads.run(
            acting_as(source, lease_of),
            worker=worker,
            ticket=request.ticket,
            thumbprint=request.client_thumbprint,
        )
        return _answer(lease)

    @answering
    async def CheckSessions(
        self, request: v1.CheckSessionsRequest, context: Context
    ) -> v1.CheckSessionsResponse:
        worker, _ = await self._caller(context, "CheckSessions", request)
        if len(request.sessions) > MAX_SESSIONS:
            raise Refused(Reason.BAD_REQUEST, f"At most {MAX_SESSIONS} sessions are checked at once.")
        live = _live(request)
        found = await self._threads.run(verdicts, worker=worker, sessions=live)
        ids = [session.session_id for session in live]
        await self._threads.run(sessions_found, cluster_id=worker.cluster_id, session_ids=ids)
        return v1.CheckSessionsResponse(verdicts=[_verdict(verdict) for verdict in found])

    @answering
    async def DeliverRecords(
        self, request: v1.DeliverRecordsRequest, context: Context
    ) -> v1.DeliverRecordsResponse:
        worker, _ = await self._caller(context, "DeliverRecords", request)
        await self._threads.run(deliver, worker, request.records)
        return v1.DeliverRecordsResponse()


def _answer(lease: Lease) -> v1.GetLeaseResponse:
    return v1.GetLeaseResponse(
        person=client_messages.person(lease.account),
        target=messages.target(lease.resource, lease.credentials),
        good_until=messages.timestamp(lease.good_until),
        ends_at=messages.timestamp(lease.ends_at),
        cancel_secret=cancel_secret(lease.resource.cluster_id),
    )


def _live(request: v1.CheckSessionsRequest) -> Sequence[Live]:
    checked = client_messages.checked_id
    return [
        Live(
            checked("s", said.session_id),
            checked("a", said.account_id),
            checked("rs", said.resource_id),
            said.client_thumbprint if _THUMBPRINT.fullmatch(said.client_thumbprint) else "",
        )
        for said in request.sessions
    ]


def _verdict(verdict: Verdict) -> v1.SessionVerdict:
    told = v1.SessionVerdict(session_id=verdict.session_id, may_go_on=verdict.ending is None)
    if verdict.ending is not None:
        told.reason, told.message = verdict.ending.value, verdict.message
    if verdict.ends_at is not None:
        told.ends_at.CopyFrom(messages.timestamp(verdict.ends_at))
    return told
