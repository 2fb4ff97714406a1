"""The stream from a client after start-up, read while it passes: what is asked, without keeping what is sent.

After https://www.postgresql.org/docs/current/protocol-message-formats.html and the limits of PostgreSQL's own
src/backend/tcop/postgres.c (SocketBackend). A piece may end anywhere. Of a message that goes on in the next piece
MAX_HELD bytes are held at most; the rest of a text runs through its hash, of bound values as much is kept as the log
takes, all else is skipped. COPY data costs the reading of its headers.

What no server would take is refused with a ProtocolError: after it nobody could say what the server is doing.
"""

import hashlib
import struct
from collections.abc import Callable

from sdm.contract.parameters import NO_PARAMETERS
from sdm.wire.postgres.errors import ProtocolError
from sdm.wire.postgres.names import Names, Portal
from sdm.wire.postgres.requests import (
    MAX_NAME,
    MAX_PENDING,
    CopyIn,
    Kind,
    Pending,
    Prepared,
    Request,
    Text,
)
from sdm.wire.postgres.values import LongValues, read_values

Buffer = bytes | memoryview
Event = Request | CopyIn

TEXT_LIMIT = 16 * 1024
MAX_HELD = 64 * 1024
# PQ_SMALL_MESSAGE_LIMIT and PQ_LARGE_MESSAGE_LIMIT of src/include/libpq/libpq.h.
MAX_SMALL_MESSAGE = 10_000
MAX_LARGE_MESSAGE = 0x3FFFFFFF - 1

# So much is copied as a whole rather than message by message.
SMALL = 4096
_HEADER = 5
_header = struct.Struct("!BI").unpack_from
_COPY_DATA, _QUERY, _PARSE = b"dQP"
_NO_STRING = "invalid string in message"
# A look into an Enum costs as much as a call.
_A_QUERY, _A_PREPARE, _AN_EXECUTE, _A_CALL, _ = Kind


