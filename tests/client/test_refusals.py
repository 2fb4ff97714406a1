"""What becomes of an error of gRPC."""

import asyncio
from typing import Any, cast

import grpc
import pytest
from grpc import aio

from sdm.contract.reasons import Reason
from sdm.control_plane.refusals import NoAnswer, answer, refusal
from sdm.control_plane.together import together

RAW = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: refused"


@pytest.mark.parametrize("status", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_nobody_is_shown_what_grpc_says(status: grpc.StatusCode):
    error = aio.AioRpcError(status, aio.Metadata(), aio.Metadata(), details=RAW)
    found = refusal(error, "console.example.com:8001")
    assert found.reason is Reason.UNAVAILABLE
    assert "console.example.com:8001" in str(found)
    assert "ipv4" not in str(found)


def test_who_waits_for_a_call_on_a_channel_that_is_closed_hears_of_it_and_goes_on():
    async def hang(_request: bytes, _context: object) -> bytes:
        await asyncio.sleep(60)
        return b""

    async def scene() -> None:
        server = aio.server()
        method: Any = grpc.unary_unary_rpc_method_handler(cast(Any, hang))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"Hang": method}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        channel = aio.insecure_channel(f"127.0.0.1:{port}")
        hanging: Any = channel.unary_unary("/s/Hang")
        waiting = [asyncio.create_task(answer(hanging(b"", timeout=30), "there")) for _ in range(2)]
        await asyncio.sleep(0.2)
        waiting[1].cancel()
        just_begun = hanging(b"", timeout=30)
        await channel.close()
        heard, cancelled = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(heard, NoAnswer)
        assert "there" in str(heard)
        assert isinstance(cancelled, asyncio.CancelledError)
        with pytest.raises(NoAnswer):
            await answer(just_begun, "there")
        await server.stop(0)

    asyncio.run(scene())


def test_after_one_of_several_works_has_failed_a_timeout_is_still_a_timeout():
    async def fails() -> None:
        await asyncio.sleep(0.01)
        raise ValueError

    async def goes_on() -> None:
        await asyncio.sleep(60)

    async def scene() -> None:
        with pytest.raises(ExceptionGroup):
            await together(fails(), goes_on())
        task = asyncio.current_task()
        assert task is not None and not task.cancelling()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)

    asyncio.run(scene())
