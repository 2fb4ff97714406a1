"""One HTTP request, one answer, and the end: all that a worker speaks of HTTP. Sans-I/O, on h11."""

from dataclasses import dataclass

import h11

# Request line and headers together. nginx takes 8 kB a line, HAProxy 16 kB in all.
MAX_HEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str


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
            self._request = Request(event.method.decode("ascii"), event.target.decode("ascii"))
            return self._request
        return None

    def answer(
        self, status: int, reason: str, body: bytes, content_type: str = "text/plain; charset=utf-8"
    ) -> bytes:
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
        head = self._connection.send(h11.Response(status_code=status, reason=reason, headers=headers))
        return (head or b"") + (b"" if self._request.method == "HEAD" else body)
