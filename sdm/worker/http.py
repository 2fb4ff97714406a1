"""One HTTP request, one answer, and the end: all that a worker speaks of HTTP. Sans-I/O."""

from dataclasses import dataclass
from functools import lru_cache

from sdm.wire.http.heads import HeadReader, HttpError, parse_request

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
        self._reader = HeadReader()
        self._request = UNREADABLE

    def feed(self, data: bytes) -> Request | None:
        """The request, or None while it is incomplete."""
        try:
            head = self._reader.feed(data)
            if head is None:
                return UNREADABLE if self._is_hopeless() else None
            read = parse_request(head)
        except HttpError:
            return UNREADABLE
        if len(head) <= MAX_HEAD:
            self._request = Request(
                read.method.decode("ascii"), read.target.decode("latin-1"), tuple(read.fields.items)
            )
        return self._request

    @property
    def rest(self) -> bytes:
        """What came behind a request to speak something else from then on."""
        return self._reader.rest

    def _is_hopeless(self) -> bool:
        """Whether no request will come of it: nobody is kept waiting for what is clear."""
        begun = self._reader.rest
        if len(begun) > MAX_HEAD or b"\n\n" in begun:  # typed by hand, without CR
            return True
        return begun not in (b"", b"\r") and not 0x21 <= begun[0] <= 0x7E

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
