"""A worker that was taken over: what it can ask for and tell, of its own cluster and of others'."""

import datetime as dt
from typing import Any

import grpc
import pytest
from django.db import OperationalError
from django.test import Client
from google.protobuf.timestamp_pb2 import Timestamp

from access.decisions import Refusal
from accounts.models import Account
from audit.models import Activity, Query, Session
from audit.verbs import Verb
from resources.models import Resource
from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from sdm.contract.v1 import records_pb2
from sdm.contract.v1 import workers_pb2 as v1
from tests.access.factories import choose, make_role
from tests.api.client import SimulatedClient
from tests.api.conftest import Ground
from tests.api.leasing import joined, lease
from tests.api.test_delivering import SID, deliver, now, records
from tests.api.worker import SimulatedWorker, act, refusal
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource, store_secret

LARGEST = 2**64 - 1
HOSTILE = "\x1b[31m\r\n<script>alert(1)</script>‮ 😀 =cmd|' /C calc'!A0"


@pytest.fixture
def resource(ground: Ground, charlie: Account) -> Resource:
    found = make_resource(ground.alice, "orders-db", cluster=ground.cluster)
    store_secret(found, "hunter2")
    choose(make_role(ground.alice, "developers", charlie), found)
    return found


async def stranger(ground: Ground) -> SimulatedWorker:
    """A worker of another cluster."""
    key, secret = await act(lambda: ground.other_key(make_cluster("cold-tea", "127.0.0.1:2")))
    return await joined(ground, access_key=key.pk, secret=secret)


def shows(page: str, account: Account) -> str:
    browser = Client()
    browser.force_login(account)
    answer = browser.get(page)
    assert answer.status_code == 200, page
    return answer.content.decode()


# --- What it tells ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "at",
    [
        Timestamp(seconds=-62135596800),
        Timestamp(seconds=253402300799, nanos=999_999_999),
        Timestamp(seconds=253402300800),
        Timestamp(seconds=2**63 - 1),
        Timestamp(seconds=0, nanos=-1),
        Timestamp(seconds=0, nanos=2**31 - 1),
        Timestamp(),
    ],
    ids=["year 1", "year 9999", "year 10000", "no year", "nanos", "more nanos", "1970"],
)
def test_a_moment_that_makes_no_sense_breaks_no_page(ground: Ground, at: Timestamp):
    told = records(ground.alice.pk, "rs-0123456789abcdef", b"SELECT 1")
    for record in told[::2]:
        record.at.CopyFrom(at)

    async def scene(ground: Ground) -> None:
        await deliver(await joined(ground), *told, *records("a-1", "rs-1")[:1])

    ground.run(scene)
    assert Session.objects.exists()
    for page in ("sessions", "queries"):
        shows(f"/audit/{page}/", ground.alice)


def test_text_and_numbers_without_measure_are_stored_and_shown_as_text(ground: Ground):
    started = records_pb2.SessionStarted(
        account_id=HOSTILE,
        resource_id=HOSTILE,
        kind=HOSTILE,
        worker_id=HOSTILE,
        client_address=HOSTILE * 1000,
        account_name=HOSTILE,
        resource_name=HOSTILE * 1000,
    )
    asked = records_pb2.RequestStarted(
        number=2**63 - 1,
        text=b"\xff\xfe\0" + HOSTILE.encode() + b"\xed\xa0\x80",
        text_length=LARGEST,
        sha256=b"\0" * 10_000,
        parameters=[b"\0\xff", HOSTILE.encode(), b""],
        parameters_null=[2, 2, 7, 2**32 - 1],
        parameters_total=LARGEST,
        parameters_last_length=LARGEST,
    )
    done = records_pb2.RequestCompleted(
        number=2**63 - 1,
        microseconds=LARGEST,
        rows=LARGEST,
        bytes_sent=LARGEST,
        bytes_received=LARGEST,
        result=HOSTILE * 100,
        error=HOSTILE * 100,
        sha256=b"\xff" * 10_000,
    )
    ended = records_pb2.SessionEnded(
        reason=HOSTILE, message=HOSTILE, requests=LARGEST, bytes_sent=LARGEST, bytes_received=LARGEST
    )

    async def scene(ground: Ground) -> None:
        worker = await joined(ground)
        await deliver(
            worker,
            records_pb2.Record(session_id=SID, at=now(), session_started=started),
            records_pb2.Record(session_id=SID, at=now(), request_started=asked),
            records_pb2.Record(session_id=SID, at=now(), request_completed=done),
            records_pb2.Record(session_id=SID, at=now(), session_ended=ended),
        )

    ground.run(scene)
    query = Query.objects.get()
    assert query.text.startswith("\\xff\\xfe\\x00")
    assert query.parameters is not None
    assert (query.parameters[0], query.parameters[2]) == ("\\x00\\xff", None)
    session = Session.objects.get()
    assert "\x1b" not in session.account_name + session.resource_name + session.ending + query.result
    for page in ("sessions/", "queries/", f"sessions/{SID}/", f"queries/{query.pk}/"):
        found = shows(f"/audit/{page}", ground.alice)
        assert "<script>alert" not in found and "\x1b" not in found


