"""Somebody logs in, gets a ticket, and a worker gets a lease for it: and everybody else gets neither."""

import asyncio
import dataclasses
import datetime as dt
import io
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from access.giving import account_detach
from accounts.models import Account
from accounts.service_accounts import service_account_create, service_token_renew
from accounts.services import account_reinstate, account_suspend, sessions_end
from api import client_messages
from audit.models import Activity
from audit.verbs import Verb
from authority.models import Certificate
from authority.ticket_keys import rotate, verified
from clusters.models import Cluster
from connections.catalog import entries
from logins.models import ClientLogin, LoginCertificate, PendingLogin
from logins.services import logins_sweep
from resources.models import Resource
from sdm.contract.reasons import Reason
from sdm.contract.v1 import clients_pb2 as pb
from sdm.contract.v1 import workers_pb2 as v1
from sdm.pki import profiles
from tests.access.factories import choose, grant, make_role
from tests.api.client import SimulatedClient, decide
from tests.api.conftest import Ground
from tests.api.worker import SimulatedWorker, refusal, with_database_closed
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource, store_secret

SECRET = "the-password-of-orders-db"


async def act(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(with_database_closed, work)


@pytest.fixture
def resource(ground: Ground, charlie: Account) -> Resource:
    """Charlie reaches it."""
    found = make_resource(
        ground.alice, "orders-db", cluster=ground.cluster, config={"database": "orders"}, port_override=10_007
    )
    store_secret(found, SECRET)
    choose(make_role(ground.alice, "developers", charlie), found)
    return found


async def joined(ground: Ground, **fields: Any) -> SimulatedWorker:
    worker = ground.worker(**fields)
    await worker.register()
    return worker


async def lease(
    worker: SimulatedWorker, ticket: str, client: SimulatedClient, **changes: Any
) -> v1.GetLeaseResponse:
    fields: dict[str, Any] = {
        "ticket": ticket,
        "client_address": "192.0.2.7",
        "client_thumbprint": client.thumbprint,
    }
    request = v1.GetLeaseRequest(**fields | changes)
    return await worker.stub.GetLease(request, metadata=worker.metadata("GetLease", request))


# --- Logging in -------------------------------------------------------------------------------------


def test_a_person_approves_and_the_machine_gets_a_certificate_once(ground: Ground, charlie: Account):
    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        begun = await client.begin()
        assert begun.url.endswith(f"/login/device/{begun.login_id}/")
        assert len(begun.code) == 9 and set(begun.code) <= set("BCDFGHJKMNPQRSTVWXZ-")
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_PENDING
        assert (await client.finish(begun, secret="guessed")).state == pb.LOGIN_STATE_EXPIRED
        assert await act(lambda: decide(charlie, begun.login_id))
        assert not await act(lambda: decide(ground.alice, begun.login_id))  # it is decided
        answer = await client.finish(begun)
        assert answer.state == pb.LOGIN_STATE_APPROVED
        assert answer.person.email == "charlie@example.com"
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_EXPIRED

    ground.run(scene)
    login = ClientLogin.objects.get()
    assert (login.account, login.host_name, login.source_address) == (charlie, "notebook-7", "127.0.0.1")
    assert login.ends_at - login.created_at == pytest.approx(
        dt.timedelta(days=7), abs=dt.timedelta(seconds=5)
    )
    assert not PendingLogin.objects.exists()
    approved = Activity.objects.get(verb=Verb.LOGIN_APPROVED)
    assert (approved.actor, (approved.after or {})["machine"]) == (charlie, "notebook-7")


def test_denied_expired_and_never_begun(ground: Ground, charlie: Account):
    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        begun = await client.begin()
        await act(lambda: decide(charlie, begun.login_id, approve=False))
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_DENIED
        begun = await client.begin()
        await act(lambda: PendingLogin.objects.update(expires_at=timezone.now()))
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_EXPIRED
        found = await client.finish(begun, login_id="lg-0123456789abcdef")
        assert found.state == pb.LOGIN_STATE_EXPIRED
        for hostile in ("", "lg-\0", "x" * 10_000, "../../etc/passwd"):
            call = client.finish(begun, login_id=hostile)
            assert (await refusal(call))[0] is Reason.BAD_REQUEST

    ground.run(scene)
    assert Activity.objects.filter(verb=Verb.LOGIN_DENIED, actor=charlie).count() == 1


def test_a_bad_request_does_not_use_up_the_approval(ground: Ground, charlie: Account):
    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        begun = await client.begin()
        await act(lambda: decide(charlie, begun.login_id))
        for csr in (b"", b"\0", b"x" * 100_000):
            assert (await refusal(client.finish(begun, certificate_request=csr)))[0] is Reason.BAD_REQUEST
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_APPROVED

    ground.run(scene)


def test_who_was_suspended_after_approving_gets_nothing(ground: Ground, charlie: Account):
    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        begun = await client.begin()
        await act(lambda: decide(charlie, begun.login_id))
        await act(lambda: account_suspend(actor=ground.alice, account=charlie))
        await act(lambda: account_reinstate(actor=ground.alice, account=charlie))
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_DENIED

    ground.run(scene)
    assert not ClientLogin.objects.exists()


def test_only_so_many_wait_and_poll(ground: Ground, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("logins.services.PENDING_FROM_NETWORK", 3)

    async def scene(ground: Ground) -> list[Any]:
        client = SimulatedClient.at(ground.port)
        begun, *_ = [await client.begin() for _ in range(3)]
        assert (await refusal(client.begin()))[0] is Reason.TOO_MANY
        return await asyncio.gather(*(client.finish(begun) for _ in range(120)), return_exceptions=True)

    found = ground.run(scene)
    assert len([answer for answer in found if not isinstance(answer, Exception)]) == 90


def test_a_service_account_logs_in_by_its_token(ground: Ground):
    issued = service_account_create(actor=ground.alice, name="ci-runner")

    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        for wrong in ("", "sdmst_wrong", issued.token[:-1], "x" * 100_000, issued.token + "\0"):
            assert (await refusal(client.with_token(wrong)))[0] is Reason.BAD_TOKEN
        answer = await client.with_token(issued.token)
        assert (answer.person.email, answer.person.name) == ("ci-runner@service", "ci-runner")
        await client.renew()
        # A new token ends what the old one began.
        renewed = await act(lambda: service_token_renew(actor=ground.alice, account=issued.account))
        assert (await refusal(client.renew()))[0] is Reason.NOT_LOGGED_IN
        assert (await refusal(client.with_token(issued.token)))[0] is Reason.BAD_TOKEN
        await client.with_token(renewed.token)
        await act(lambda: account_suspend(actor=ground.alice, account=issued.account))
        assert (await refusal(client.with_token(renewed.token)))[0] is Reason.BAD_TOKEN

    ground.run(scene)
    assert Activity.objects.filter(verb=Verb.LOGIN_FAILED).count() == 1  # and not once for each
    assert Activity.objects.filter(verb=Verb.LOGGED_IN, actor=issued.account).count() == 2


# --- Ticket and lease -------------------------------------------------------------------------------


def test_a_ticket_and_a_worker_together_give_the_credentials(
    ground: Ground, charlie: Account, resource: Resource, caplog: pytest.LogCaptureFixture
):
    async def scene(ground: Ground) -> tuple[pb.GetTicketResponse, v1.GetLeaseResponse]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        ticket = await client.ticket(resource.pk)
        return ticket, await lease(worker, ticket.ticket, client)

    ticket, given = ground.run(scene)
    assert ticket.address == ground.cluster.address
    assert b"BEGIN CERTIFICATE" in ticket.authorities[0]
    shown = verified(ticket.ticket)
    assert (shown.account_id, shown.resource_id, shown.cluster_id) == (
        charlie.pk,
        resource.pk,
        ground.cluster.pk,
    )
    assert given.person.email == "charlie@example.com"
    assert dict(given.target.credentials) == {"password": SECRET.encode()}
    assert (given.target.hostname, given.target.port, given.target.username) == ("db.internal", 5432, "app")
    assert json.loads(given.target.config) == {"database": "orders"}
    good_for = given.good_until.ToDatetime(dt.UTC) - timezone.now()
    assert dt.timedelta(seconds=40) < good_for <= dt.timedelta(seconds=60)
    assert SECRET not in caplog.text
    assert not Activity.objects.filter(verb=Verb.ACCESS_REFUSED).exists()


def test_the_end_of_a_grant_is_the_end_of_ticket_lease_and_sessions(ground: Ground, charlie: Account):
    found = make_resource(ground.alice, "payroll", cluster=ground.cluster)
    ends = (timezone.now() + dt.timedelta(seconds=30)).replace(microsecond=0)
    grant(ground.alice, charlie, found, ends=ends)

    async def scene(ground: Ground) -> tuple[pb.GetTicketResponse, v1.GetLeaseResponse]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        ticket = await client.ticket(found.pk)
        return ticket, await lease(worker, ticket.ticket, client)

    ticket, given = ground.run(scene)
    assert {ticket.expires_at.ToDatetime(dt.UTC), given.good_until.ToDatetime(dt.UTC)} == {ends}
    assert given.ends_at.ToDatetime(dt.UTC) == ends


def test_who_has_no_access_gets_no_ticket_and_that_is_recorded(
    ground: Ground, bob: Account, resource: Resource
):
    async def scene(ground: Ground) -> list[tuple[Reason | None, str]]:
        client, found = SimulatedClient.at(ground.port), []
        for account in (ground.alice, bob):
            await client.log_in(account)
            found.append(await refusal(client.ticket(resource.pk)))
        found.append(await refusal(client.ticket("rs-0123456789abcdef")))
        found.append(await refusal(client.ticket("rs-\0")))
        return found

    alice, bobs, unknown, hostile = ground.run(scene)
    assert alice == (Reason.NO_ACCESS, "No role and no temporary access of this account opens this resource.")
    assert bobs == (Reason.NO_ACCESS, "Auditors reach no resources.")
    assert unknown[0] is Reason.NO_ACCESS
    assert hostile[0] is Reason.BAD_REQUEST
    denied = Activity.objects.filter(verb=Verb.ACCESS_REFUSED, entity_id=resource.pk)
    assert {activity.actor_name for activity in denied} == {"alice@example.com", "bob@example.com"}


def test_a_ticket_opens_nothing_elsewhere(ground: Ground, charlie: Account, resource: Resource):
    other = make_cluster("cold-tea", "127.0.0.1:2")
    key, secret = ground.other_key(other)

    async def scene(ground: Ground) -> list[tuple[Reason | None, str]]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        stranger = await joined(ground, access_key=key.pk, secret=secret)
        await client.log_in(charlie)
        ticket = (await client.ticket(resource.pk)).ticket
        found = [
            await refusal(lease(stranger, ticket, client)),
            await refusal(lease(worker, ticket, client, client_thumbprint="ab" * 32)),
            await refusal(lease(worker, ticket[:-4] + "AAAA", client)),
            await refusal(lease(worker, "\0" * 10, client)),
            await refusal(lease(worker, "x" * 100_000, client)),
        ]
        await act(lambda: Resource.objects.filter(pk=resource.pk).update(cluster=other))
        found.append(await refusal(lease(worker, ticket, client)))
        return found

    found = ground.run(scene)
    assert {reason for reason, _ in found} == {Reason.BAD_TICKET}
    assert "another proxy cluster" in found[0][1] and "another proxy cluster now" in found[-1][1]
    assert "another client certificate" in found[1][1]
    assert SECRET not in str(found)
    assert Activity.objects.filter(verb=Verb.ACCESS_REFUSED, actor=charlie).exists()


@pytest.mark.parametrize("how", ["role", "suspended", "logged out", "certificate", "ticket key"])
def test_what_was_taken_away_since_the_ticket_gives_no_lease(
    ground: Ground, charlie: Account, resource: Resource, how: str
):
    async def scene(ground: Ground) -> tuple[Reason | None, str]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        ticket = (await client.ticket(resource.pk)).ticket
        await lease(worker, ticket, client)
        if how == "logged out":
            await client.log_out()
        else:
            await act(lambda: take_away(how, ground.alice, charlie))
        return await refusal(lease(worker, ticket, client))

    reason, _ = ground.run(scene)
    assert reason in (Reason.NO_ACCESS, Reason.NOT_LOGGED_IN, Reason.BAD_TICKET)
    assert Activity.objects.filter(verb=Verb.ACCESS_REFUSED).exists()


def take_away(how: str, alice: Account, charlie: Account) -> None:
    if how == "role":
        charlie.attachments.all().delete()
    elif how == "suspended":
        account_suspend(actor=alice, account=charlie)
    elif how == "certificate":
        Certificate.objects.filter(subject_id=charlie.pk).update(revoked_at=timezone.now())
    else:
        rotate(at_once=True)


# --- While it stands --------------------------------------------------------------------------------


def test_a_proof_is_good_for_one_call_and_of_a_client_alone(
    ground: Ground, charlie: Account, resource: Resource
):
    async def scene(ground: Ground) -> None:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        request = pb.GetTicketRequest(resource_id=resource.pk)
        proof = client.metadata("GetTicket", request)
        await client.stub.GetTicket(request, metadata=proof)
        again = client.stub.GetTicket(request, metadata=proof)
        assert (await refusal(again))[0] is Reason.BAD_PROOF
        bare = client.stub.GetTicket(request)
        assert (await refusal(bare))[0] is Reason.BAD_PROOF
        for_another = client.stub.GetTicket(request, metadata=client.metadata("Renew", request))
        assert (await refusal(for_another))[0] is Reason.BAD_PROOF
        # A worker's certificate is none of a client, nor the other way.
        client.certificate, client.key = worker.certificate, worker.key
        assert (await refusal(client.ticket(resource.pk)))[0] is Reason.NOT_LOGGED_IN

    ground.run(scene)


def test_a_renewed_certificate_is_of_the_same_login_and_logging_out_ends_this_machine_alone(
    ground: Ground, charlie: Account, resource: Resource
):
    async def scene(ground: Ground) -> None:
        client, other = SimulatedClient.at(ground.port), SimulatedClient.at(ground.port, host_name="desk-1")
        await client.log_in(charlie)
        await other.log_in(charlie)
        first = client.thumbprint
        await client.renew()
        assert client.thumbprint != first
        assert await act(ClientLogin.objects.count) == 2
        await client.log_out()
        for call in (client.ticket(resource.pk), client.renew(), client.log_out()):
            assert (await refusal(call))[0] is Reason.NOT_LOGGED_IN
        await other.ticket(resource.pk)

    ground.run(scene)
    assert Certificate.objects.revoked().filter(subject_id=charlie.pk).count() == 2
    assert Certificate.objects.live().filter(subject_id=charlie.pk).count() == 1
    assert Activity.objects.filter(verb=Verb.LOGGED_OUT, actor=charlie).count() == 1


def test_a_machine_that_slept_renews_an_expired_certificate_until_its_login_ends(
    ground: Ground, charlie: Account, resource: Resource, monkeypatch: pytest.MonkeyPatch
):
    expired = dt.timedelta(seconds=-1)

    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        short = dataclasses.replace(profiles.CLIENT, lifetime=dt.timedelta(seconds=1))
        with monkeypatch.context() as patched:
            patched.setitem(profiles.PROFILES, short.kind, short)
            await client.log_in(charlie)
        await asyncio.sleep(1.1)
        assert (await refusal(client.ticket(resource.pk)))[0] is Reason.CERTIFICATE_EXPIRED
        await client.renew()
        await client.ticket(resource.pk)
        await act(lambda: ClientLogin.objects.update(ends_at=timezone.now() + expired))
        reason, words = await refusal(client.renew())
        assert reason is Reason.NOT_LOGGED_IN
        assert "ended at" in words

    ground.run(scene)


@pytest.mark.parametrize("how", ["suspended", "signed out everywhere"])
def test_what_ends_the_sessions_of_a_person_ends_their_machines_for_good(
    ground: Ground, charlie: Account, resource: Resource, how: str
):
    def end() -> None:
        if how == "suspended":
            account_suspend(actor=ground.alice, account=charlie)
        else:
            sessions_end(actor=charlie)

    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        await client.log_in(charlie)
        await act(end)
        assert (await refusal(client.ticket(resource.pk)))[0] is Reason.NOT_LOGGED_IN
        if how == "suspended":
            await act(lambda: account_reinstate(actor=ground.alice, account=charlie))
        assert (await refusal(client.renew()))[0] is Reason.NOT_LOGGED_IN
        await act(logins_sweep)

    ground.run(scene)
    assert not ClientLogin.objects.standing().exists()
    assert ClientLogin.objects.get().ended_at is not None
    # Workers hear of it as well.
    assert Certificate.objects.revoked().filter(subject_id=charlie.pk).count() == 1


# --- The catalog ------------------------------------------------------------------------------------


def test_the_catalog_comes_at_once_and_when_it_changes_until_the_machine_is_logged_out(
    ground: Ground, charlie: Account, resource: Resource
):
    async def scene(ground: Ground) -> tuple[pb.Catalog, pb.Catalog]:
        client = SimulatedClient.at(ground.port)
        await client.log_in(charlie)
        async with client.watching() as stream:
            first: Any = await stream.next()
            role = await act(lambda: charlie.attachments.get())
            await act(lambda: taken(ground.alice, role))
            second: Any = await stream.next()
            await client.log_out()
            assert await stream.end() is Reason.NOT_LOGGED_IN
        return first, second

    first, second = ground.run(scene)
    [entry] = first.entries
    assert (entry.name, entry.kind, entry.category, entry.cluster_name, entry.local_port) == (
        "orders-db",
        "postgres",
        "datasource",
        "keen-coffee",
        10_007,
    )
    assert (entry.username, entry.database) == ("app", "orders")
    assert not entry.HasField("healthy") and not entry.HasField("ends_at")
    assert SECRET not in str(first) and "db.internal" not in str(first)
    assert first.person.email == "charlie@example.com" and not second.entries


def test_the_catalog_says_which_kinds_workers_do_not_serve(ground: Ground, charlie: Account):
    kinds = ("redis", "postgres")
    rows = [make_resource(ground.alice, kind, cluster=ground.cluster, kind=kind) for kind in kinds]
    choose(make_role(ground.alice, "developers", charlie), *rows)
    told = client_messages.catalog(charlie, entries(charlie, timezone.now()))
    assert {entry.kind: entry.unserved for entry in told.entries} == {"redis": True, "postgres": False}


def test_the_username_that_workers_put_in_for_a_website_is_not_in_the_catalog(
    ground: Ground, charlie: Account
):
    role = make_role(ground.alice, "developers", charlie)
    kinds = ("httpBasicAuth", "postgres")
    choose(
        role,
        *(
            make_resource(ground.alice, kind, cluster=ground.cluster, kind=kind, username="app")
            for kind in kinds
        ),
    )
    told = client_messages.catalog(charlie, entries(charlie, timezone.now()))
    assert {entry.kind: entry.username for entry in told.entries} == {"httpBasicAuth": "", "postgres": "app"}


def taken(alice: Account, attachment: Any) -> None:
    assert account_detach(actor=alice, attachment=attachment)


def test_one_login_has_a_few_streams_and_no_more(ground: Ground, charlie: Account):
    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        await client.log_in(charlie)
        async with AsyncExitStack() as streams:
            for _ in range(5):
                stream = await streams.enter_async_context(client.watching())
                await stream.next()
            sixth = await streams.enter_async_context(client.watching())
            assert await sixth.end() is Reason.TOO_MANY

    ground.run(scene)


def test_no_secret_is_stored(ground: Ground, charlie: Account, resource: Resource):
    issued = service_account_create(actor=ground.alice, name="ci-runner")

    async def scene(ground: Ground) -> list[str]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        waiting = await client.begin()
        await client.log_in(charlie)
        ticket = (await client.ticket(resource.pk)).ticket
        await lease(worker, ticket, client)
        await client.with_token(issued.token)
        return [waiting.secret, ticket, issued.token, SECRET]

    secrets = ground.run(scene)
    out = io.StringIO()
    call_command("dumpdata", stdout=out)
    assert not [secret for secret in secrets if secret in out.getvalue()]
    assert LoginCertificate.objects.count() == 2 and Cluster.objects.exists()
