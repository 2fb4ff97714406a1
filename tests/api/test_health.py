"""Workers learn what to check, get what they need for it, and tell what they found."""

import datetime as dt
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from accounts.models import Account
from clusters.models import Worker
from connections.catalog import entries
from resources.health import check_request, health_rows, health_sweep
from resources.models import HealthCheck, Resource
from resources.services import Move, credential_replace, resources_move
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as v1
from tests.access.factories import choose, make_role
from tests.api.conftest import Ground
from tests.api.leasing import joined
from tests.api.worker import SimulatedWorker, act, refusal
from tests.clusters.factories import make_cluster, make_worker
from tests.resources.factories import make_resource, store_secret


@pytest.fixture
def resource(ground: Ground) -> Resource:
    found = make_resource(ground.alice, "orders-db", cluster=ground.cluster)
    store_secret(found, "the-password")
    return found


async def targets(worker: SimulatedWorker) -> dict[str, str]:
    request = v1.ListTargetsRequest()
    found = await worker.stub.ListTargets(request, metadata=worker.metadata("ListTargets", request))
    return {target.resource_id: target.version for target in found.targets}


async def target(worker: SimulatedWorker, resource_id: str) -> v1.GetTargetResponse:
    request = v1.GetTargetRequest(resource_id=resource_id)
    return await worker.stub.GetTarget(request, metadata=worker.metadata("GetTarget", request))


async def report(worker: SimulatedWorker, *resources: Resource, **fields: Any) -> None:
    checks = [
        v1.Health(resource_id=row.pk, **{"healthy": True, "milliseconds": 12} | fields) for row in resources
    ]
    for check in checks:
        check.checked_at.FromDatetime(dt.datetime.now(dt.UTC))
    request = v1.ReportHealthRequest(checks=checks)
    await worker.stub.ReportHealth(request, metadata=worker.metadata("ReportHealth", request))


def stored(resource: Resource) -> Resource:
    return Resource.objects.get(pk=resource.pk)


def healthy(resource: Resource) -> bool | None:
    return stored(resource).healthy


def test_a_worker_gets_what_is_attached_to_its_cluster_and_nothing_else(ground: Ground, resource: Resource):
    other = make_cluster("cold-tea", "127.0.0.1:2")
    foreign = make_resource(ground.alice, "payroll", cluster=other)
    store_secret(foreign, "not-for-you")
    make_resource(ground.alice, "attached-nowhere")

    async def scene(ground: Ground) -> tuple[dict[str, str], v1.GetTargetResponse, v1.GetTargetResponse]:
        worker = await joined(ground)
        assert (await refusal(target(worker, "rs-\0")))[0] is Reason.BAD_REQUEST
        return await targets(worker), await target(worker, resource.pk), await target(worker, foreign.pk)

    listed, given, refused = ground.run(scene)
    assert list(listed) == [resource.pk]
    assert dict(given.target.credentials) == {"password": b"the-password"}
    assert not refused.HasField("target")


def test_the_version_differs_after_each_change_of_a_credential_too(ground: Ground, resource: Resource):
    async def scene(ground: Ground) -> tuple[dict[str, str], dict[str, str]]:
        worker = await joined(ground)
        before = await targets(worker)
        await act(
            lambda: credential_replace(
                actor=ground.alice, resource=resource, field="password", secret="another"
            )
        )
        return before, await targets(worker)

    before, after = ground.run(scene)
    assert before[resource.pk] != after[resource.pk]


def test_a_resource_is_healthy_when_all_its_workers_reach_it(ground: Ground, resource: Resource):
    found: list[bool | None] = []

    async def scene(ground: Ground) -> None:
        first, second = await joined(ground), await joined(ground, host_name="host-2")
        await report(first, resource)
        found.append(await act(lambda: healthy(resource)))
        await report(second, resource, healthy=False, problem="db.internal:5432 refuses connections.\n")
        found.append(await act(lambda: healthy(resource)))
        rows = await act(lambda: health_rows(resource))
        problems = [row.check.problem if row.check else None for row in rows]
        assert problems == ["", "db.internal:5432 refuses connections."]
        # The worker that does not reach it goes.
        await act(lambda: Worker.objects.filter(pk=second.id).update(state=Worker.State.DEAD))
        await act(health_sweep)
        found.append(await act(lambda: healthy(resource)))

    ground.run(scene)
    assert found == [True, False, True]
    assert HealthCheck.objects.count() == 1


