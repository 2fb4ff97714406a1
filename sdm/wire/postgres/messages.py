"""Messages as bytes: a byte that says what it is, the length of what follows with itself, a body."""

from collections.abc import Iterator
from dataclasses import dataclass

# libpq takes no more than this for the messages of start-up either (fe-connect.c, PQconnectPoll).
MAX_STARTUP_MESSAGE = 30_000


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


def cstring(text: bytes) -> bytes:
    return text + b"\0"


def authentication_ok() -> bytes:
    return message(b"R", bytes(4))


def parameter_status(name: bytes, value: bytes) -> bytes:
    return message(b"S", cstring(name) + cstring(value))


def ready_for_query(status: bytes = b"I") -> bytes:
    return message(b"Z", status)


@dataclass(frozen=True, slots=True)
class Message:
    kind: bytes
    body: bytes


class MessageTooLong(Exception):
    """A length that no message of start-up has."""


class Messages:
    """Cuts a stream into messages, one at a time, so that whoever reads can stop; `rest` is what was not read."""

    def __init__(self, limit: int = MAX_STARTUP_MESSAGE) -> None:
        self._limit = limit
        self._buffer = bytearray()

    @property
    def rest(self) -> bytes:
        return bytes(self._buffer)

    def feed(self, data: bytes) -> Iterator[Message]:
        self._buffer += data
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> Message | None:
        if len(self._buffer) < 5:
            return None
        length = int.from_bytes(self._buffer[1:5])
        if not 4 <= length <= self._limit:
            raise MessageTooLong(f"a message of {length} bytes")
        if len(self._buffer) < length + 1:
            return None
        found = Message(bytes(self._buffer[:1]), bytes(self._buffer[5 : length + 1]))
        del self._buffer[: length + 1]
        return found
