"""The calls by which workers learn what to check, and tell what they found."""

from api import client_messages, messages
from api.calls import Context, Threads, answering
from api.limits import Limit
from api.proved import ProvedCalls
from clusters.models import Worker
from clusters.workers import Refused
from resources.credentials import opened
from resources.health import Finding, health_reported
from resources.models import MAX_PROBLEM, Resource
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as v1

MAX_CHECKS = 1_000
# A message that workers take has four megabytes.
MAX_TARGETS = 50_000
_LONGEST = 2**31 - 1


class HealthCalls(ProvedCalls):
    def __init__(self, *, threads: Threads) -> None:
        super().__init__(threads=threads)
        # In a minute, of one worker: more than it has resources to check.
        self._targets = Limit(20_000)

    @answering
    async def ListTargets(self, request: v1.ListTargetsRequest, context: Context) -> v1.ListTargetsResponse:
        worker, _ = await self._caller(context, "ListTargets", request)
        found = await self._threads.run(_versions, worker)
        targets = [v1.TargetVersion(resource_id=pk, version=str(version)) for pk, version in found]
        return v1.ListTargetsResponse(targets=targets)

    @answering
    async def GetTarget(self, request: v1.GetTargetRequest, context: Context) -> v1.GetTargetResponse:
        worker, _ = await self._caller(context, "GetTarget", request)
        resource_id = client_messages.checked_id("rs", request.resource_id)
        self._targets.check(worker.pk)
        self._targets.count(worker.pk)
        return await self._threads.run(_target, worker, resource_id)

    @answering
    async def ReportHealth(
        self, request: v1.ReportHealthRequest, context: Context
    ) -> v1.ReportHealthResponse:
        worker, _ = await self._caller(context, "ReportHealth", request)
        if len(request.checks) > MAX_CHECKS:
            raise Refused(Reason.BAD_REQUEST, f"At most {MAX_CHECKS} checks are reported at once.")
        await self._threads.run(health_reported, worker, [_finding(check) for check in request.checks])
        return v1.ReportHealthResponse()


def _versions(worker: Worker) -> list[tuple[str, int]]:
    rows = Resource.objects.filter(cluster=worker.cluster_id).order_by("pk")
    return list(rows.values_list("pk", "version")[:MAX_TARGETS])


def _target(worker: Worker, resource_id: str) -> v1.GetTargetResponse:
    """Without a target when the resource is not, or not any more, one of the worker's cluster."""
    resource = Resource.objects.filter(pk=resource_id, cluster=worker.cluster_id).first()
    if resource is None:
        return v1.GetTargetResponse()
    return v1.GetTargetResponse(target=messages.target(resource, opened(resource)))


def _finding(said: v1.Health) -> Finding:
    try:
        checked_at = messages.moment(said.checked_at)
    except ValueError as error:
        raise Refused(Reason.BAD_REQUEST, "checked_at is no moment.") from error
    return Finding(
        resource_id=client_messages.checked_id("rs", said.resource_id),
        healthy=said.healthy,
        problem=messages.plain(said.problem, MAX_PROBLEM),
        milliseconds=min(said.milliseconds, _LONGEST),
        checked_at=checked_at,
    )