class _LongText:
    """A text that is longer than what is held: its beginning, its length and its hash. A NUL ends it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._beginning = b""
        self._hash = hashlib.sha256()
        self._size = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        if self._ended:
            return
        end = data.find(b"\0")
        if end >= 0:
            data, self._ended = data[:end], True
        self._beginning += data[: self._limit - len(self._beginning)]
        self._hash.update(data)
        self._size += len(data)

    def text(self) -> Text:
        return Text(self._beginning, self._size, self._hash.hexdigest())


class Requests:
    """Give each piece to `feed` before it is passed on, and write down first what it returns.

    `text_limit` is how much of a text is kept, `values` whether bound values are wanted. How requests end is said by a
    `Replies` that shares `pending`; while `full`, do not read the client.
    """

    def __init__(self, *, text_limit: int = TEXT_LIMIT, values: bool = False) -> None:
        self.pending = Pending()
        self.terminated = False
        """the client has said goodbye"""
        self._text_limit = text_limit
        self._values = values
        self._events: list[Event] = []
        self._count = 0
        self._held = bytearray()
        """the beginning of a message that goes on in the next piece"""
        self._left = 0
        """how much of a message is still to come that is not held"""
        self._long: tuple[_LongText | LongValues, Callable[[], None]] | None = None
        """what is read of such a message, and what is done when all of it was there"""
        self._copied = 0
        self._names = Names()
        self._unexecuted: list[Prepared] = []
        self._kinds: dict[int, tuple[int, Callable[[bytes, bool], None]]] = {
            _QUERY: (MAX_LARGE_MESSAGE, self._query),
            _PARSE: (MAX_LARGE_MESSAGE, self._parse),
            ord("B"): (MAX_LARGE_MESSAGE, self._bind),
            ord("F"): (MAX_LARGE_MESSAGE, self._call),
            _COPY_DATA: (MAX_LARGE_MESSAGE, _pass),
            ord("E"): (MAX_SMALL_MESSAGE, self._execute),
            ord("S"): (MAX_SMALL_MESSAGE, self._sync),
            ord("C"): (MAX_SMALL_MESSAGE, self._close),
            ord("c"): (MAX_SMALL_MESSAGE, self._copy_done),
            ord("f"): (MAX_SMALL_MESSAGE, self._copy_failed),
            ord("D"): (MAX_SMALL_MESSAGE, _pass),
            ord("H"): (MAX_SMALL_MESSAGE, _pass),
            ord("X"): (MAX_SMALL_MESSAGE, self._terminate),
        }

    @property
    def full(self) -> bool:
        return len(self.pending) >= MAX_PENDING

    @property
    def at_boundary(self) -> bool:
        """Whether what was fed ends with a message."""
        return not self._held and not self._left

    def feed(self, data: Buffer) -> list[Event]:
        at, size = 0, len(data)
        if size <= SMALL:
            data = bytes(data)
            # Nearly always it is one query, and nothing else.
            if size > _HEADER and not (self._held or self._left) and _header(data) == (_QUERY, size - 1):
                return [self._new_query(data, _HEADER)]
        while at < size:
            if self._left:
                at = self._skip(data, at)
            elif self._held or size - at < _HEADER:
                at = self._hold(data, at)
            else:
                at = self._read(data, at, size)
        if self._unexecuted:
            self._write_unexecuted()
        events = self._events
        if events:
            self._events = []
        return events

    def _read(self, data: Buffer, at: int, size: int) -> int:
        """Read the whole messages from `at` on; where they end."""
        kinds = self._kinds
        while size - at >= _HEADER:
            kind, length = _header(data, at)
            limit, handle = kinds.get(kind) or _unknown(kind)
            if not 4 <= length <= limit:
                raise ProtocolError(f"invalid message length {length} of {chr(kind)}")
            end = at + 1 + length
            if kind == _COPY_DATA:
                self._copied += length - 4
                if end > size:
                    self._left = end - size
                    return size
            elif end > size:
                return self._hold(data, at)
            else:
                handle(bytes(data[at + _HEADER : end]), True)
            at = end
        return at

    # Messages that go on in the next piece

    def _hold(self, data: Buffer, at: int) -> int:
        """Take from `data` what the message that is held needs, and read it when that is all; where it ends."""
        held, size = self._held, len(data)
        if len(held) < _HEADER:
            start, at = at, min(at + _HEADER - len(held), size)
            held += data[start:at]
            if len(held) < _HEADER:
                return at
        kind, length = _header(held)
        limit, handle = self._kinds.get(kind) or _unknown(kind)
        if not 4 <= length <= limit:
            raise ProtocolError(f"invalid message length {length} of {chr(kind)}")
        wanted = _HEADER if kind == _COPY_DATA else min(length + 1, MAX_HELD)
        start, at = at, min(at + wanted - len(held), size)
        held += data[start:at]
        if len(held) == wanted:
            self._held = bytearray()
            self._left = length + 1 - wanted
            self._read_held(kind, length, handle, bytes(held))
        return at

    def _read_held(
        self, kind: int, length: int, handle: Callable[[bytes, bool], None], message: bytes
    ) -> None:
        if kind == _COPY_DATA:
            self._copied += length - 4
        elif self._left and kind in (_QUERY, _PARSE):
            self._begin_long(kind, message[_HEADER:])
        else:
            handle(message[_HEADER:], not self._left)

    def _begin_long(self, kind: int, body: bytes) -> None:
        name, rest = (b"", body) if kind == _QUERY else _split(body)
        text = _LongText(self._text_limit)
        text.feed(rest)
        request = self._new(_A_QUERY, None) if kind == _QUERY else self._new_parse(name, None)

        def ended() -> None:
            request.text = text.text()
            self._accept(request)

        self._long = text, ended

    def _begin_long_values(self, portal: Portal, rest: bytes) -> None:
        values = LongValues()
        values.feed(rest)

        def ended() -> None:
            portal.parameters = values.values()

        self._long = values, ended

    def _skip(self, data: Buffer, at: int) -> int:
        start, at = at, min(at + self._left, len(data))
        self._left -= at - start
        if self._long is not None:
            long, ended = self._long
            long.feed(bytes(data[start:at]))
            if not self._left:
                self._long = None
                ended()
        return at

    # What the messages mean

    def _new(self, kind: Kind, text: Text | None) -> Request:
        self._count += 1
        return Request(self._count, kind, text)

    def _new_parse(self, name: bytes, text: Text | None) -> Prepared:
        self._count += 1
        # By position, which is quicker.
        return Prepared(
            self._count,
            _A_PREPARE,
            text,
            name[:MAX_NAME],
            NO_PARAMETERS,
            0,
            0,
            b"",
            False,
            None,
            self._names.segment,
        )

    def _accept(self, request: Request) -> None:
        """A statement's text is complete."""
        self.pending.append(request)
        if isinstance(request, Prepared):
            self._names.prepare(request)
            self._unexecuted.append(request)
        else:
            self._events.append(request)
            if request.kind is _A_QUERY:
                self._names.queried(request.text)

    def _text(self, body: bytes, start: int = 0) -> Text:
        end = body.find(b"\0", start)
        if end < 0:
            end = len(body)
        size = end - start
        if size <= self._text_limit:
            return Text(body[start:end], size)
        return Text(body[start : start + self._text_limit], size, hashlib.sha256(body[start:end]).hexdigest())

    def _query(self, body: bytes, _whole: bool) -> None:
        self._events.append(self._new_query(body, 0))

    def _new_query(self, data: bytes, start: int) -> Request:
        self._count += 1
        request = Request(self._count, _A_QUERY, self._text(data, start))
        self.pending.append(request)
        if self._names.given:
            self._names.queried(request.text)
        return request

    def _parse(self, body: bytes, _whole: bool) -> None:
        end = body.find(b"\0")
        if end < 0:
            raise ProtocolError(_NO_STRING)
        request = self._new_parse(body[:end], self._text(body, end + 1))
        self.pending.append(request)
        self._names.prepare(request)
        self._unexecuted.append(request)

    def _bind(self, body: bytes, whole: bool) -> None:
        try:
            name, statement, rest = body.split(b"\0", 2)
        except ValueError:
            raise ProtocolError(_NO_STRING) from None
        portal = self._names.bind(name[:MAX_NAME], statement[:MAX_NAME])
        if portal.bound is not None:
            self.pending.append(portal.bound)
        if self._values and whole:
            portal.parameters = read_values(rest, len(rest))
        elif self._values:
            self._begin_long_values(portal, rest)

    def _execute(self, body: bytes, _whole: bool) -> None:
        name, rest = _split(body)
        portal, doubt = self._names.execute(name[:MAX_NAME])
        self._count += 1
        prepared, text = portal.prepared, None
        if prepared is not None:
            text = prepared.text
            if not doubt:
                prepared.written = True
        request = Request(
            self._count,
            _AN_EXECUTE,
            text,
            portal.statement,
            portal.parameters,
            int.from_bytes(rest[:4]),
            0,
            doubt,
        )
        self.pending.append(request)
        self._events.append(request)

    def _sync(self, _body: bytes, _whole: bool) -> None:
        self._names.segment += 1
        self.pending.append(None)

    def _close(self, body: bytes, _whole: bool) -> None:
        name, _ = _split(body[1:])
        if body[:1] == b"S":
            self._names.close_statement(name[:MAX_NAME])
        else:
            self._names.close_portal(name[:MAX_NAME])

    def _call(self, body: bytes, _whole: bool) -> None:
        request = self._new(_A_CALL, None)
        request.function = int.from_bytes(body[:4])
        self._accept(request)

    def _copy_done(self, _body: bytes, _whole: bool) -> None:
        self._end_copy(failed=False)

    def _copy_failed(self, _body: bytes, _whole: bool) -> None:
        self._end_copy(failed=True)

    def _end_copy(self, *, failed: bool) -> None:
        self._events.append(CopyIn(self._count, self._copied, failed))
        self._copied = 0
        self.pending.end_copy()

    def _terminate(self, _body: bytes, _whole: bool) -> None:
        self.terminated = True

    def _write_unexecuted(self) -> None:
        """What was parsed and not executed in this piece is written for itself: no text passes without a record."""
        for request in self._unexecuted:
            if not request.written:
                request.written = request.returned = True
                self._events.append(request)
        self._unexecuted.clear()


def _unknown(kind: int) -> tuple[int, Callable[[bytes, bool], None]]:
    raise ProtocolError(f"invalid frontend message type {kind}")


def _pass(_body: bytes, _whole: bool) -> None:
    """Describe, Flush: of no interest here."""


def _split(body: bytes) -> tuple[bytes, bytes]:
    """A string that ends with NUL, and what follows it."""
    string, end, rest = body.partition(b"\0")
    if not end:
        raise ProtocolError(_NO_STRING)
    return string, rest
