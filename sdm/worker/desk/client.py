"""The desk as a front sees it. When the desk is gone, another will be there soon: sessions go on meanwhile."""

import asyncio
import base64
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus

from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as pb
from sdm.worker.desk.messages import (
    MAX_LINE,
    Ask,
    Begun,
    Cut,
    Denied,
    Ended,
    Granted,
    Hello,
    Live,
    Message,
    Until,
    decode,
    encode,
)
from sdm.worker.desk.place import Where
from sdm.worker.sessions.refusals import Refused, unavailable

log = logging.getLogger(__name__)

# For a lease: the control plane's own deadline, and a link that is started anew.
TIMEOUT = 15.0
_PAUSE = 0.2


class DeskClient:
    def __init__(
        self,
        where: Where,
        *,
        live: Callable[[], Iterable[Live]],
        cut: Callable[[Cut], None],
        until: Callable[[Until], None],
    ) -> None:
        self._where = where
        self._live = live
        self._cut = cut
        self._until = until
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[str, tuple[Ask, asyncio.Future[Granted | Denied]]] = {}

    async def stay(self) -> None:
        """Be connected, for ever."""
        while True:
            try:
                await self._visit()
            except OSError as error:
                log.debug("The desk cannot be reached: %s", error)
            await asyncio.sleep(_PAUSE)

    async def lease(self, ask: Ask) -> pb.GetLeaseResponse:
        """Refused, in the control plane's words, when there is none."""
        answer: asyncio.Future[Granted | Denied] = asyncio.get_running_loop().create_future()
        self._asked[ask.session_id] = (ask, answer)
        self._say(ask)
        try:
            async with asyncio.timeout(TIMEOUT):
                found = await answer
        except TimeoutError:
            self.ended(ask.session_id)
            raise unavailable(Reason.UNAVAILABLE, "The control plane did not answer in time.") from None
        except asyncio.CancelledError:
            self.ended(ask.session_id)
            raise
        finally:
            del self._asked[ask.session_id]
        if isinstance(found, Denied):
            raise Refused(HTTPStatus(found.status), found.reason, found.message, is_own=found.is_own)
        return pb.GetLeaseResponse.FromString(base64.b64decode(found.lease))

    def begun(self, session_id: str) -> None:
        self._say(Begun(session_id))

    def ended(self, session_id: str) -> None:
        self._say(Ended(session_id))

    async def _visit(self) -> None:
        reader, writer = await asyncio.open_connection(sock=self._where.connect(), limit=MAX_LINE)
        try:
            writer.write(encode(Hello(self._where.word)))
            for session in self._live():
                writer.write(encode(session))
            for ask, _ in self._asked.values():
                writer.write(encode(ask))
            self._writer = writer
            while line := await reader.readline():
                self._hear(decode(line))
                # Who waits for a lease goes on first: what is said next may be about its session.
                await asyncio.sleep(0)
        finally:
            self._writer = None
            writer.close()

    def _say(self, message: Message) -> None:
        # What is not said now is said when the desk is there: asks again, and sessions as they are then.
        if self._writer is not None:
            self._writer.write(encode(message))

    def _hear(self, message: Message) -> None:
        match message:
            case Granted() | Denied():
                waiting = self._asked.get(message.session_id)
                if waiting is not None and not waiting[1].done():
                    waiting[1].set_result(message)
            case Cut():
                self._cut(message)
            case Until():
                self._until(message)
