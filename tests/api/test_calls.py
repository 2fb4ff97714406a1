"""Which calls are answered: none without a proof, nothing that is no call; and what is told of a failure inside."""

import asyncio
import datetime as dt
import threading
from typing import Any

import grpc
import pytest

from clusters.models import Worker
from keys import joining
from sdm.contract import proof
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as v1
from sdm.pki import csr
from tests.api.conftest import Ground
from tests.api.worker import eventually, refusal


def test_a_call_without_a_proof_or_with_anothers(ground: Ground):
    async def scene(ground: Ground) -> None:
        worker, other = ground.worker(), ground.worker()
        await worker.register()
        await other.register()
        beat = worker.stub.Heartbeat
        right = worker.metadata("Heartbeat", v1.WorkerReport())
        wrong = [
            (),
            ((proof.METADATA, "x"),),
            ((proof.METADATA, "A" * 5_000),),
            worker.metadata("Renew"),  # for another method
            worker.metadata("Heartbeat", v1.WorkerReport(connections=1)),  # for another request
            (*right, *right),
        ]
        for metadata in wrong:
            assert (await refusal(beat(v1.WorkerReport(), metadata=metadata)))[0] is Reason.BAD_PROOF
        await beat(v1.WorkerReport(), metadata=right)
        assert (await refusal(beat(v1.WorkerReport(), metadata=right)))[0] is Reason.BAD_PROOF  # a replay
        other.key = csr.new_key()  # the certificate without its key
        assert (await refusal(other.heartbeat()))[0] is Reason.BAD_PROOF
        worker.ahead = dt.timedelta(minutes=-10)
        assert (await refusal(worker.heartbeat()))[0] is Reason.CLOCK

    ground.run(scene)


def test_what_is_no_call_at_all_harms_nobody(ground: Ground, caplog):
    async def scene(ground: Ground) -> None:
        for garbage in (
            b"",
            b"GET / HTTP/1.1\r\n\r\n",
            bytes(range(256)) * 50,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0",
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", ground.port)
            writer.write(garbage)
            writer.close()
        worker = ground.worker()
        large = v1.GetChallengeRequest(access_key="x" * 2_000_000)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await worker.stub.GetChallenge(large)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{ground.port}")
        raw: Any = channel.unary_unary("/sdm.contract.v1.Workers/Register")
        with pytest.raises(grpc.aio.AioRpcError):
            await raw(b"\xff\xff\xff\xff")
        await channel.close()
        await worker.register()

    ground.run(scene)
    assert "Traceback" not in caplog.text


def test_a_failure_inside_is_logged_and_not_told(ground: Ground, monkeypatch, caplog):
    def fails(*args: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("keys.joining.join", fails)

    async def scene(ground: Ground) -> tuple[Reason | None, str]:
        return await refusal(ground.worker().try_to_register())

    reason, words = ground.run(scene)
    assert reason is Reason.UNAVAILABLE
    assert "a secret" not in words
    assert "A call failed" in caplog.text


@pytest.mark.parametrize("server_seconds", [0.2, 20])
def test_an_answer_that_comes_too_late_is_no_fault(
    ground: Ground, monkeypatch, caplog, server_seconds: float
):
    """Neither where the server gives up, nor where the caller did."""
    monkeypatch.setattr("api.calls.DEADLINE", server_seconds)
    going_on = threading.Event()
    join = joining.join

    def late(application: joining.Application) -> joining.Joined:
        going_on.wait(30)
        return join(application)

    monkeypatch.setattr("keys.joining.join", late)

    async def scene(ground: Ground) -> grpc.StatusCode:
        worker = ground.worker()
        application = await worker.application()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            timeout = 20 if server_seconds < 1 else 0.2
            await worker.stub.Register(application, timeout=timeout)
        going_on.set()
        await eventually(lambda: Worker.objects.exists())
        return raised.value.code()

    code = ground.run(scene)
    logged = [(record.levelname, record.getMessage()) for record in caplog.records]
    if server_seconds < 1:
        assert code is grpc.StatusCode.UNAVAILABLE
        assert logged == [("WARNING", "Register was given up: no answer within 0.2 s.")]
    else:
        assert (code, logged) == (grpc.StatusCode.DEADLINE_EXCEEDED, [])
    assert "Traceback" not in caplog.text


def test_a_timeout_inside_is_a_failure_like_any_other(ground: Ground, monkeypatch, caplog):
    def fails(*args: object) -> None:
        raise TimeoutError("a secret")

    monkeypatch.setattr("keys.joining.join", fails)

    async def scene(ground: Ground) -> tuple[Reason | None, str]:
        return await refusal(ground.worker().try_to_register())

    assert ground.run(scene)[0] is Reason.UNAVAILABLE
    assert "A call failed" in caplog.text
