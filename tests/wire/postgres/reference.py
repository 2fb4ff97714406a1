"""The obvious way to read both streams: all in memory, message by message. Slow, and easy to believe."""

import hashlib
from collections.abc import Iterator

from sdm.wire.postgres.errors import parse_report
from sdm.wire.postgres.frames import Event, Requests
from sdm.wire.postgres.messages import message
from sdm.wire.postgres.replies import Replies, Result
from sdm.wire.postgres.requests import CopyIn, Kind, Request

Told = tuple[object, ...]


def cut(stream: bytes) -> Iterator[tuple[str, bytes]]:
    while stream:
        end = 1 + int.from_bytes(stream[1:5])
        yield chr(stream[0]), stream[5:end]
        stream = stream[end:]


def strings(body: bytes, count: int) -> list[bytes]:
    return body.split(b"\0", count)


def reads(stream: bytes) -> list[Told]:  # noqa: C901 - a table of messages, read from top to bottom
    """What a client asks for: kind, text, its hash, statement. Without what was only parsed."""
    told: list[Told] = []
    statements: dict[bytes, bytes] = {}
    portals: dict[bytes, tuple[bytes, bytes | None]] = {}
    copied = 0
    for kind, body in cut(stream):
        match kind:
            case "Q":
                told.append(("query", *_text(body.split(b"\0")[0]), b""))
            case "P":
                name, text, _ = strings(body, 2)
                statements[name] = text
            case "B":
                portal, name, _ = strings(body, 2)
                portals[portal] = (name, statements.get(name))
            case "E":
                name, bound = portals.get(strings(body, 1)[0], (b"", None))
                told.append(("execute", *_text(bound), name))
            case "C":
                (statements if body[:1] == b"S" else portals).pop(body[1:-1], None)
            case "F":
                told.append(("call", *_text(None), b""))
            case "d":
                copied += len(body)
            case "c" | "f":
                told.append(("copied", copied, kind == "f"))
                copied = 0
    return told


def _text(text: bytes | None) -> Told:
    return (None, None) if text is None else (len(text), hashlib.sha256(text).hexdigest())


def as_told(events: list[Event]) -> list[Told]:
    """The same of what was read while it passed."""
    return [_told(event) for event in events if isinstance(event, CopyIn) or event.kind is not Kind.PREPARE]


def _told(event: Event) -> Told:
    if isinstance(event, CopyIn):
        return ("copied", event.size, event.failed)
    text = (None, None) if event.text is None else (event.text.size, event.text.sha256)
    return (event.kind.value, *text, event.statement)


class Conversation:
    """Both streams of one session, in pieces of any size."""

    def __init__(self, **options: bool | int) -> None:
        self.requests = Requests(**options)  # type: ignore[arg-type]
        self.replies = Replies(self.requests.pending)

    def client(self, data: bytes, size: int = 0) -> list[Event]:
        return [event for piece in pieces(data, size) for event in self.requests.feed(piece)]

    def server(self, data: bytes, size: int = 0) -> list[Result]:
        return [result for piece in pieces(data, size) for result in self.replies.feed(piece)]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data]


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def parse(text: str, name: str = "") -> bytes:
    return message(b"P", name.encode() + b"\0" + text.encode() + b"\0\0\0")


def bind(name: str = "", portal: str = "", rest: bytes = bytes(6)) -> bytes:
    return message(b"B", portal.encode() + b"\0" + name.encode() + b"\0" + rest)


def execute(portal: str = "", rows: int = 0) -> bytes:
    return message(b"E", portal.encode() + b"\0" + rows.to_bytes(4))


SYNC = message(b"S")
COPY_DONE = message(b"c")
READY = message(b"Z", b"I")
PARSED = message(b"1")
BOUND = message(b"2")
ROW = message(b"D", b"\0\1\0\0\0\1x")


def complete(tag: str) -> bytes:
    return message(b"C", tag.encode() + b"\0")


def outcome(result: Result) -> Told:
    """A result, shortly."""
    number = result.request.number if result.request else None
    if result.error is not None:
        return (number, result.error.sqlstate)
    return (number, "skipped") if result.skipped else (number, result.tag, result.rows)


def answers(requests: list[Request], stream: bytes) -> list[Told]:
    """How simple queries ended, from a server's whole stream."""
    told: list[Told] = []
    waiting, tag, rows, state = list(requests), "", None, ""
    for kind, body in cut(stream):
        match kind:
            case "C":
                tag = body[:-1].decode()
                count = tag.split(" ")[-1]
                rows = int(count) + (rows or 0) if count.isdigit() else rows
            case "E":
                state = parse_report(body).sqlstate
            case "Z":
                number = waiting.pop(0).number
                told.append((number, state) if state else (number, tag, rows))
                tag, rows, state = "", None, ""
    return told