def test_out_of_order_twice_and_from_two_workers_it_is_one_session(ground: Ground):
    told = records(ground.alice.pk, "rs-1", b"SELECT 1", b"SELECT 2")

    async def scene(ground: Ground) -> None:
        one, other = await joined(ground), await joined(ground, host_name="host-2")
        await deliver(one, *reversed(told))
        await deliver(other, *told, *told)

    ground.run(scene)
    session = Session.objects.get()
    assert (session.requests, session.ending) == (2, "client-left")
    assert Query.objects.count() == 2 and all(query.has_ended for query in Query.objects.all())


def test_what_was_told_is_not_told_otherwise_later(ground: Ground):
    """Nor by another worker of the same cluster, nor by another cluster's with the same id."""
    told = records(ground.alice.pk, "rs-1", b"DROP TABLE orders")
    otherwise = records("a-9", "rs-9", b"SELECT 'nothing'")

    async def scene(ground: Ground) -> None:
        await deliver(await joined(ground), *told)
        await deliver(await joined(ground, host_name="host-2"), *otherwise)
        await deliver(await stranger(ground), *otherwise)

    ground.run(scene)
    assert Session.objects.get().account_id == ground.alice.pk
    assert Query.objects.get().text == "DROP TABLE orders"


def test_a_message_that_is_too_large_is_refused_and_the_api_goes_on(ground: Ground):
    async def scene(ground: Ground) -> None:
        worker = await joined(ground)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await deliver(worker, *records("a-1", "rs-1", b"x" * 2_000_000))
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        many = [records_pb2.Record(session_id=SID)] * 30_000
        await deliver(worker, *many)
        await deliver(worker, *records("a-1", "rs-1", b"SELECT 1"))

    ground.run(scene)
    assert Query.objects.get().text == "SELECT 1"


def test_a_string_that_is_none_is_refused_as_no_call(ground: Ground, caplog: pytest.LogCaptureFixture):
    """Protobuf's strings are UTF-8: this one was not made by its library."""
    inner = b"\x0a\x02\xff\xfe"
    raw = b"\x0a" + bytes([len(inner)]) + inner

    async def scene(ground: Ground) -> None:
        worker = await joined(ground)
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{ground.port}")
        call: Any = channel.unary_unary("/sdm.contract.v1.Workers/ReportHealth")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(raw, metadata=worker.metadata("ReportHealth", v1.ReportHealthRequest()))
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        await channel.close()

    ground.run(scene)
    assert "Traceback" not in caplog.text


def test_a_session_that_ended_is_not_brought_back_to_life(ground: Ground):
    told = records(ground.alice.pk, "rs-1", b"SELECT 1")

    async def scene(ground: Ground) -> None:
        worker = await joined(ground)
        await deliver(worker, *told)
        request = v1.CheckSessionsRequest(
            sessions=[
                v1.LiveSession(session_id=SID, account_id=ground.alice.pk, resource_id="rs-0123456789abcdef")
            ]
        )
        await worker.stub.CheckSessions(request, metadata=worker.metadata("CheckSessions", request))
        await deliver(worker, *records(ground.alice.pk, "rs-1", b"SELECT 1", b"later")[:4])

    ground.run(scene)
    assert Session.objects.get().ending == Ending.CLIENT_LEFT.value


# --- What it asks for ---------------------------------------------------------------------------


def test_every_call_for_another_clusters_things_gives_nothing(
    ground: Ground, charlie: Account, resource: Resource
):
    async def scene(ground: Ground) -> list[Any]:
        client, other = SimulatedClient.at(ground.port), await stranger(ground)
        await client.log_in(charlie)
        ticket = (await client.ticket(resource.pk)).ticket
        get = v1.GetTargetRequest(resource_id=resource.pk)
        health = v1.ReportHealthRequest(
            checks=[v1.Health(resource_id=resource.pk, healthy=True, checked_at=now())]
        )
        listed = v1.ListTargetsRequest()
        return [
            await refusal(lease(other, ticket, client)),
            await other.stub.GetTarget(get, metadata=other.metadata("GetTarget", get)),
            await other.stub.ListTargets(listed, metadata=other.metadata("ListTargets", listed)),
            await other.stub.ReportHealth(health, metadata=other.metadata("ReportHealth", health)),
        ]

    refused, got, listed, _ = ground.run(scene)
    assert refused[0] is Reason.BAD_TICKET
    assert got == v1.GetTargetResponse() and listed == v1.ListTargetsResponse()
    resource.refresh_from_db()
    assert resource.healthy is None


