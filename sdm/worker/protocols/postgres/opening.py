"""Both sides' start-up. The client is let in at once, and what is wrong is said in its own protocol: psql shows it."""

import asyncio
import contextlib
from collections.abc import Callable

from sdm.contract.endings import Ending
from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.transport.streams import Stream
from sdm.wire.postgres import startup
from sdm.wire.postgres.authentication import Session as ServerSession
from sdm.wire.postgres.cancel import SHORT_SECRET, CancelKey, new_key
from sdm.wire.postgres.errors import (
    ADMIN_SHUTDOWN,
    CANNOT_CONNECT,
    CANNOT_CONNECT_NOW,
    INVALID_AUTHORIZATION,
    INVALID_PASSWORD,
    PostgresError,
    Report,
)
from sdm.wire.postgres.startup import Startup, StartupMessage
from sdm.worker.protocols.postgres import canceling, server
from sdm.worker.protocols.postgres.framer import Framer
from sdm.worker.sessions.lease import Target
from sdm.worker.sessions.session import Client, Session, SessionCut
from sdm.worker.spool import SpoolUnavailable
from sdm.worker.upstream import Unreachable

# For the client's first words; programs say them at once.
START_TIMEOUT = 30.0
_REFUSALS = frozenset({INVALID_AUTHORIZATION, INVALID_PASSWORD})


class _Over(Exception):
    """There is no session to be relayed. The client has heard why, or is told with `report`."""

    def __init__(self, ending: Ending, message: str = "", report: Report | None = None) -> None:
        super().__init__(message or ending.sentence)
        self.ending = ending
        self.report = report


async def open(session: Session) -> HandOff | Outcome:
    await session.accept()
    try:
        async with session.until_cut():
            asked, rest = await _first_words(session)
            if isinstance(asked, CancelKey):
                return await _cancel(session, asked)
            return await _begin(session, asked, rest)
    except SessionCut as cut:
        await _tell(session.client, Report(ADMIN_SHUTDOWN, str(cut)))
        return Outcome(cut.ending, str(cut))
    except _Over as over:
        if over.report is not None:
            await _tell(session.client, over.report)
        return Outcome(over.ending, str(over))


async def _tell(client: Client, report: Report) -> None:
    """Why there is no session: in the place of whatever the client waits for next, it may be an error."""
    if client.at_border:
        with contextlib.suppress(OSError):
            await client.send(report.to_bytes())
            await client.finish()


async def _first_words(session: Session) -> tuple[StartupMessage | CancelKey, bytes]:
    """What the client wants, and what it has sent behind that."""
    reader = Startup()
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while data := await session.client.receive(server.CHUNK):
                found = reader.feed(data)
                await session.client.send(reader.data_to_send())
                if found is not None:
                    return found, reader.rest
    except TimeoutError:
        raise _Over(Ending.IDLE, "The client did not say what it wants.") from None
    except PostgresError as error:
        raise _Over(Ending.PROTOCOL, str(error), error.report) from None
    raise _Over(Ending.CLIENT_LEFT)


async def _begin(session: Session, asked: StartupMessage, rest: bytes) -> HandOff:
    target = session.target
    try:
        first = startup.upstream_startup(
            asked,
            user=target.username,
            database=_database(target, asked),
            allow_replication=target.flag("allow_replication"),
        )
    except PostgresError as error:
        raise _Over(Ending.NOT_ALLOWED, str(error), error.report) from None
    try:
        stream = await server.reach(target)
    except Unreachable as error:
        raise _Over(Ending.RESOURCE_UNREACHABLE, str(error), Report(CANNOT_CONNECT, str(error))) from None
    try:
        return await _enter(session, asked, stream, first, rest)
    except BaseException:
        stream.close()
        raise


async def _enter(
    session: Session, asked: StartupMessage, stream: Stream, first: bytes, rest: bytes
) -> HandOff:
    try:
        found = await server.sign_in(stream, session.target, first)
    except Unreachable as error:
        report = Report(CANNOT_CONNECT_NOW, str(error))
        raise _Over(Ending.RESOURCE_UNREACHABLE, str(error), report) from None
    except PostgresError as error:
        refused = error.report.sqlstate in _REFUSALS
        ending = Ending.RESOURCE_REFUSED if refused else Ending.RESOURCE_UNREACHABLE
        raise _Over(ending, error.report.with_hint, error.report) from None
    key = canceling.masked(found.key, session.lease) if found.key else new_key(SHORT_SECRET)
    await session.client.send(
        startup.welcome(asked, key, found.parameters, notices=found.notices, status=found.status)
    )
    framer = Framer(session.log, values=session.target.flag("log_parameters"))
    return HandOff(
        stream.detach(),
        framer,
        from_client=rest + session.client.taken(),
        from_upstream=found.rest,
        hurry=_canceler(session, found, framer),
        over=framer.over,
    )


def _canceler(session: Session, found: ServerSession, framer: Framer) -> Callable[[], None]:
    """What makes a server stop that is at work for a session which is cut."""
    loop, key, target = asyncio.get_running_loop(), found.key, session.target

    def begin() -> None:
        if key is not None:
            canceling.cancel_soon(target, key)

    def hurry() -> None:
        if framer.is_busy:
            loop.call_soon_threadsafe(begin)

    return hurry


async def _cancel(session: Session, key: CancelKey) -> Outcome:
    try:
        begun = session.log.request(b"-- cancel what process %d does" % key.process_id)
    except SpoolUnavailable:
        raise _Over(Ending.LOG_UNAVAILABLE) from None
    await canceling.cancel(session.target, canceling.masked(key, session.lease))
    session.log.completed(begun)
    await session.client.finish()
    return Outcome(Ending.CLIENT_LEFT, "A query was canceled.")


def _database(target: Target, asked: StartupMessage) -> str:
    """The resource's, unless it leaves the choice."""
    if target.flag("override_database", default=True):
        return server.database_of(target)
    wanted = asked.get("database")
    return wanted.decode(errors="replace") if wanted else server.database_of(target)
