"""Live sessions: a worker is told that something changed, asks which may go on, and hears why the others end."""

import asyncio
import datetime as dt
from typing import Any

import grpc
import pytest
from django.utils import timezone

from access.decisions import Decision, Refusal
from access.giving import account_detach, grant_end
from accounts.models import Account
from accounts.services import account_suspend
from audit.models import Session
from audit.sessions import session_end
from clusters.models import Worker
from connections.verdicts import Live, verdicts
from events.topics import access_changed
from logins.models import ClientLogin, LoginCertificate
from resources.models import Resource
from resources.services import Move, resource_delete, resources_move
from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as v1
from tests.access.factories import choose, grant, make_role
from tests.api.client import SimulatedClient
from tests.api.conftest import Ground
from tests.api.leasing import joined
from tests.api.worker import SimulatedWorker, act, refusal
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource

SESSION = "s-0123456789abcdef"


@pytest.fixture
def resource(ground: Ground, charlie: Account) -> Resource:
    found = make_resource(ground.alice, "orders-db", cluster=ground.cluster)
    choose(make_role(ground.alice, "developers", charlie), found)
    return found


def live(account: Account, resource: Resource, thumbprint: str, session: str = SESSION) -> v1.LiveSession:
    return v1.LiveSession(
        session_id=session, account_id=account.pk, resource_id=resource.pk, client_thumbprint=thumbprint
    )


async def check(worker: SimulatedWorker, *sessions: v1.LiveSession) -> list[v1.SessionVerdict]:
    request = v1.CheckSessionsRequest(sessions=sessions)
    metadata = worker.metadata("CheckSessions", request)
    return list((await worker.stub.CheckSessions(request, metadata=metadata)).verdicts)


def test_a_session_goes_on_until_the_login_or_the_access_ends(
    ground: Ground, charlie: Account, resource: Resource
):
    for_a_while = make_resource(ground.alice, "payroll", cluster=ground.cluster)
    ends = timezone.now() + dt.timedelta(minutes=20)
    grant(ground.alice, charlie, for_a_while, ends=ends)

    async def scene(ground: Ground) -> list[v1.SessionVerdict]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        return await check(
            worker,
            live(charlie, resource, client.thumbprint),
            live(charlie, for_a_while, client.thumbprint, "s-1111111111111111"),
        )

    standing, ending = ground.run(scene)
    assert (standing.session_id, standing.may_go_on, standing.reason) == (SESSION, True, "")
    assert standing.ends_at.ToDatetime(dt.UTC) == ClientLogin.objects.get().ends_at
    assert ending.may_go_on and ending.ends_at.ToDatetime(dt.UTC) == ends


def take_role(ground: Ground, charlie: Account, resource: Resource) -> None:
    account_detach(actor=ground.alice, attachment=charlie.attachments.get())


def take_role_long_after_a_grant(ground: Ground, charlie: Account, resource: Resource) -> None:
    before = timezone.now() - dt.timedelta(days=2)
    grant(ground.alice, charlie, resource, starts=before, ends=before + dt.timedelta(days=1))
    take_role(ground, charlie, resource)


def end_grant(ground: Ground, charlie: Account, resource: Resource) -> None:
    charlie.attachments.all().delete()
    grant_end(actor=ground.alice, grant=grant(ground.alice, charlie, resource))


def suspend(ground: Ground, charlie: Account, resource: Resource) -> None:
    account_suspend(actor=ground.alice, account=charlie)


def detach(ground: Ground, charlie: Account, resource: Resource) -> None:
    resources_move(actor=ground.alice, moves=[Move(resource.pk, ground.cluster.pk, "")])


def move(ground: Ground, charlie: Account, resource: Resource) -> None:
    other = make_cluster("cold-tea", "127.0.0.1:2")
    resources_move(actor=ground.alice, moves=[Move(resource.pk, ground.cluster.pk, other.pk)])


def delete(ground: Ground, charlie: Account, resource: Resource) -> None:
    resource_delete(actor=ground.alice, resource=resource)


def end_session(ground: Ground, charlie: Account, resource: Resource) -> None:
    session = Session.objects.create(
        pk=SESSION,
        started_at=timezone.now(),
        account_id=charlie.pk,
        resource_id=resource.pk,
        cluster_id=ground.cluster.pk,
    )
    session_end(actor=ground.alice, session=session)