def test_calls_without_a_proof_or_with_a_clients_give_nothing(
    ground: Ground, charlie: Account, resource: Resource
):
    async def scene(ground: Ground) -> None:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        impostor = SimulatedWorker(
            worker.stub, "", worker.secret, key=client.key, certificate=client.certificate
        )
        for name, request in (
            ("GetLease", v1.GetLeaseRequest(ticket=(await client.ticket(resource.pk)).ticket)),
            ("GetTarget", v1.GetTargetRequest(resource_id=resource.pk)),
            ("ListTargets", v1.ListTargetsRequest()),
            ("CheckSessions", v1.CheckSessionsRequest()),
            ("DeliverRecords", v1.DeliverRecordsRequest()),
            ("ReportHealth", v1.ReportHealthRequest()),
        ):
            call = getattr(worker.stub, name)
            for metadata in ((), impostor.metadata(name, request), worker.metadata("Watch", request)):
                assert (await refusal(call(request, metadata=metadata)))[0] is Reason.BAD_PROOF, name
            proof = worker.metadata(name, request)
            again = [await outcome(call(request, metadata=proof)) for _ in range(2)]
            assert again[1] is Reason.BAD_PROOF, name

    ground.run(scene)


async def outcome(call: Any) -> Reason | None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return Reason(dict(error.trailing_metadata() or ())["sdm-reason"])
    return None


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_clock_that_is_far_off_gets_no_lease_and_is_named(
    ground: Ground, charlie: Account, resource: Resource, minutes: int
):
    async def scene(ground: Ground) -> tuple[Reason | None, str]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        ticket = (await client.ticket(resource.pk)).ticket
        worker.ahead = dt.timedelta(minutes=minutes)
        return await refusal(lease(worker, ticket, client))

    reason, words = ground.run(scene)
    assert reason is Reason.CLOCK and "clock" in words


@pytest.mark.parametrize("asked", ["ticket", "lease"])
def test_what_fails_inside_the_decision_is_refused_and_recorded(
    ground: Ground, charlie: Account, resource: Resource, asked: str, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise RuntimeError("hunter2 in a traceback of ours")

    async def scene(ground: Ground) -> tuple[Reason | None, str]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        ticket = (await client.ticket(resource.pk)).ticket
        monkeypatch.setattr("access.decisions._decide", fail)
        call = client.ticket(resource.pk) if asked == "ticket" else lease(worker, ticket, client)
        return await refusal(call)

    reason, words = ground.run(scene)
    assert (reason, words) == (Reason.NO_ACCESS, Refusal.ERROR.sentence)
    denied = Activity.objects.get(verb=Verb.ACCESS_REFUSED)
    assert denied.after is not None and denied.after["reason"] == Refusal.ERROR.value


def test_a_database_that_takes_nothing_lets_nobody_in_and_loses_no_record(
    ground: Ground, charlie: Account, resource: Resource, monkeypatch: pytest.MonkeyPatch
):
    """Read-only, or full: what is refused cannot be recorded then, and is refused all the same."""

    def fail(*_: object, **__: object) -> None:
        raise OperationalError("attempt to write a readonly database at /secret/place")

    async def scene(ground: Ground) -> list[tuple[Reason | None, str]]:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        ticket = (await client.ticket(resource.pk)).ticket
        await act(lambda: charlie.attachments.all().delete())
        told = records(charlie.pk, resource.pk, b"SELECT 1")
        with monkeypatch.context() as patch:
            patch.setattr("access.giving.record", fail)
            patch.setattr("audit.storing.Session.objects.bulk_create", fail)
            found = [
                await refusal(client.ticket(resource.pk)),
                await refusal(lease(worker, ticket, client)),
                await refusal(deliver(worker, *told)),
            ]
        assert not await act(Session.objects.exists)
        await deliver(worker, *told)
        return found

    found = ground.run(scene)
    assert {reason for reason, _ in found} == {Reason.UNAVAILABLE}
    assert "readonly" not in str(found) and "secret" not in str(found)
    assert Query.objects.get().text == "SELECT 1"
