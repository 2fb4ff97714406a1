"""Heads of requests and responses (RFC 9112, 2 to 5).

Strict where others are generous: lines end in CRLF, a field's name is a token with the colon at once behind it, and
nothing is folded. What comes in several spellings is how two readers come to see two messages.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# nginx takes 8 kB a line; cookies of large sites have some 16 kB together.
MAX_HEAD = 64 * 1024
MAX_FIELDS = 200

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])")
# Waiting for more would not make it HTTP; a client that expects TLS would wait for as long as we do.
_BEGINS_OTHERWISE = re.compile(rb"(?!\r\Z)[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_TLS_HANDSHAKE = b"\x16"
_STATUS_LINE = re.compile(rb"HTTP/([0-9])\.([0-9]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_FIELD = re.compile(
    rb"("
    + _TOKEN
    + rb"):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*"
)

Field = tuple[bytes, bytes]


class HttpError(ValueError):
    """A message that is not taken; `status` is what a client is told."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Fields:
    """In the order they came in, names in lower case."""

    items: list[Field]
    # One head is asked for a dozen names.
    _values: dict[bytes, list[bytes]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.items:
            self._values.setdefault(name, []).append(value)

    def all(self, name: bytes) -> Sequence[bytes]:
        return self._values.get(name, ())

    def first(self, name: bytes) -> bytes | None:
        values = self._values.get(name)
        return values[0] if values else None

    def words(self, name: bytes) -> set[bytes]:
        """The elements of a list field such as Connection, in lower case."""
        values = self._values.get(name)
        if values is None:
            return set()
        return {word.strip().lower() for value in values for word in value.split(b",") if word.strip()}


@dataclass(slots=True)
class RequestHead:
    method: bytes
    # As it came: a path with its query, `*`, or a whole URL.
    target: bytes
    # 1 for HTTP/1.1, 0 for HTTP/1.0.
    minor: int
    fields: Fields

    @property
    def keeps_alive(self) -> bool:
        return _keeps_alive(self.minor, self.fields)


@dataclass(slots=True)
class ResponseHead:
    status: int
    reason: bytes
    minor: int
    fields: Fields

    @property
    def keeps_alive(self) -> bool:
        return _keeps_alive(self.minor, self.fields)


class HeadReader:
    """Collects a head: `feed` until it gives one, without the blank line; `rest` is what came behind it."""

    def __init__(self) -> None:
        self._buffer = b""
        self._searched = 0

    @property
    def rest(self) -> bytes:
        return self._buffer

    @property
    def is_empty(self) -> bool:
        """Nothing of a head has come."""
        return not self._buffer

    def taken(self) -> bytes:
        """The rest, which is somebody else's from now on."""
        data, self._buffer, self._searched = self._buffer, b"", 0
        return data

    def feed(self, data: bytes) -> bytes | None:
        self._buffer = self._buffer + data if self._buffer else data
        # RFC 9112, 2.2: an empty line before a request is forgiven, as some clients send one after a body.
        while self._buffer.startswith(b"\r\n"):
            self._buffer, self._searched = self._buffer[2:], 0
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._check_beginning()
            self._searched = len(self._buffer)
            return None
        if end > MAX_HEAD:
            raise HttpError(431, "The head of the message is too large.")
        head, self._buffer, self._searched = self._buffer[:end], self._buffer[end + 4 :], 0
        return head

    def _check_beginning(self) -> None:
        """Of a head that may become one."""
        if _BEGINS_OTHERWISE.match(self._buffer):
            is_tls = self._buffer.startswith(_TLS_HANDSHAKE)
            raise HttpError(400, "This is TLS, where HTTP is spoken." if is_tls else "This is no HTTP/1.1.")
        if _BARE_LF.search(self._buffer, self._searched):
            raise HttpError(400, "A line of the message does not end in CR and LF.")
        if len(self._buffer) > MAX_HEAD:
            raise HttpError(431, "The head of the message is too large.")


def parse_request(head: bytes) -> RequestHead:
    line, fields = _split(head)
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise HttpError(400, "The request line is none of HTTP/1.1.")
    _check_version(found[3], 505)
    return RequestHead(found[1], found[2], int(found[4]), fields)


def parse_response(head: bytes) -> ResponseHead:
    line, fields = _split(head)
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise HttpError(502, "The status line is none of HTTP/1.1.")
    _check_version(found[1], 502)
    return ResponseHead(int(found[3]), found[4] or b"", int(found[2]), fields)


def request_bytes(method: bytes, target: bytes, fields: Iterable[Field]) -> bytes:
    return b"".join((method, b" ", target, b" HTTP/1.1\r\n", *_lines(fields), b"\r\n"))


def response_bytes(status: int, reason: bytes, fields: Iterable[Field]) -> bytes:
    return b"".join((b"HTTP/1.1 %d " % status, reason, b"\r\n", *_lines(fields), b"\r\n"))


def origin_form(target: bytes) -> bytes:
    """The path and the query of a request's target: whose they are, the resource says, never the client."""
    if target.startswith(b"/"):
        path = target
    elif found := re.match(rb"https?://[^/?#]*", target, re.IGNORECASE):
        rest = target[found.end() :]
        path = rest if rest.startswith(b"/") else b"/" + rest
    elif target == b"*":
        return target
    else:
        raise HttpError(400, "The target of the request is no path.")
    if b"#" in path:
        raise HttpError(400, "A target has no fragment.")
    return path


def _lines(fields: Iterable[Field]) -> Iterable[bytes]:
    for name, value in fields:
        yield b"%b: %b\r\n" % (name, value)


def _split(head: bytes) -> tuple[bytes, Fields]:
    line, *rest = head.split(b"\r\n")
    if len(rest) > MAX_FIELDS:
        raise HttpError(431, "The message has too many fields.")
    items = []
    for text in rest:
        found = _FIELD.fullmatch(text)
        if found is None:
            raise HttpError(400, "A field of the message is malformed.")
        items.append((found[1].lower(), found[2]))
    return line, Fields(items)


def _check_version(major: bytes, status: int) -> None:
    if major != b"1":
        raise HttpError(status, "HTTP/1.1 is spoken here.")


def _keeps_alive(minor: int, fields: Fields) -> bool:
    words = fields.words(b"connection")
    return b"close" not in words and (minor >= 1 or b"keep-alive" in words)
