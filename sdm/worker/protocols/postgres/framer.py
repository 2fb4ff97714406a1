"""What passes between client and server, as records of the log."""

from sdm.contract.endings import Ending
from sdm.transport.relay.handoff import Outcome, SessionOver
from sdm.wire.postgres.errors import ADMIN_SHUTDOWN, CONNECTION_FAILURE, ProtocolError, Report
from sdm.wire.postgres.frames import Requests
from sdm.wire.postgres.messages import message
from sdm.wire.postgres.replies import Replies, Result
from sdm.wire.postgres.requests import MAX_PENDING, CopyIn, Kind, Request
from sdm.worker.records import MAX_TEXT, SessionLog
from sdm.worker.spool import SpoolUnavailable

_TERMINATE = message(b"X")


class Framer:
    """For the relay, and called in its thread alone once it has it."""

    __slots__ = ("_log", "_numbers", "_pending", "_received", "_replies", "_requests", "_sent", "client_left")

    def __init__(self, log: SessionLog, *, values: bool) -> None:
        self._log = log
        self._requests = Requests(text_limit=MAX_TEXT, values=values)
        self._pending = self._requests.pending
        self._replies = Replies(self._pending)
        # Of requests that are under way: the log's number, by the codec's.
        self._numbers: dict[int, int] = {}
        # Since the request before.
        self._sent = 0
        self._received = 0
        self.client_left = False

    @property
    def full(self) -> bool:
        return len(self._pending) >= MAX_PENDING

    @property
    def is_busy(self) -> bool:
        """Whether the server has something to do."""
        return bool(self._pending)

    def client_bytes(self, data: memoryview) -> None:
        self.client_left = data[-len(_TERMINATE) :] == _TERMINATE
        try:
            for event in self._requests.feed(data):
                if isinstance(event, CopyIn):
                    self._sent += event.size
                else:
                    self._begin(event)
        except ProtocolError as error:
            raise SessionOver(Ending.PROTOCOL, f"What the client sends is no PostgreSQL: {error}.") from None
        except SpoolUnavailable:
            raise SessionOver(Ending.LOG_UNAVAILABLE) from None

    def server_bytes(self, data: memoryview) -> None:
        self._received += len(data)
        for result in self._replies.feed(data):
            self._end(result)

    def farewell(self, ending: Ending, message: str) -> bytes | None:
        if not self._replies.at_boundary:
            return None
        state = CONNECTION_FAILURE if ending is Ending.RESOURCE_LOST else ADMIN_SHUTDOWN
        return Report(state, message).to_bytes()

    def over(self, outcome: Outcome) -> None:
        """What was under way has no result."""
        for number in self._numbers.values():
            self._log.completed(number, bytes_received=self._received, error=str(outcome.ending))
            self._received = 0
        self._numbers.clear()

    def _begin(self, request: Request) -> None:
        values = [b"NULL" if value.data is None else value.data for value in request.values]
        text = request.text
        if text is None:
            number = self._log.request(_words(request), parameters=values)
        elif text.cut:
            digest = bytes.fromhex(text.sha256)
            number = self._log.request(text.data, length=text.size, digest=digest, parameters=values)
        else:
            number = self._log.request(text.data, parameters=values)
        self._numbers[request.number] = number
        self._sent += text.size if text is not None else 0

    def _end(self, result: Result) -> None:
        number = self._numbers.pop(result.request.number, None) if result.request is not None else None
        if number is None:
            return
        error = result.error.sqlstate if result.error is not None else "skipped" if result.skipped else ""
        self._log.completed(
            number,
            rows=result.rows,
            bytes_sent=self._sent,
            bytes_received=self._received,
            result=result.tag,
            error=error,
        )
        self._sent = self._received = 0


def _words(request: Request) -> bytes:
    """For a request without a text of its own."""
    if request.kind is Kind.CALL:
        return b"-- function %d" % request.function
    return b"-- statement " + (request.statement or b"without a name")
