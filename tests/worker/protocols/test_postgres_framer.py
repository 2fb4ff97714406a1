"""What is written down of what passes, whatever the two sides say."""

from sdm.wire.postgres.messages import cstring, message
from sdm.wire.postgres.replies import MAX_ROWS
from sdm.worker.protocols.postgres.framer import Framer
from tests.wire.postgres.server import READY
from tests.worker.protocols.databases import Log, error


def framer(*, values: bool = False) -> tuple[Framer, Log]:
    log = Log()
    return Framer(log, values=values), log  # type: ignore[arg-type]  # in its shape


def complete(tag: str) -> bytes:
    return message(b"C", cstring(tag.encode()))


def test_rows_without_measure_are_as_many_as_can_be():
    passing, log = framer()
    passing.client_bytes(memoryview(message(b"Q", cstring(b"SELECT 1; SELECT 2; SELECT 3"))))
    passing.server_bytes(memoryview(complete("SELECT " + "9" * 19) * 3 + READY))
    assert log.told[0]["rows"] == MAX_ROWS


def test_an_empty_value_is_told_from_none():
    def value(data: bytes | None) -> bytes:
        return b"\xff\xff\xff\xff" if data is None else len(data).to_bytes(4) + data

    passing, log = framer(values=True)
    bound = b"\0\0" + b"\0\0" + b"\0\3" + value(b"") + value(None) + value(b"x") + b"\0\0"
    passing.client_bytes(
        memoryview(
            message(b"P", b"\0SELECT $1\0\0\0") + message(b"B", bound) + message(b"E", b"\0" + bytes(4))
        )
    )
    assert log.asked == [(b"SELECT $1", [b"", b"NULL", b"x"])]


def test_a_flood_of_what_nobody_asked_for_changes_no_result():
    passing, log = framer()
    flood = (
        message(b"N", b"SNOTICE\0Mx\0\0") * 1000 + complete("DROP DATABASE") * 100 + error("x", "XX000") * 100
    )
    passing.server_bytes(memoryview(flood))
    passing.client_bytes(memoryview(message(b"Q", cstring(b"SELECT 1"))))
    passing.server_bytes(memoryview(READY + complete("SELECT 1") + READY))
    assert len(log.told) == 1