def test_who_reaches_a_resource_is_told_what_is_wrong_with_it(ground: Ground, resource: Resource):
    """What a worker would say to their tool as well."""
    found: list[str] = []
    choose(make_role(ground.alice, "developers", ground.alice), resource)

    def told() -> None:
        [entry] = entries(ground.alice, timezone.now())
        found.append(entry.health_problem)

    async def scene(ground: Ground) -> None:
        first, second = await joined(ground), await joined(ground, host_name="host-2")
        await report(first, resource)
        await act(told)
        await report(second, resource, healthy=False, problem="db.internal:5432 refuses connections.")
        await act(told)
        await report(second, resource)
        await act(told)

    ground.run(scene)
    assert found == ["", "db.internal:5432 refuses connections.", ""]


def test_what_was_found_before_a_change_counts_no_more(ground: Ground, resource: Resource):
    async def scene(ground: Ground) -> None:
        first, second = await joined(ground), await joined(ground)
        await report(first, resource, healthy=False, problem="The password is wrong.")
        await act(
            lambda: credential_replace(
                actor=ground.alice, resource=resource, field="password", secret="another"
            )
        )
        assert await act(lambda: healthy(resource)) is None
        assert [row.check for row in await act(lambda: health_rows(stored(resource)))] == [None, None]
        await report(second, resource)
        assert await act(lambda: healthy(resource)) is True
        other = await act(lambda: make_cluster("cold-tea", "127.0.0.1:2"))
        move = Move(resource.pk, ground.cluster.pk, other.pk)
        await act(lambda: resources_move(actor=ground.alice, moves=[move]))
        assert await act(lambda: healthy(resource)) is None
        await report(second, resource)  # it is not its any more
        assert await act(lambda: healthy(resource)) is None
        await act(health_sweep)

    ground.run(scene)
    assert not HealthCheck.objects.exists()


def test_numbers_and_words_without_measure(ground: Ground, resource: Resource):
    async def scene(ground: Ground) -> None:
        worker = await joined(ground)
        await report(
            worker, resource, resource, healthy=False, problem="\0<b>" + "x" * 2_000, milliseconds=2**32 - 1
        )
        future = v1.Health(resource_id=resource.pk)
        future.checked_at.seconds = 2**62
        request = v1.ReportHealthRequest(checks=[future])
        call = worker.stub.ReportHealth(request, metadata=worker.metadata("ReportHealth", request))
        assert (await refusal(call))[0] is Reason.BAD_REQUEST
        request = v1.ReportHealthRequest(checks=[v1.Health(resource_id=resource.pk)] * 1_001)
        call = worker.stub.ReportHealth(request, metadata=worker.metadata("ReportHealth", request))
        assert (await refusal(call))[0] is Reason.BAD_REQUEST

    ground.run(scene)
    check = HealthCheck.objects.get()
    assert check.problem == "<b>" + "x" * 497
    assert check.checked_at <= timezone.now()


def test_check_now_reaches_the_workers_of_the_cluster(ground: Ground, resource: Resource, bob: Account):
    cache.clear()

    async def scene(ground: Ground) -> v1.Instruction:
        worker = await joined(ground)
        async with worker.watching() as stream:
            await stream.next()
            assert await act(lambda: check_request(actor=ground.alice, resource=resource))
            assert not await act(lambda: check_request(actor=ground.alice, resource=resource))
            while not (instruction := await stream.next()).HasField("check_health"):
                pass
            return instruction

    assert list(ground.run(scene).check_health.resource_ids) == [resource.pk]


def test_workers_that_have_not_checked_yet_are_listed(ground: Ground, resource: Resource):
    make_worker(ground.cluster, host_name="host-9")
    [row] = health_rows(resource)
    assert (row.worker.host_name, row.check) == ("host-9", None)
    assert health_rows(make_resource(ground.alice)) == []
