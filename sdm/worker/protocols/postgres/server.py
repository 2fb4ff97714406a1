"""The way to a server: TLS as the resource says, and signing in with its credentials."""

import asyncio

from sdm.transport.streams import Stream
from sdm.wire.postgres import scram, startup
from sdm.wire.postgres.authentication import Authentication, Credentials, Session, server_gone
from sdm.wire.postgres.errors import PostgresError, parse_report
from sdm.wire.postgres.messages import Messages, MessageTooLong, cstring, message
from sdm.worker import upstream
from sdm.worker.sessions.lease import Target
from sdm.worker.upstream import Unreachable

# To sign in. A server that is starting answers at once that it is.
SIGN_IN_TIMEOUT = 15.0
CHUNK = 16 * 1024
# What is asked for to see whether it answers, and how much it may answer.
_TRIVIAL = message(b"Q", cstring(b"SELECT 1"))
_MOST = 64 * 1024
_TERMINATE = message(b"X")

# Deriving keys from a password takes a millisecond; they are kept, and the password is not.
_KEYS = scram.KeyCache()


async def reach(target: Target) -> Stream:
    """A connection, with TLS if the resource wants it; Unreachable when there is none."""
    return await secure(await upstream.connect(target), target)


async def secure(stream: Stream, target: Target) -> Stream:
    """The same, or closed."""
    try:
        if target.flag("tls_required", default=True):
            await _ask_for_tls(stream, target)
            await upstream.secure(stream, target)
    except BaseException:
        stream.close()
        raise
    return stream


async def _ask_for_tls(stream: Stream, target: Target) -> None:
    where = f"{target.hostname}:{target.port}"
    try:
        async with asyncio.timeout(upstream.TLS_TIMEOUT):
            await stream.send(startup.SSL_REQUEST)
            accepted = startup.accepts_tls(await stream.receive(CHUNK))
    except (OSError, TimeoutError, PostgresError):
        raise Unreachable(f"{where} does not answer as a PostgreSQL server does.") from None
    if not accepted:
        raise Unreachable(f"{where} does not speak TLS, and this resource is to be reached with TLS alone.")


async def sign_in(stream: Stream, target: Target, first: bytes) -> Session:
    """From the StartupMessage `first` to ReadyForQuery; PostgresError, safe to be shown, when it is refused."""
    certificate = stream.certificate()
    authentication = Authentication(
        Credentials(target.username, target.secret("password")),
        _KEYS,
        verified_tls=certificate is not None and not target.flag("tls_insecure"),
        binding=scram.end_point(certificate) if certificate else None,
    )
    try:
        async with asyncio.timeout(SIGN_IN_TIMEOUT):
            await stream.send(first)
            while data := await stream.receive(CHUNK):
                # A server chooses for how long we calculate: meanwhile others are served.
                if authentication.is_challenged:
                    session = await asyncio.to_thread(authentication.feed, data)
                else:
                    session = authentication.feed(data)
                await stream.send(authentication.data_to_send())
                if session is not None:
                    return session
    except TimeoutError:
        raise Unreachable(
            f"{target.hostname}:{target.port} takes longer than {SIGN_IN_TIMEOUT:.0f} s to accept a session."
        ) from None
    except OSError:
        raise server_gone(signed_in=False) from None
    raise server_gone(signed_in=False)


async def check(target: Target) -> None:
    """Connect, sign in, and ask for something trivial."""
    stream = await reach(target)
    try:
        first = startup.startup_message(
            [
                (b"user", target.username.encode()),
                (b"database", database_of(target).encode()),
                (b"application_name", b"sdm health check"),
            ]
        )
        await sign_in(stream, target, first)
        await stream.send(_TRIVIAL)
        await _answered(stream, target)
        await stream.send(_TERMINATE)
    except PostgresError as error:
        raise Unreachable(f"The server refuses: {error.report.with_hint}") from None
    except OSError:
        raise Unreachable("The server closed the connection.") from None
    finally:
        stream.close()


async def _answered(stream: Stream, target: Target) -> None:
    messages, size = Messages(), 0
    while (data := await stream.receive(CHUNK)) and size < _MOST:
        size += len(data)
        try:
            for found in messages.feed(data):
                if found.kind == b"E":
                    report = parse_report(found.body).without(target.secret("password") or "")
                    raise PostgresError(report.shortened())
                if found.kind == b"Z":
                    return
        except MessageTooLong:
            break
    raise server_gone(signed_in=True)


def database_of(target: Target) -> str:
    return target.text("database") or target.username
