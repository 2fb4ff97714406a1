"""One client's requests, one after the other.

There is one connection to the site, kept open between requests. Bodies pass piece by piece: the next is read when the
other side has taken the one before it. A request whose body is still on its way when the answer comes is the last one.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from http import HTTPStatus

from sdm.contract.endings import Ending
from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.wire.http import bodies, heads, rewriting
from sdm.wire.http.bodies import Body
from sdm.wire.http.heads import Field, HttpError, RequestHead, ResponseHead
from sdm.worker.protocols.http.connection import Connection, SiteLost
from sdm.worker.protocols.http.goodbyes import Goodbyes, status_of
from sdm.worker.protocols.http.site import site_of
from sdm.worker.protocols.http.visitor import Visitor
from sdm.worker.records import Begun
from sdm.worker.sessions.session import Session, SessionCut
from sdm.worker.spool import SpoolUnavailable
from sdm.worker.upstream import Unreachable

# While the log has little room left.
_LONGEST_PAUSE = 1.0


@dataclass(slots=True)
class _Request:
    head: RequestHead
    body: Body
    path: bytes
    # None: it is not in the log, in relaxed operation.
    begun: Begun | None
    sent: int = 0
    received: int = 0
    is_logged: bool = False
    fields: list[Field] = field(default_factory=list)

    @property
    def can_be_repeated(self) -> bool:
        """Nothing was done by it if nothing was answered (RFC 9110, 9.2.2)."""
        return self.body.is_complete and self.head.method in (b"GET", b"HEAD", b"OPTIONS")


class _Over(Exception):
    """The conversation ends here. `status` is for a client that waits for an answer, of which there will be none."""

    def __init__(self, ending: Ending, message: str = "", status: HTTPStatus | None = None) -> None:
        super().__init__(message or ending.sentence)
        self.ending = ending
        self.status = status


class Conversation:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._visitor = Visitor(session.client)
        self._site = site_of(session.target)
        self._connection: Connection | None = None
        self._handoff: HandOff | None = None
        self._sent = self._received = 0

    async def run(self) -> HandOff | Outcome:
        over = await self._end()
        if self._handoff is not None:
            return self._handoff
        if over.status is not None:
            await self._visitor.refuse(over.status, str(over))
        await self._visitor.leave()
        return Outcome(over.ending, str(over), self._sent, self._received)

    async def _end(self) -> _Over:
        """Serve it until then."""
        try:
            async with self._session.until_cut():
                while await self._serve_one():
                    pass
        except _Over as over:
            return over
        except SessionCut as cut:
            return _Over(cut.ending, str(cut), status_of(cut.ending))
        except HttpError as error:
            return _Over(Ending.PROTOCOL, str(error), HTTPStatus(error.status))
        except SpoolUnavailable:
            return _Over(Ending.LOG_UNAVAILABLE, status=status_of(Ending.LOG_UNAVAILABLE))
        except TimeoutError:
            return _Over(Ending.IDLE, status=HTTPStatus.REQUEST_TIMEOUT)
        except OSError:
            return _Over(Ending.CLIENT_LOST)
        return _Over(Ending.CLIENT_LEFT)

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- The request ---

    async def _serve_one(self) -> bool:
        """Whether there may be another one."""
        head = await self._visitor.request()
        if head is None:
            return False
        rewriting.check_request(head)
        path, body = heads.origin_form(head.target), bodies.of_request(head)
        begun = self._session.log.request(head.method + b" " + path)
        request = _Request(head, body, path, begun)
        try:
            if pause := self._session.log.pause:
                await asyncio.sleep(min(pause, _LONGEST_PAUSE))
            return await self._exchange(request)
        except BaseException:
            self._complete(request, "", "broken-off")
            raise

    async def _exchange(self, request: _Request) -> bool:
        request.fields = self._request_fields(request)
        early = self._visitor.early()
        try:
            if request.body.is_complete:
                self._visitor.unread(early)
                answer = await self._ask(request)
                return await self._answer(request, answer)
            return await self._exchange_with_body(request, early)
        except HttpError as error:
            self._complete(request, str(error.status), str(error))
            raise
        except (Unreachable, SiteLost) as error:
            message = str(error) if isinstance(error, Unreachable) else f"The site is lost: {error}"
            if self._visitor.waits:
                self._complete(request, "502", message)
            raise _Over(Ending.RESOURCE_LOST, message, HTTPStatus.BAD_GATEWAY) from None

    def _request_fields(self, request: _Request) -> list[Field]:
        fields = rewriting.request_fields(self._site, request.head)
        if rewriting.wants_websocket(request.head):
            fields += rewriting.upgrade_fields(request.head.fields)
        if isinstance(request.body, bodies.Chunked):
            fields.append((b"transfer-encoding", b"chunked"))
        elif isinstance(request.body, bodies.Fixed) and request.head.fields.first(b"content-length"):
            fields.append((b"content-length", str(request.body.length).encode()))
        return fields

    async def _ask(self, request: _Request) -> ResponseHead:
        if self._connection is not None and request.can_be_repeated:
            # Kept open for long, it may have been closed over there at the moment when it is used.
            with contextlib.suppress(SiteLost):
                return await self._ask_once(self._connection, request)
            self.hang_up()
        return await self._ask_once(await self._connected(), request)

    async def _ask_once(self, connection: Connection, request: _Request) -> ResponseHead:
        await self._send_head(connection, request)
        return await self._final(connection, request)

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await Connection.dial(self._session.target)
        return self._connection

    async def _send_head(self, connection: Connection, request: _Request) -> None:
        head = heads.request_bytes(request.head.method, request.path, request.fields)
        request.sent += len(head)
        await connection.send(head)

    # --- A request with a body ---

    async def _exchange_with_body(self, request: _Request, early: bytes) -> bool:
        connection = await self._connected()
        await self._send_head(connection, request)
        pumping = asyncio.create_task(self._pump(connection, request, early))
        answering = asyncio.create_task(self._final(connection, request))
        try:
            await asyncio.wait([pumping, answering], return_when=asyncio.FIRST_COMPLETED)
            if pumping.done() and not answering.done():
                pumping.result()  # what went wrong with it is what is wrong
            again = await self._answer(request, await answering)
            return again and request.body.is_complete
        finally:
            await _ended(answering)
            await _ended(pumping)

    async def _pump(self, connection: Connection, request: _Request, data: bytes) -> None:
        body = request.body
        while True:
            pieces, rest = body.feed(data) if data else ([], b"")
            if pieces:
                chunked = isinstance(body, bodies.Chunked)
                data = b"".join(map(bodies.chunk, pieces) if chunked else pieces)
                request.sent += len(data)
                await connection.send(data)
            if body.is_complete:
                break
            data = await self._visitor.more()
        if isinstance(body, bodies.Chunked):
            await connection.send(bodies.LAST_CHUNK)
        self._visitor.unread(rest)

    # --- The answer ---

    async def _final(self, connection: Connection, request: _Request) -> ResponseHead:
        """The answer that ends the request; those that only announce it are passed on."""
        while True:
            answer = await connection.head()
            if answer.status >= 200 or answer.status == bodies.SWITCHING:
                return answer
            if request.head.minor:
                fields = rewriting.response_fields(self._site, answer)
                await self._visitor.announce(heads.response_bytes(answer.status, answer.reason, fields))

    async def _answer(self, request: _Request, answer: ResponseHead) -> bool:
        connection = await self._connected()
        if answer.status == bodies.SWITCHING:
            return await self._switch(connection, request, answer)
        try:
            body = bodies.of_response(answer, request.head.method)
        except HttpError as error:
            raise SiteLost(str(error)) from None
        # What says its length keeps it: a download shows how far it is.
        chunks = not isinstance(body, bodies.Fixed) and bool(request.head.minor)
        keep = request.head.keeps_alive and request.body.is_complete
        keep = keep and (chunks or isinstance(body, bodies.Fixed))
        fields = rewriting.response_fields(self._site, answer) + _framing(answer, body, chunks, keep)
        head = heads.response_bytes(answer.status, answer.reason, fields)
        await self._stream(connection, request, body, head, chunks=chunks)
        if not keep or not answer.keeps_alive or isinstance(body, bodies.UntilClose):
            self.hang_up()
        self._complete(request, str(answer.status), str(answer.status) if answer.status >= 400 else "")
        return keep

    async def _stream(
        self, connection: Connection, request: _Request, body: Body, head: bytes, *, chunks: bool
    ) -> None:
        """The head goes together with the first piece. From here on an error can be told by closing alone."""
        pending, data = head, connection.taken()
        while not body.is_complete:
            if not data:
                await self._visitor.send(pending)
                pending, data = b"", await _more(connection, body)
                if not data:
                    break
            pieces, data = _fed(body, data)
            request.received += sum(map(len, pieces))
            pending += b"".join(map(bodies.chunk, pieces) if chunks else pieces)
        await self._visitor.send(pending + (bodies.LAST_CHUNK if chunks else b""))
        if data:
            self.hang_up()  # an answer to a question that nobody asked

    async def _switch(self, connection: Connection, request: _Request, answer: ResponseHead) -> bool:
        if not rewriting.wants_websocket(request.head):
            raise SiteLost("it changes the protocol without being asked.")
        fields = rewriting.response_fields(self._site, answer) + rewriting.upgrade_fields(answer.fields)
        await self._visitor.send(heads.response_bytes(answer.status, answer.reason, fields))
        self._complete(request, str(answer.status), "")
        early = connection.taken()
        self._connection = None
        self._handoff = HandOff(
            connection.detach(), Goodbyes(), from_client=self._visitor.taken(), from_upstream=early
        )
        return False

    # --- Around it ---

    def _complete(self, request: _Request, result: str, error: str) -> None:
        if request.is_logged:
            return
        request.is_logged = True
        self._sent += request.sent
        self._received += request.received
        self._session.log.completed(
            request.begun,
            bytes_sent=request.sent,
            bytes_received=request.received,
            result=result,
            error=error,
        )


def _framing(answer: ResponseHead, body: Body, chunks: bool, keep: bool) -> list[Field]:
    fields: list[Field] = [] if keep else [(b"connection", b"close")]
    if chunks:
        fields.append((b"transfer-encoding", b"chunked"))
    # An answer to HEAD, and a 304, say a length that they do not have.
    elif isinstance(body, bodies.Fixed) and (length := answer.fields.first(b"content-length")):
        fields.append((b"content-length", length))
    return fields


async def _more(connection: Connection, body: Body) -> bytes:
    """Nothing when the body ends with the connection, and has."""
    data = await connection.receive()
    if not data and not isinstance(body, bodies.UntilClose):
        raise SiteLost("it closed the connection within an answer.")
    return data


def _fed(body: Body, data: bytes) -> tuple[list[bytes], bytes]:
    try:
        return body.feed(data)
    except HttpError as error:
        raise SiteLost(f"it does not answer in HTTP/1.1. {error}") from None


async def _ended(task: "asyncio.Task[object]") -> None:
    """Nobody waits for what it would have said."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