@pytest.mark.parametrize(
    ("cut", "ending"),
    [
        (take_role, Ending.ACCESS_REMOVED),
        (take_role_long_after_a_grant, Ending.ACCESS_REMOVED),
        (end_grant, Ending.ACCESS_OVER),
        (suspend, Ending.SUSPENDED),
        (detach, Ending.RESOURCE_GONE),
        (move, Ending.RESOURCE_GONE),
        (delete, Ending.RESOURCE_GONE),
        (end_session, Ending.ENDED_BY_ADMINISTRATOR),
    ],
)
def test_what_ends_access_reaches_the_worker_and_ends_the_session(
    ground: Ground, charlie: Account, resource: Resource, cut: Any, ending: Ending
):
    async def scene(ground: Ground) -> tuple[v1.SessionVerdict, float]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        session = live(charlie, resource, client.thumbprint)
        async with worker.watching() as stream:
            while not (await stream.next()).HasField("configuration"):
                pass
            assert (await check(worker, session))[0].may_go_on
            begun = asyncio.get_running_loop().time()
            await act(lambda: cut(ground, charlie, resource))
            while not (await stream.next()).HasField("recheck"):
                pass
            [verdict] = await check(worker, session)
            return verdict, asyncio.get_running_loop().time() - begun

    verdict, seconds = ground.run(scene)
    assert not verdict.may_go_on
    assert verdict.reason == ending.value
    assert verdict.message.endswith(".")
    assert ("detached" in verdict.message) is (cut is detach)
    # What else a refusal says is of no use to who had access: of grants that were over long before, for one.
    assert (verdict.message == Ending.ACCESS_REMOVED.sentence) is (ending is Ending.ACCESS_REMOVED)
    assert seconds < 5


def test_logging_out_ends_the_sessions_of_this_machine_alone(
    ground: Ground, charlie: Account, resource: Resource
):
    async def scene(ground: Ground) -> list[v1.SessionVerdict]:
        client, other, worker = (
            SimulatedClient.at(ground.port),
            SimulatedClient.at(ground.port),
            await joined(ground),
        )
        await client.log_in(charlie)
        await other.log_in(charlie)
        await client.log_out()
        return await check(
            worker,
            live(charlie, resource, client.thumbprint),
            live(charlie, resource, other.thumbprint, "s-1111111111111111"),
        )

    out, on = ground.run(scene)
    assert out.reason == Ending.LOGGED_OUT.value and on.may_go_on


def test_a_session_outlives_the_certificate_it_began_with(
    ground: Ground, charlie: Account, resource: Resource
):
    async def scene(ground: Ground) -> list[v1.SessionVerdict]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        session = live(charlie, resource, client.thumbprint)
        await act(lambda: LoginCertificate.objects.all().delete())  # forgotten
        found = await check(worker, session)
        await client_logged_out()
        return found + await check(worker, session)

    async def client_logged_out() -> None:
        await act(lambda: ClientLogin.objects.update(ended_at=timezone.now()))

    on, out = ground.run(scene)
    assert on.may_go_on
    assert out.reason == Ending.LOGGED_OUT.value


def test_another_persons_certificate_does_not_carry_a_session(
    ground: Ground, charlie: Account, resource: Resource
):
    async def scene(ground: Ground) -> list[v1.SessionVerdict]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(ground.alice)
        return await check(worker, live(charlie, resource, client.thumbprint))

    [verdict] = ground.run(scene)
    assert verdict.reason == Ending.LOGGED_OUT.value


