"""What is written down of what passes, whatever the two sides say."""

from sdm.contract.parameters import Parameters
from sdm.wire.postgres.messages import cstring, message
from sdm.wire.postgres.replies import MAX_ROWS
from sdm.worker.protocols.postgres.framer import Framer
from tests.wire.postgres.reference import SYNC, bind, execute, parse
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


def executed(*values: bytes | None) -> memoryview:
    bound = b"".join(b"\xff" * 4 if data is None else len(data).to_bytes(4) + data for data in values)
    return memoryview(
        message(b"P", b"\0SELECT $1\0\0\0")
        + message(b"B", b"\0\0" + b"\0\0" + len(values).to_bytes(2) + bound + b"\0\0")
        + message(b"E", b"\0" + bytes(4))
    )


def test_an_empty_value_and_the_word_are_told_from_none():
    passing, log = framer(values=True)
    passing.client_bytes(executed(b"", None, b"NULL"))
    assert log.asked == [(b"SELECT $1", Parameters((b"", None, b"NULL"), False, 3))]


def test_values_are_cut_where_the_log_ends_and_that_is_told():
    passing, log = framer(values=True)
    passing.client_bytes(executed(b"a", b"x" * 100_000, b"c"))
    assert log.asked == [(b"SELECT $1", Parameters((b"a", b"x" * (2**15 - 1)), True, 3, 100_000))]


def test_values_that_are_in_the_log_are_not_kept_until_the_answer():
    passing, log = framer(values=True)
    for _ in range(100):
        passing.client_bytes(executed(b"x" * 30_000))
    assert len(log.asked) == 100
    assert not any(request.parameters.values for request in passing._pending if request)


def test_a_flood_of_what_nobody_asked_for_changes_no_result():
    passing, log = framer()
    flood = (
        message(b"N", b"SNOTICE\0Mx\0\0") * 1000 + complete("DROP DATABASE") * 100 + error("x", "XX000") * 100
    )
    passing.server_bytes(memoryview(flood))
    passing.client_bytes(memoryview(message(b"Q", cstring(b"SELECT 1"))))
    passing.server_bytes(memoryview(READY + complete("SELECT 1") + READY))
    assert len(log.told) == 1


def test_a_text_that_may_be_another_is_written_as_no_more_than_that():
    passing, log = framer()
    passing.client_bytes(memoryview(parse("SELECT 1", "s\nDELETE") + SYNC))
    passing.client_bytes(memoryview(bind("s\nDELETE") + execute() + SYNC))
    passing.client_bytes(memoryview(bind("unknown", "p") + execute("p") + execute("q") + SYNC))
    assert [text for text, _ in log.asked] == [
        b"SELECT 1",
        b"-- statement s?DELETE; may be another, the text sent last for it:\nSELECT 1",
        b"-- statement unknown",
        b"-- portal q",
    ]


def test_of_a_long_text_that_may_be_another_the_beginning_is_written():
    passing, log = framer()
    passing.client_bytes(memoryview(parse("x" * 100_000, "s") + SYNC + bind("s") + execute() + SYNC))
    texts = [text for text, _ in log.asked]
    assert (b"-- statement s; may be another, the text sent last for it begins:\n" + b"x" * 4096) in texts
    assert any(text.startswith(b"x" * 10_000) for text in texts)
