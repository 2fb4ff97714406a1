"""How long a body is (RFC 9112, 6), and its bytes without the framing.

Of a body that could end in two places nothing is passed on: that is how a second request is smuggled behind a first.
"""

import re
from enum import Enum, auto

from sdm.wire.http.heads import HttpError, RequestHead, ResponseHead

# The size of a chunk in hexadecimal, with its extensions; and trailers, which nobody gets.
_MAX_LINE = 256
_MAX_TRAILERS = 16 * 1024
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_WITHOUT_BODY = (204, 304)
SWITCHING = 101


class Fixed:
    """So many bytes."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._left = length

    @property
    def is_complete(self) -> bool:
        return not self._left

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """What of `data` belongs to the body, and what comes behind it."""
        mine, rest = data[: self._left], data[self._left :]
        self._left -= len(mine)
        return ([mine] if mine else []), rest


class UntilClose:
    """All that comes. Whether it is all that should have come, nobody can know."""

    is_complete = False

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        return [data], b""


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    LINE_END = auto()
    TRAILERS = auto()
    DONE = auto()


class Chunked:
    """RFC 9112, 7.1. Extensions and trailers end here."""

    def __init__(self) -> None:
        self._state = _State.SIZE
        self._left = 0
        self._buffer = b""
        self._trailers = 0

    @property
    def is_complete(self) -> bool:
        return self._state is _State.DONE

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        found: list[bytes] = []
        self._buffer = self._buffer + data if self._buffer else data
        while self._buffer and self._step(found):
            pass
        if not self.is_complete:
            return found, b""
        rest, self._buffer = self._buffer, b""
        return found, rest

    def _step(self, found: list[bytes]) -> bool:
        """Whether there is something to do still."""
        match self._state:
            case _State.SIZE:
                return self._read_size()
            case _State.DATA:
                piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
                found.append(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _State.LINE_END
                return True
            case _State.LINE_END:
                return self._read_line_end()
            case _State.TRAILERS:
                return self._read_trailer()
        return False

    def _read_size(self) -> bool:
        line = self._line(_MAX_LINE)
        if line is None:
            return False
        size = _SIZE.fullmatch(line)
        if size is None:
            raise HttpError(400, "A chunk does not say how long it is.")
        self._left = int(size[1], 16)
        self._state = _State.DATA if self._left else _State.TRAILERS
        return True

    def _read_line_end(self) -> bool:
        if len(self._buffer) < 2 and b"\r\n".startswith(self._buffer):
            return False
        if not self._buffer.startswith(b"\r\n"):
            raise HttpError(400, "A chunk is longer than it says.")
        self._buffer, self._state = self._buffer[2:], _State.SIZE
        return True

    def _read_trailer(self) -> bool:
        line = self._line(_MAX_TRAILERS)
        if line is None:
            return False
        self._trailers += len(line)
        if self._trailers > _MAX_TRAILERS:
            raise HttpError(431, "The trailers of the message are too large.")
        if not line:
            self._state = _State.DONE
        return True

    def _line(self, limit: int) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, limit + 2)
        if end < 0:
            if len(self._buffer) > limit:
                raise HttpError(400, "A line of the body's framing is too long.")
            return None
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line


Body = Fixed | Chunked | UntilClose


def of_request(head: RequestHead) -> Body:
    return _framed(head, 400) or Fixed(0)


def of_response(head: ResponseHead, method: bytes) -> Body:
    """`method` is the request's: an answer to HEAD says a length and has none."""
    if method == b"HEAD" or head.status < 200 or head.status in _WITHOUT_BODY:
        return Fixed(0)
    return _framed(head, 502) or UntilClose()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def _framed(head: RequestHead | ResponseHead, status: int) -> Body | None:
    """By the fields that say it; None when there is none."""
    encodings, lengths = head.fields.all(b"transfer-encoding"), head.fields.all(b"content-length")
    if encodings:
        if lengths:
            raise HttpError(status, "The message says its length in two ways.")
        if [each.lower() for each in encodings] != [b"chunked"] or head.minor < 1:
            raise HttpError(
                501 if status == 400 else status, "The message's transfer encoding is not known here."
            )
        return Chunked()
    if not lengths:
        return None
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise HttpError(status, "The message's length is none.")
    return Fixed(int(lengths[0]))