def test_what_cannot_be_decided_cuts_nobody_and_keeps_nobody_else_from_being_cut(
    ground: Ground, charlie: Account, resource: Resource, monkeypatch: pytest.MonkeyPatch
):
    undecided = Decision(Refusal.ERROR, Refusal.ERROR.sentence)
    monkeypatch.setattr("connections.verdicts.decide_many", lambda pairs, at: dict.fromkeys(pairs, undecided))

    async def scene(ground: Ground) -> list[v1.SessionVerdict]:
        client, other, worker = (
            SimulatedClient.at(ground.port),
            SimulatedClient.at(ground.port),
            await joined(ground),
        )
        await client.log_in(charlie)
        await other.log_in(charlie)
        await other.log_out()
        await act(lambda: end_session(ground, charlie, resource))
        return await check(
            worker,
            live(charlie, resource, client.thumbprint, "s-1111111111111111"),
            live(charlie, resource, client.thumbprint),
            live(charlie, resource, other.thumbprint, "s-2222222222222222"),
        )

    ended, out = ground.run(scene)
    assert (ended.session_id, ended.reason) == (SESSION, Ending.ENDED_BY_ADMINISTRATOR.value)
    assert (out.session_id, out.reason) == ("s-2222222222222222", Ending.LOGGED_OUT.value)


def test_a_worker_learns_nothing_of_who_reaches_what_elsewhere(
    ground: Ground, charlie: Account, resource: Resource
):
    """It is told the same of a resource of another cluster, whoever it says is there, as of one that never was."""
    key, secret = ground.other_key(make_cluster("cold-tea", "127.0.0.1:2"))
    account_suspend(actor=ground.alice, account=charlie)

    async def scene(ground: Ground) -> list[v1.SessionVerdict]:
        client, stranger = (
            SimulatedClient.at(ground.port),
            await joined(ground, access_key=key.pk, secret=secret),
        )
        await client.log_in(ground.alice)
        await act(lambda: end_session(ground, charlie, resource))
        return await check(
            stranger,
            live(charlie, resource, "", "s-1111111111111111"),
            live(ground.alice, resource, client.thumbprint, "s-1111111111111111"),
            live(charlie, resource, "ab" * 32, SESSION),
            live(charlie, Resource(pk="rs-0123456789abcdef"), "ab" * 32, SESSION),
        )

    told = {(verdict.reason, verdict.message) for verdict in ground.run(scene)}
    assert told == {(Ending.RESOURCE_GONE.value, Ending.RESOURCE_GONE.sentence)}


def test_many_sessions_are_judged_together(
    ground: Ground, charlie: Account, resource: Resource, django_assert_max_num_queries: Any
):
    others = [make_resource(ground.alice, cluster=ground.cluster) for _ in range(20)]

    async def scene(ground: Ground) -> tuple[Worker, str, list[v1.SessionVerdict]]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        sessions = [live(charlie, resource, client.thumbprint, f"s-{n:016x}") for n in range(500)]
        too_many = check(worker, *sessions, sessions[0])
        assert (await refusal(too_many))[0] is Reason.BAD_REQUEST
        row = await act(lambda: Worker.objects.get(pk=worker.id))
        return row, client.thumbprint, await check(worker, *sessions)

    worker, thumbprint, found = ground.run(scene)
    assert len(found) == 500 and all(verdict.may_go_on for verdict in found)
    many = [Live(f"s-{n:016x}", charlie.pk, row.pk, thumbprint) for n, row in enumerate((resource, *others))]
    with django_assert_max_num_queries(15):
        judged = verdicts(worker=worker, sessions=many)
    assert [verdict.ending is None for verdict in judged] == [True, *[False] * 20]


@pytest.mark.parametrize("field", ["session_id", "account_id", "resource_id", "client_thumbprint"])
def test_ids_that_are_none(ground: Ground, charlie: Account, resource: Resource, field: str):
    async def scene(ground: Ground) -> None:
        worker = await joined(ground)
        session = live(charlie, resource, "ab" * 32)
        for hostile in ("", "\0", "x" * 100_000, "s-0123456789ABCDEF", "' OR 1=1 --"):
            setattr(session, field, hostile)
            try:
                [verdict] = await check(worker, session)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            else:
                assert not verdict.may_go_on

    ground.run(scene)


def test_a_burst_of_changes_is_told_once(ground: Ground):
    def burst() -> None:
        for _ in range(20):
            access_changed()

    async def scene(ground: Ground) -> int:
        worker, count = await joined(ground), 0
        async with worker.watching() as stream:
            await stream.next()
            await act(burst)
            try:
                while True:
                    count += (await stream.next(1)).HasField("recheck")
            except TimeoutError:
                return count

    assert 1 <= ground.run(scene) <= 3
