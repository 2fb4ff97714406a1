"""What every call has in common: work in threads with a deadline, and answers that give nothing away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial, wraps
from typing import Any, NoReturn, ParamSpec, TypeVar
from urllib.parse import unquote

import grpc
from django.db import close_old_connections
from google.protobuf.message import DecodeError

from api.refusals import REFUSALS, code_of, refused_as
from audit.context import Source, acting_from
from clusters.workers import Refused
from sdm.contract import reasons
from sdm.contract.reasons import Reason

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Any, Context], Awaitable[T]]

# More would only wait for the database, of which SQLite has one writer.
THREADS = 16
# Longer than any wait for the database that is configured: its error is better than ours.
DEADLINE = 20.0


class Threads:
    """Where the ORM runs: the event loop never waits for the database."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="api")

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        work = partial(_with_database, partial(function, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _with_database(work: Callable[[], T]) -> T:
    """As Django does around a request: connections that broke or have been open for long are not used."""
    close_old_connections()
    try:
        return work()
    finally:
        close_old_connections()


def from_source(context: Context, version: str, function: Callable[P, T]) -> Callable[P, T]:
    """`function`, whose activities say where the call came from."""
    return acting_as(Source(address_of(context) or None, f"sdm {version}".strip()), function)


def acting_as(source: Source, function: Callable[P, T]) -> Callable[P, T]:
    @wraps(function)
    def acting(*args: P.args, **kwargs: P.kwargs) -> T:
        with acting_from(source):
            return function(*args, **kwargs)

    return acting


def address_of(context: Context) -> str:
    """The peer's IP address, from `ipv4:192.0.2.7:50124` or `ipv6:%5B2001:db8::7%5D:50124`."""
    family, _, rest = unquote(context.peer()).partition(":")
    if family not in ("ipv4", "ipv6"):
        return ""
    return rest.rpartition(":")[0].strip("[]").partition("%")[0].removeprefix("::ffff:")


class ForgivingDecoder(grpc.aio.ServerInterceptor):
    """What cannot be decoded arrives as None, and is refused like anything else: gRPC would log each as a crash."""

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        if handler is None:  # no such method
            return None
        return handler._replace(request_deserializer=_or_none(handler.request_deserializer))


def _or_none(decode: Callable[[bytes], T]) -> Callable[[bytes], T | None]:
    def decoded(raw: bytes) -> T | None:
        try:
            return decode(raw)
        except DecodeError:
            return None

    return decoded


def decodable(request: T | None) -> T:
    if request is None:
        raise Refused(Reason.BAD_REQUEST)
    return request


def answering(method: Handler[T]) -> Handler[T]:
    """A unary call: it ends in time, and a refusal or a failure becomes a status with its reason."""

    @wraps(method)
    async def answer(self: Any, request: Any, context: Context) -> T:
        async with refusing(context), _in_time(method.__name__):
            return await method(self, decodable(request), context)
        raise AssertionError  # refusing never swallows

    return answer


@asynccontextmanager
async def _in_time(name: str) -> AsyncIterator[None]:
    """More work than is done in time is no fault, and where it was waited says nothing: a line, without a traceback."""
    deadline = asyncio.timeout(DEADLINE)
    try:
        async with deadline:
            yield
    except TimeoutError:
        if not deadline.expired():
            raise
        logger.warning("%s was given up: no answer within %g s.", name, DEADLINE)
        raise Refused(Reason.UNAVAILABLE) from None


@asynccontextmanager
async def refusing(context: Context) -> Any:
    try:
        yield
    except REFUSALS as error:
        await _refuse(context, refused_as(error))
    except grpc.aio.AbortError:
        raise
    except Exception:  # whatever it was, the peer hears nothing of it, and the log all
        logger.exception("A call failed")
        await _refuse(context, Refused(Reason.UNAVAILABLE))


async def _refuse(context: Context, refused: Refused) -> NoReturn:
    trailer = ((reasons.METADATA, refused.reason.value),)
    await context.abort(code_of(refused.reason), str(refused), trailer)
