"""One HTTP request, one answer, and the end: all that a worker speaks of HTTP. Sans-I/O, on h11."""

from dataclasses import dataclass
from functools import lru_cache

import h11

# Request line and headers together. nginx takes 8 kB a line, HAProxy 16 kB in all.
MAX_HEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    # Names in lower case.
    headers: tuple[tuple[bytes, bytes], ...] = ()


# What is not HTTP is answered like any other request: with nothing to learn from it.
UNREADABLE = Request("", "")


class Exchange:
    """`feed` until there is a request, then `answer` it."""

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._request = UNREADABLE

    def feed(self, data: bytes) -> Request | None:
        """The request, or None while it is incomplete; b"" says that no more will come."""
        try:
            self._connection.receive_data(data)
            event = self._connection.next_event()
        except h11.RemoteProtocolError:
            return UNREADABLE
        if isinstance(event, h11.Request):
            headers = tuple(event.headers)
            self._request = Request(event.method.decode("ascii"), event.target.decode("ascii"), headers)
            return self._request
        return None

    @property
    def rest(self) -> bytes:
        """What came behind a request to speak something else from then on."""
        return self._connection.trailing_data[0]

    def answer(
        self, status: int, reason: str, body: bytes, content_type: str = "text/plain; charset=utf-8"
    ) -> bytes:
        head = _head(status, reason, len(body), content_type)
        return head if self._request.method == "HEAD" else head + body


@lru_cache(maxsize=32)
def _head(status: int, reason: str, length: int, content_type: str) -> bytes:
    """Nearly always the same one: a worker answers 404."""
    lines = (
        f"HTTP/1.1 {status} {reason}",
        f"Content-Type: {content_type}",
        f"Content-Length: {length}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
