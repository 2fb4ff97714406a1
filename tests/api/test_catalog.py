"""What a client is told of the resources that its person reaches."""

from contextlib import AsyncExitStack
from typing import Any

from django.utils import timezone

from access.giving import account_detach
from accounts.models import Account
from api import client_messages
from connections.catalog import entries
from resources.models import Resource
from sdm.contract.reasons import Reason
from sdm.contract.v1 import clients_pb2 as pb
from tests.access.factories import choose, make_role
from tests.api.client import SimulatedClient
from tests.api.conftest import SECRET, Ground
from tests.api.worker import act
from tests.resources.factories import make_resource


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
