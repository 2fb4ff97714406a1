"""Raw TCP: bytes and times only."""

from sdm.transport.relay.handoff import HandOff
from sdm.worker import upstream
from sdm.worker.sessions.lease import Target
from sdm.worker.sessions.session import Session


async def open(session: Session) -> HandOff:
    stream = await upstream.connect(session.target)
    try:
        await session.accept()
    except BaseException:
        stream.close()
        raise
    return HandOff(stream.detach(), from_client=session.client.taken())


async def check(target: Target) -> None:
    (await upstream.connect(target)).close()
