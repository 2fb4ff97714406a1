"""Websites: requests with the stored credentials put in, answers streamed back, each request logged.

site          how a target is spoken to
connection    one connection to it
visitor       the client, as it asks and is answered
conversation  one client's requests, one after the other
goodbyes      why somebody is cut, as HTTP and WebSocket say it
"""

from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.wire.http import heads
from sdm.worker.protocols.http.connection import Connection, SiteLost
from sdm.worker.protocols.http.conversation import Conversation
from sdm.worker.protocols.http.site import site_of
from sdm.worker.sessions.lease import Target
from sdm.worker.sessions.session import Session
from sdm.worker.upstream import Unreachable


async def open(session: Session) -> HandOff | Outcome:
    await session.accept()
    conversation = Conversation(session)
    try:
        return await conversation.run()
    finally:
        conversation.hang_up()


async def check(target: Target) -> None:
    site, path = site_of(target), (target.text("healthcheck_path") or "/").encode()
    fields = [(b"host", site.host), *site.added, (b"connection", b"close"), (b"accept", b"*/*")]
    connection = await Connection.dial(target)
    try:
        await connection.send(heads.request_bytes(b"GET", path, fields))
        answer = await connection.head()
    except SiteLost as lost:
        raise Unreachable(f"{target.hostname}:{target.port}: {lost}") from None
    finally:
        connection.close()
    if answer.status in (401, 403):
        raise Unreachable(f"The site does not accept the stored credentials: status {answer.status}.")
    if answer.status >= 400:
        raise Unreachable(f"The site answers {path.decode()} with status {answer.status}.")
