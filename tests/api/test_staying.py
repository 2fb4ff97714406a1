"""What a worker that has joined says and hears, and how it ends."""

import asyncio
import datetime as dt
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
from django.utils import timezone

from api.serving import serving
from audit.models import Activity
from audit.verbs import Verb
from clusters.models import Cluster, Worker
from clusters.services import Window, cluster_delete, cluster_update, maintenance_windows_replace
from clusters.workers import worker_disconnect
from keys.services import key_delete
from sdm.contract.address import Address
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as v1
from tests.api.conftest import Ground
from tests.api.worker import SimulatedWorker, act, eventually, refusal


def row() -> Worker:
    return Worker.objects.get()


# --- Reports --------------------------------------------------------------------------------------


def test_what_a_worker_reports_is_kept(ground: Ground):
    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        report = v1.WorkerReport(
            state=v1.WORKER_STATE_STARTED,
            connections=7,
            cpu_percent=250,
            configuration_generation=1,
            problems=["server.pem is cut off\n"],
        )
        await worker.heartbeat(report)
        await eventually(lambda: row().connections == 7)
        await worker.heartbeat(v1.WorkerReport(state=v1.WORKER_STATE_STOPPED))
        await eventually(lambda: row().state == "stopped")
        # It said goodbye: what comes with its name after that has to join again.
        assert (await refusal(worker.heartbeat()))[0] is Reason.WORKER_UNKNOWN

    ground.run(scene)
    worker = row()
    assert (worker.cpu_percent, worker.configuration_generation) == (0, 0)
    assert Cluster.objects.get().workers_online == 0


def test_a_heartbeat_alone_writes_nothing_but_that_it_came(ground: Ground, django_assert_max_num_queries):
    async def scene(ground: Ground) -> dt.datetime:
        worker = ground.worker()
        await worker.register()
        await worker.heartbeat()
        first: dt.datetime = await eventually(lambda: row().last_heartbeat_at)
        await worker.heartbeat()
        await eventually(lambda: (row().last_heartbeat_at or first) > first)
        return first

    ground.run(scene)
    worker = row()
    assert worker.state_changed_at < (worker.last_heartbeat_at or worker.joined_at)


def test_numbers_and_words_without_measure(ground: Ground):
    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        report = v1.WorkerReport(
            state=99,  # type: ignore[arg-type]  # of a worker newer than this control plane
            connections=2**32 - 1,
            configuration_generation=2**64 - 1,
            problems=["\0<b>" + "x" * 2_000] * 20,
        )
        await worker.heartbeat(report)
        await eventually(lambda: row().problems)

    ground.run(scene)
    worker = row()
    assert worker.state == "started"
    assert len(worker.problems) == 10
    assert worker.problems[0] == "<b>" + "x" * 297


# --- Configuration --------------------------------------------------------------------------------


def test_a_change_reaches_the_workers_and_counts_up(ground: Ground):
    def change() -> None:
        address = Address("127.0.0.1", 2)
        cluster_update(
            actor=ground.alice, cluster=ground.cluster, version=1, name="n", address=address, tags={}
        )
        windows = [Window("0 3 * * *", False)]
        maintenance_windows_replace(actor=ground.alice, cluster=ground.cluster, version=2, windows=windows)

    async def scene(ground: Ground) -> list[v1.Instruction]:
        worker = ground.worker()
        await worker.register()
        async with worker.watching() as stream:
            heard = [await stream.next()]
            await act(change)
            while not heard[-1].configuration.maintenance_windows:
                heard.append(await stream.next())
            answer = await worker.heartbeat(v1.WorkerReport(configuration_generation=1))
            heard.append(answer.instruction)
        return heard

    first, *_, last, by_heartbeat = [instruction.configuration for instruction in ground.run(scene)]
    assert first.generation < last.generation
    assert last.advertised_address == "127.0.0.1:2"
    assert last.maintenance_windows[0].cron_schedule == "0 3 * * *"
    assert by_heartbeat == last


# --- Stopping -------------------------------------------------------------------------------------


def stopped_by(ground: Ground, work: Any) -> tuple[v1.Instruction, Reason | None, float]:
    async def scene(ground: Ground) -> tuple[v1.Instruction, Reason | None, float]:
        worker = ground.worker()
        await worker.register()
        async with worker.watching() as stream:
            await stream.next()
            await eventually(lambda: row().state == "started")
            await act(work)
            begun = time.monotonic()
            instruction = await stream.next()
            return instruction, await stream.end(), time.monotonic() - begun

    found: tuple[v1.Instruction, Reason | None, float] = ground.run(scene)
    return found


