"""What passes between client and server, as records of the log."""

import re

from sdm.contract.endings import Ending
from sdm.contract.parameters import NO_PARAMETERS
from sdm.transport.relay.handoff import Outcome, SessionOver
from sdm.wire.postgres.errors import ADMIN_SHUTDOWN, CONNECTION_FAILURE, ProtocolError, Report
from sdm.wire.postgres.frames import Requests
from sdm.wire.postgres.replies import Replies, Result
from sdm.wire.postgres.requests import MAX_PENDING, CopyIn, Kind, Request
from sdm.worker.records import MAX_TEXT, SessionLog
from sdm.worker.spool import SpoolUnavailable

# Seconds: a shorter pause is not worth a look at the clock, and adds to the next.
_SHORT = 0.05
# Bytes: of a text that may be another than what runs. All of it is in the log, where it was sent.
_SHOWN = 4096
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


class Framer:
    """For the relay, and called in its thread alone once it has it."""

    __slots__ = ("_log", "_pending", "_received", "_replies", "_requests", "_sent")

    def __init__(self, log: SessionLog, *, values: bool) -> None:
        self._log = log
        self._requests = Requests(text_limit=MAX_TEXT, values=values)
        self._pending = self._requests.pending
        self._replies = Replies(self._pending)
        # Since the request before.
        self._sent = 0
        self._received = 0

    @property
    def full(self) -> bool:
        return len(self._pending) >= MAX_PENDING or self._log.pause > _SHORT

    @property
    def client_left(self) -> bool:
        return self._requests.terminated

    @property
    def is_busy(self) -> bool:
        """Whether the server has something to do."""
        return bool(self._pending)

    def client_bytes(self, data: memoryview) -> None:
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
        for request in self._pending:
            if request is not None:
                self._end(Result(request), error=str(outcome.ending))

    def _begin(self, request: Request) -> None:
        text, parameters = request.text, request.parameters
        # In the log they are; thousands of requests may wait for their answers.
        request.parameters = NO_PARAMETERS
        if text is None or request.doubt:
            request.mark = self._log.request(_words(request), parameters=parameters)
            return
        # Nobody needs the digest of a text that is there as a whole.
        digest = bytes.fromhex(text.sha256) if text.cut else b""
        request.mark = self._log.request(text.data, length=text.size, digest=digest, parameters=parameters)
        self._sent += text.size

    def _end(self, result: Result, *, error: str = "") -> None:
        request = result.request
        if request is None or request.mark is None:
            return
        begun, request.mark = request.mark, None
        if result.error is not None:
            error = result.error.sqlstate
        elif result.skipped:
            error = "skipped"
        self._log.completed(
            begun,
            rows=result.rows,
            bytes_sent=self._sent,
            bytes_received=self._received,
            result=result.tag,
            error=error,
        )
        self._sent = self._received = 0


def _words(request: Request) -> bytes:
    """For a request without a text of its own, or of which nobody but the server knows for certain what it runs."""
    if request.kind is Kind.CALL:
        return b"-- function %d" % request.function
    # A name is no place for words of its own.
    words = b"-- " + _CONTROL.sub(b"?", request.doubt)
    text = request.text
    if text is None:
        return words
    beginning = b" begins" if text.size > _SHOWN else b""
    return words + b"; may be another, the text sent last for it" + beginning + b":\n" + text.data[:_SHOWN]
