"""The gRPC server: how it is built, started and ended."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import grpc

from api import tls
from api.calls import ForgivingDecoder, Threads
from api.clients import Clients
from api.pulse import Pulse
from api.reaching import Reaching
from api.streams import Closing
from api.upkeep import Upkeep
from api.workers import Workers
from events.hub import Hub
from sdm.contract.v1.clients_pb2_grpc import add_ClientsServicer_to_server
from sdm.contract.v1.workers_pb2_grpc import add_WorkersServicer_to_server

# The largest of our messages, a configuration with a list of revoked certificates, has some hundred kilobytes. What
# workers deliver of the request log comes in batches of half of this.
MAX_RECEIVED = 1024 * 1024
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_RECEIVED),
    ("grpc.max_metadata_size", 16 * 1024),
    # Of one connection; a worker has one stream and a call beside it.
    ("grpc.max_concurrent_streams", 100),
    # Two processes on one port would each get half of the workers and none of the other's.
    ("grpc.so_reuseport", 0),
    # A peer that went without a word is noticed within half a minute, and may itself ask as often.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 5),
]
# What is under way when the server ends has as long.
GRACE = 3.0


class CannotListen(Exception):
    """The port could not be had; the message is for people."""


@asynccontextmanager
async def serving(listen: str, certificate: tls.Files | tls.Own | None = None) -> AsyncIterator[int]:
    """Answer on `listen` (host:port; port 0 takes any) until the block ends; gives the port.

    Without a certificate in the clear.
    """
    threads = Threads()
    async with AsyncExitStack() as stack:
        stack.callback(threads.close)
        hub = await stack.enter_async_context(Hub())
        pulse, reaching = Pulse(threads), Reaching(threads)
        stack.push_async_callback(pulse.write)  # the last reports
        stack.callback(reaching.close)
        works = [pulse.beat(), Upkeep(threads).run()]
        if isinstance(certificate, tls.Own):
            works.append(certificate.keep(threads))
        for work in works:
            await stack.enter_async_context(_beside(work))
        closing = Closing()
        workers = Workers(threads=threads, hub=hub, pulse=pulse, reaching=reaching, closing=closing)
        server = grpc.aio.server(interceptors=[ForgivingDecoder()], options=OPTIONS)
        add_WorkersServicer_to_server(workers, server)
        add_ClientsServicer_to_server(Clients(threads=threads, hub=hub, closing=closing), server)
        port = _bind(server, listen, tls.credentials(certificate) if certificate else None)
        await server.start()
        try:
            yield port
        finally:
            closing.begin()
            await server.stop(GRACE)


def _bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        if credentials is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise CannotListen(f"Cannot listen on {listen}. Choose another with CONSOLE_API_LISTEN.") from error


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