def test_a_deleted_key_stops_its_workers_and_says_why(ground: Ground):
    instruction, reason, seconds = stopped_by(ground, lambda: key_delete(actor=ground.alice, key=ground.key))
    assert instruction.stop.reason == reason == Reason.KEY_DELETED
    assert "deleted" in instruction.stop.message
    assert seconds < 5
    worker = row()
    assert (worker.state, worker.stopped_reason) == ("stopped", "key-deleted")
    assert Cluster.objects.get().workers_online == 0


def test_a_deleted_cluster_stops_its_workers(ground: Ground):
    _, reason, seconds = stopped_by(
        ground, lambda: cluster_delete(actor=ground.alice, cluster=ground.cluster)
    )
    assert reason is Reason.CLUSTER_DELETED
    assert seconds < 5


def test_a_disconnected_worker_hears_it_on_every_way(ground: Ground):
    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        async with worker.watching() as stream:
            await stream.next()
            await act(lambda: worker_disconnect(actor=ground.alice, worker=row()))
            assert await stream.end() is Reason.DISCONNECTED
        assert (await worker.heartbeat()).instruction.stop.reason == "disconnected"
        assert (await refusal(worker.renew()))[0] is Reason.DISCONNECTED
        async with worker.watching() as stream:
            assert await stream.end() is Reason.DISCONNECTED
        # What started it may start it again.
        await worker.register()

    ground.run(scene)
    assert Activity.objects.filter(verb=Verb.WORKER_DISCONNECTED, actor=ground.alice).count() == 1


def test_a_newer_stream_takes_the_place_of_the_older(ground: Ground):
    async def scene(ground: Ground) -> Reason | None:
        worker = ground.worker()
        await worker.register()
        async with worker.watching() as old:
            await old.next()
            async with worker.watching() as new:
                await new.next()
                ended = await old.end()
                with pytest.raises(TimeoutError):
                    await new.next(0.5)  # it stands
        return ended

    assert ground.run(scene) is Reason.REPLACED


# --- Silence --------------------------------------------------------------------------------------


def test_a_worker_that_falls_silent_is_dead_once_and_lives_when_it_comes_back(ground: Ground, settings):
    settings.WORKER_HEARTBEAT_SECONDS = 1

    async def scene(ground: Ground) -> tuple[dt.datetime, dt.datetime]:
        worker = ground.worker()
        await worker.register()
        await worker.heartbeat()
        await eventually(lambda: row().state == "started")
        dead = await eventually(lambda: Worker.objects.filter(state="dead").first(), 15)
        assert await act(lambda: Cluster.objects.get().workers_online) == 0
        await asyncio.sleep(1)
        still = await act(row)
        await worker.heartbeat()
        await eventually(lambda: row().state == "started")
        return dead.state_changed_at, still.state_changed_at

    first, second = ground.run(scene)
    assert first == second


def test_while_nobody_listened_nobody_was_silent(ground: Ground):
    async def joins(ground: Ground) -> None:
        await ground.worker().register()

    ground.run(joins)
    Worker.objects.update(state="started", last_heartbeat_at=timezone.now() - dt.timedelta(hours=1))

    async def scene(ground: Ground) -> None:
        await asyncio.sleep(1)

    ground.run(scene)
    assert row().state == "started"


# --- The control plane restarts -------------------------------------------------------------------


def test_workers_come_back_to_a_control_plane_that_was_started_anew(ground: Ground):
    """With what they have: nobody joins again."""

    async def scene() -> None:
        async with AsyncExitStack() as standing:
            await play(standing)

    async def play(standing: AsyncExitStack) -> None:
        async with serving("127.0.0.1:0") as port:
            ground.port = port
            worker = ground.worker()
            await worker.register()
            stream = await standing.enter_async_context(worker.watching())
            await stream.next()
        assert await stream.end() is Reason.UNAVAILABLE
        async with serving("127.0.0.1:0") as port:
            again = SimulatedWorker.at(port, worker.access_key, worker.secret, key=worker.key)
            again.certificate = worker.certificate
            async with again.watching() as stream:
                await stream.next()
            await again.renew()

    asyncio.run(scene())
    assert Worker.objects.count() == 1


# --- Its certificate and its row ------------------------------------------------------------------


def test_a_certificate_is_renewed_for_the_same_worker(ground: Ground):
    async def scene(ground: Ground) -> tuple[str, bytes]:
        worker = ground.worker()
        await worker.register()
        before = await act(lambda: row().certificate_expires_at)
        answer = await worker.renew()
        assert await act(lambda: row().certificate_expires_at) >= before
        return worker.id, answer.certificate.chain

    worker_id, chain = ground.run(scene)
    assert b"BEGIN CERTIFICATE" in chain
    assert row().pk == worker_id


def test_a_worker_whose_row_is_gone_joins_again(ground: Ground):
    async def scene(ground: Ground) -> None:
        worker = ground.worker()
        await worker.register()
        await act(Worker.objects.all().delete)
        assert (await refusal(worker.heartbeat()))[0] is Reason.WORKER_UNKNOWN

    ground.run(scene)
