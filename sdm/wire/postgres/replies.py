"""The stream from a server after start-up, read while it passes: how requests end.

Messages are cut exactly as long as there are few in a piece. A piece with many rows is not walked through, for that
costs more than to pass it on (`python -m benchmarks.postgres_frames`): from there on only the end of each piece is
looked at for the six bytes of ReadyForQuery, and the CommandComplete before them says how many rows there were. A
pipeline is always walked through, so that none gets another's result; when one begins in the midst of such rows, whole
pieces are searched for the end of the first.

This never raises. What it cannot follow it waits out until the server is ready again: a result that is missing in the
log is better than a session that is cut for one.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from sdm.wire.postgres.errors import Report, parse_report
from sdm.wire.postgres.frames import SMALL, Buffer
from sdm.wire.postgres.requests import Kind, Pending, Prepared, Request

# Messages that are walked through in one piece, at some 0.15 µs each.
MAX_WALK = 64
# How far from the end ReadyForQuery may be, and from there the message that tells the result.
TAIL = 2048
# More rows has no table; a server may say what it likes.
MAX_ROWS = 2**63 - 1
# Of a message that tells a result. An error's text may be longer; its beginning will do.
MAX_HELD = 4096

_HEADER = 5
_header = struct.Struct("!BI").unpack_from
_READY = re.compile(b"Z\0\0\0\x05([ITE])")
_COMPLETE = re.compile(b"C\0\0\0(.)([A-Z][A-Z ]*[0-9 ]*\0)\\Z", re.DOTALL)
_ERROR = re.compile(b"E(\0\0..)S[A-Z]", re.DOTALL)
_SUSPENDED = b"s\0\0\0\4"
# What says nothing about results. "H" and "T" to "d" are what comes before rows, and rows.
_PASSED = frozenset(b"3ADHKNRSTVcdntv")
# A look into an Enum costs as much as a call.
_QUERY, _PREPARE, _EXECUTE, _CALL, _BIND = Kind


@dataclass(slots=True)
class Result:
    """How a request ended. `request` is None for an error that nobody caused, such as a shutdown.

    A second result for the same request is an error at the end of its transaction. When it is not known how a request
    ended, there is neither tag nor error.
    """

    request: Request | None
    tag: str = ""
    rows: int | None = None
    error: Report | None = None
    skipped: bool = False
    """not run, because of an error before it in the same pipeline"""


class Replies:
    """Give each piece to `feed`; `pending` is that of the client's `Requests`."""

    def __init__(self, pending: Pending) -> None:
        self.status = "I"
        """idle, in a transaction, or in one that failed: I, T or E"""
        self._pending = pending
        self._results: list[Result] = []
        self._held = b""
        """the beginning of a message that tells a result"""
        self._left = 0
        """how much of a message is still to come that tells none"""
        self._waiting = False
        """for ReadyForQuery, without cutting messages"""
        self._blind = False
        """Whether messages were not cut since nothing was under way. What a row holds may look like a reply, and what
        it says of names is not believed."""
        self._tail = b""
        self._outcome = Result(None)
        """of the query that runs, which may be of several statements"""
        self._executed: Request | None = None
        self._handlers: dict[int, Callable[[bytes], None]] = {
            ord("1"): self._parsed,
            ord("2"): self._bound,
            ord("C"): self._complete,
            ord("I"): self._complete,
            ord("s"): self._suspended,
            ord("E"): self._failed,
            ord("G"): self._copy_in,
            ord("W"): self._copy_in,
            ord("Z"): self._ready,
        }

    @property
    def at_boundary(self) -> bool:
        """Whether what was fed ends with a message, as far as is known."""
        return not (self._waiting or self._held or self._left)

    def feed(self, data: Buffer) -> list[Result]:
        while data:
            data = self._wait(data) if self._waiting else self._walk(data)
        if self._blind and not self._pending and self.at_boundary:
            self._blind = False
        results = self._results
        if results:
            self._results = []
        return results

    # Cutting

    def _walk(self, data: Buffer) -> Buffer:
        """Read messages; what is left is not to be walked through."""
        if self._held:
            data, self._held = self._held + bytes(data), b""
        elif len(data) <= SMALL:
            data = bytes(data)
        handlers, at, size = self._handlers, self._left, len(data)
        walked, most = 0, MAX_WALK
        while size - at >= _HEADER:
            kind, length = _header(data, at)
            handle = handlers.get(kind)
            end = at + 1 + length
            if handle is None:
                walked += 1
                if walked > most:
                    most = self._most(walked)
                if kind not in _PASSED or length < 4 or walked > most:
                    return self._begin_to_wait(data, at)
            elif end > size and size - at < min(length + 1, MAX_HELD):
                self._held, self._left = bytes(data[at:]), 0
                return b""
            else:
                handle(bytes(data[at + _HEADER : end]))
            at = end
        self._left = max(at - size, 0)
        self._held = bytes(data[at:])
        return b""

    def _most(self, walked: int) -> int:
        """How many messages to walk through. In a pipeline each has its own result, in the midst of rows."""
        return walked + MAX_WALK if self._pending.crowded else MAX_WALK

    def _begin_to_wait(self, data: Buffer, at: int) -> Buffer:
        self._waiting, self._blind, self._left = True, True, 0
        return memoryview(data)[at:]

    def _wait(self, data: Buffer) -> Buffer:
        """Look for ReadyForQuery; what is left follows it."""
        if len(data) > TAIL and not self._pending.crowded:
            window: Buffer = data[-TAIL:]
        else:
            window = self._tail + bytes(data) if self._tail else data
        found = _READY.search(window)
        if found is None:
            self._tail = bytes(window[-TAIL:])
            return b""
        self._waiting, self._tail = False, b""
        self._read_end(bytes(window[max(found.start() - TAIL, 0) : found.start()]))
        self._ready(found[1])
        return memoryview(window)[found.end() :]

    def _read_end(self, data: bytes) -> None:
        """Read the last message in `data`, if that can be told from its form."""
        complete = _COMPLETE.search(data)
        if complete is not None and complete[1][0] == 4 + len(complete[2]):
            self._complete(complete[2])
        elif data.endswith(_SUSPENDED):
            self._suspended(b"")
        else:
            for error in _ERROR.finditer(data):
                if error.start() + 1 + int.from_bytes(error[1]) == len(data):
                    self._failed(data[error.start() + _HEADER :])
                    return

    # What the messages mean

    def _parsed(self, _body: bytes) -> None:
        pending = self._pending
        if pending and isinstance(request := pending[0], Prepared) and request.kind is _PREPARE:
            pending.popleft()
            # As in `settle`, without the call.
            if not self._blind:
                request.taken = True
            request.former = None
            if request.returned:
                self._results.append(Result(request))

    def _bound(self, _body: bytes) -> None:
        pending = self._pending
        if pending and isinstance(request := pending[0], Prepared) and request.kind is _BIND:
            pending.popleft()
            request.settle(None if self._blind else True)

    def _complete(self, body: bytes) -> None:
        self._pending.copying = False
        tag, rows = _read_tag(body)
        request = self._answered()
        if request is None:
            return
        if request.kind is _EXECUTE:
            self._executed = self._pending.popleft()
            self._end(Result(request, tag, rows))
            return
        outcome = self._outcome
        outcome.tag = tag
        if rows is not None:
            outcome.rows = min(rows + (outcome.rows or 0), MAX_ROWS)

    def _suspended(self, _body: bytes) -> None:
        """An Execute that wanted that many rows has got them, and there are more."""
        request = self._answered()
        if request is not None and request.kind is _EXECUTE:
            self._executed = self._pending.popleft()
            self._end(Result(request, rows=request.max_rows))

    def _answered(self) -> Request | None:
        """The request that completes now. What stands before it was answered unseen."""
        pending = self._pending
        while pending:
            request = pending[0]
            if request is not None and (request.kind is _EXECUTE or not isinstance(request, Prepared)):
                return request
            pending.popleft()
            self._end_unseen(request)
        return None

    def _failed(self, body: bytes) -> None:
        report = parse_report(body).shortened()
        request = self._pending.first
        if request is None:
            self._results.append(Result(self._executed, error=report))
        elif _is_ended_by_ready(request):
            self._outcome.error = report
        else:
            self._skip_to_sync(report)

    def _skip_to_sync(self, report: Report) -> None:
        """ "The backend reads and discards messages until a Sync is reached", queries included."""
        error: Report | None = report
        while (request := self._pending.first) is not None:
            self._pending.popleft()
            if isinstance(request, Prepared):
                request.settle(None if self._blind else False)
            if request.returned:
                self._results.append(Result(request, error=error, skipped=error is None))
                error = None

    def _copy_in(self, _body: bytes) -> None:
        self._pending.copying = True

    def _ready(self, body: bytes) -> None:
        self.status = body.decode("latin-1")
        while self._pending:
            request = self._pending.popleft()
            if request is None:
                break
            if _is_ended_by_ready(request):
                self._outcome.request = request
                self._results.append(self._outcome)
                break
            self._end_unseen(request)
        if self._outcome.request is not None or self._outcome.error is not None:
            self._outcome = Result(None)
        self._executed = None
        self._pending.copying = False

    def _end_unseen(self, request: Request | None) -> None:
        """Nobody saw how this ended."""
        if isinstance(request, Prepared):
            request.settle(None)
        if request is not None:
            self._end(Result(request))

    def _end(self, result: Result) -> None:
        if result.request is None or result.request.returned:
            self._results.append(result)


def _is_ended_by_ready(request: Request) -> bool:
    return request.kind is _QUERY or request.kind is _CALL


@lru_cache(maxsize=256)
def _read_tag(body: bytes) -> tuple[str, int | None]:
    """A command's tag, and the rows that it names."""
    tag = body[:-1].decode("ascii", errors="replace")
    number = tag.rpartition(" ")[2]
    return tag, min(int(number), MAX_ROWS) if number.isdecimal() and len(number) < 20 else None
