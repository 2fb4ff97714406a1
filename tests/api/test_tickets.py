"""A client gets a ticket, and a worker a lease for it: and everybody else gets neither."""

import datetime as dt
import io
import json

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Account
from accounts.service_accounts import service_account_create
from accounts.services import account_suspend
from audit.models import Activity
from audit.verbs import Verb
from authority.models import Certificate
from authority.ticket_keys import rotate, verified
from clusters.models import Cluster
from logins.models import LoginCertificate
from resources.models import Resource
from sdm.contract.reasons import Reason
from sdm.contract.v1 import clients_pb2 as pb
from sdm.contract.v1 import workers_pb2 as v1
from tests.access.factories import grant
from tests.api.client import SimulatedClient
from tests.api.conftest import SECRET, Ground
from tests.api.leasing import joined, lease
from tests.api.worker import act, refusal
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource


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
