"""The request log over the wire: a worker tells of its own cluster's sessions, and is believed once."""

import asyncio
import os
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from audit.models import Query, Session
from sdm.contract.v1 import records_pb2
from sdm.contract.v1 import workers_pb2 as v1
from sdm.worker.delivery import READER
from sdm.worker.records import RequestLog
from sdm.worker.spool import Run, Spool
from sdm.worker.unread import Unread
from tests.api.conftest import Ground
from tests.api.worker import SimulatedWorker, eventually
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource
from tests.worker.processes import Worker as Process

SID = "s-0000000000000001"


def now() -> Timestamp:
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp


def records(account_id: str, resource_id: str, *texts: bytes) -> list[records_pb2.Record]:
    started = records_pb2.SessionStarted(
        account_id=account_id,
        resource_id=resource_id,
        kind="postgres",
        worker_id="w-0000000000000001",
        client_address="192.0.2.7",
        account_name="as the worker says",
        resource_name="as the worker says",
    )
    found = [records_pb2.Record(session_id=SID, at=now(), session_started=started)]
    for number, text in enumerate(texts, 1):
        asked = records_pb2.RequestStarted(number=number, text=text, text_length=len(text))
        done = records_pb2.RequestCompleted(number=number, microseconds=10, result="SELECT 1")
        found.append(records_pb2.Record(session_id=SID, at=now(), request_started=asked))
        found.append(records_pb2.Record(session_id=SID, at=now(), request_completed=done))
    ended = records_pb2.SessionEnded(reason="client-left", message="It left.", requests=len(texts))
    return [*found, records_pb2.Record(session_id=SID, at=now(), session_ended=ended)]


async def deliver(worker: SimulatedWorker, *told: records_pb2.Record) -> None:
    request = v1.DeliverRecordsRequest(records=[record.SerializeToString() for record in told])
    await worker.stub.DeliverRecords(request, metadata=worker.metadata("DeliverRecords", request))


def test_it_is_stored_once_with_the_names_that_are_known_here(ground: Ground):
    resource = make_resource(ground.alice, "orders-db", cluster=ground.cluster)
    told = records(ground.alice.pk, resource.pk, b"SELECT 1", b"a\0\xff")

    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        await deliver(worker, *told)
        await deliver(worker, *told[2:])
        await deliver(worker, *told)

    ground.run(scene)
    session = Session.objects.get()
    assert (session.account_name, session.resource_name) == ("alice@example.com", "orders-db")
    assert (session.cluster_id, session.cluster_name) == (ground.cluster.pk, "keen-coffee")
    assert (session.ending, session.requests) == ("client-left", 2)
    assert list(Query.objects.order_by("number").values_list("text", flat=True)) == ["SELECT 1", r"a\x00\xff"]


def test_what_is_unknown_here_has_the_names_that_the_worker_knows(ground: Ground):
    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        await deliver(worker, *records("a-gone", "rs-gone", b"SELECT 1"))

    ground.run(scene)
    session = Session.objects.get()
    assert (session.account_id, session.account_name) == ("a-gone", "as the worker says")
    assert session.resource_name == "as the worker says"


def test_a_worker_of_another_cluster_changes_nothing(ground: Ground):
    other = make_cluster("other")
    key, secret = ground.other_key(other)
    told = records("a-1", "rs-1", b"SELECT 1")

    async def scene(ground: Ground) -> None:
        own, foreign = ground.worker(), ground.worker(access_key=key.pk, secret=secret)
        await own.register()
        await foreign.register()
        await deliver(own, *told[:2])
        await deliver(foreign, *told)

    ground.run(scene)
    assert Session.objects.get().is_running
    assert Query.objects.get().microseconds is None


def test_nonsense_does_not_keep_the_rest_from_being_stored(ground: Ground):
    nonsense = [
        records_pb2.Record(),
        records_pb2.Record(session_id=SID),
        records_pb2.Record(
            session_id="x" * 10_000, at=now(), request_started=records_pb2.RequestStarted(number=1)
        ),
        records_pb2.Record(session_id=SID, at=Timestamp(seconds=2**62)),
        records_pb2.Record(
            session_id=SID, at=Timestamp(seconds=-(2**62)), session_ended=records_pb2.SessionEnded()
        ),
    ]

    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        await deliver(worker, *nonsense, *records("a-1", "rs-1", b"SELECT 1"), *nonsense)

    ground.run(scene)
    assert Session.objects.get().ending == "client-left"


def test_half_a_megabyte_is_one_call(ground: Ground):
    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        await deliver(worker, *records("a-1", "rs-1", *[b"x" * 60_000] * 8))

    ground.run(scene)
    assert Query.objects.count() == 8


@pytest.mark.process
def test_what_a_killed_worker_left_reaches_the_console_through_the_next_one(ground: Ground, tmp_path: Path):
    log = tmp_path / "worker.log"
    run = Run.begin(log.with_suffix(".spool"))
    Unread(run, [READER]).belongs_to(ground.cluster.pk)
    session = RequestLog(Spool(run.path, limit=1 << 26, processes=1)).session(SID)
    session.started(account_id="a-1", resource_id="rs-1", kind="postgres", worker_id="", client_address="")
    for number in range(5_000):
        session.request(b"SELECT %d" % number)
    session.request(b"the last")
    os.close(run.lock)
    with run.segments()[-1].open("ab") as torn:
        torn.write(b"torn")

    async def scene(ground: Ground) -> None:
        environment = {
            "SDM_PROXY_CLUSTER_ACCESS_KEY": ground.key.pk,
            "SDM_PROXY_CLUSTER_SECRET_KEY": ground.secret.reveal(),
            "SDM_APP_DOMAIN": f"127.0.0.1:{ground.port}",
            "SDM_WORKERS": "1",
            "SDM_RELAY_LOG_STORAGE": "stdout",
            "SDM_RELAY_LOG_FORMAT": "csv",
        }
        process = Process(environment, log)
        try:
            await eventually(lambda: Query.objects.filter(text="the last").first(), 30)
            await eventually(lambda: ",the last," in process.log, 30)
        finally:
            process.kill()

    ground.run(scene, 60)
    assert log.read_text().count(",start,") == 5_001
    assert Query.objects.count() == 5_001
    assert Session.objects.get().requests == 5_001


def test_without_a_proof_nothing_is_stored(ground: Ground):
    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        for metadata in ((), worker.metadata("Heartbeat", v1.WorkerReport())):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                told = [record.SerializeToString() for record in records("a-1", "rs-1", b"SELECT 1")]
                await worker.stub.DeliverRecords(v1.DeliverRecordsRequest(records=told), metadata=metadata)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await asyncio.sleep(0)

    ground.run(scene)
    assert not Session.objects.exists()
