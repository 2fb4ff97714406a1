"""Servers' streams: each request gets its own result, in any pieces, with many rows and with few."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.postgres.errors import Report
from sdm.wire.postgres.messages import message
from sdm.wire.postgres.replies import MAX_WALK, TAIL
from sdm.wire.postgres.requests import Request
from tests.wire.postgres.reference import (
    BOUND,
    COPY_DONE,
    PARSED,
    READY,
    ROW,
    SYNC,
    Conversation,
    Told,
    answers,
    bind,
    complete,
    execute,
    outcome,
    parse,
    query,
)

COLUMNS = message(b"T", b"\0\1x\0" + bytes(18))
RUN = parse("SELECT 1") + bind() + execute()
RAN = PARSED + BOUND + COLUMNS + ROW
COPY_IN = message(b"G", b"\0\0\0")
SUSPENDED = message(b"s")


def failed(state: str = "42P01", text: str = "no such table") -> bytes:
    return Report(state, text, severity="ERROR").to_bytes()


def told(conversation: Conversation, client: bytes, server: bytes, size: int = 0) -> list[Told]:
    conversation.client(client)
    return [outcome(result) for result in conversation.server(server, size)]


SIMPLE = {
    "rows": (COLUMNS + ROW * 3 + complete("SELECT 3") + READY, (1, "SELECT 3", 3)),
    "no rows": (complete("CREATE TABLE") + READY, (1, "CREATE TABLE", None)),
    "an insert": (complete("INSERT 0 5") + READY, (1, "INSERT 0 5", 5)),
    "nothing": (message(b"I") + READY, (1, "", None)),
    "several statements": (
        complete("BEGIN") + complete("UPDATE 2") + ROW * 3 + complete("SELECT 3") + READY,
        (1, "SELECT 3", 5),
    ),
    "an error": (failed() + READY, (1, "42P01")),
    "an error after rows": (COLUMNS + ROW * 3 + failed("57014") + READY, (1, "57014")),
    "notices and the like": (
        message(b"N", b"\0")
        + message(b"A", b"\0\0\0\1a\0b\0")
        + complete("DO")
        + message(b"S", b"a\0b\0")
        + READY,
        (1, "DO", None),
    ),
    "COPY to": (
        message(b"H", b"\0\0\0") + message(b"d", b"1\n") * 9 + message(b"c") + complete("COPY 9") + READY,
        (1, "COPY 9", 9),
    ),
    "a tag that is none": (message(b"C", b"\xff" * 9) + READY, (1, "\ufffd" * 8, None)),
    "an endless number": (complete("SELECT " + "9" * 3000) + READY, (1, "SELECT " + "9" * 3000, None)),
    "nothing to see": (READY, (1, "", None)),
}


@pytest.mark.parametrize("size", [0, 1, 2, 7])
@pytest.mark.parametrize(("server", "expected"), SIMPLE.values(), ids=SIMPLE)
def test_a_query_has_one_result(server: bytes, expected: Told, size: int):
    conversation = Conversation()
    for round_ in range(2):
        assert told(conversation, query("x"), server, size) == [(1 + round_, *expected[1:])]
        assert conversation.replies.at_boundary
        assert not conversation.requests.pending


EXTENDED = {
    "one": (RUN + SYNC, RAN + complete("SELECT 1") + READY, [(2, "SELECT 1", 1)]),
    "parsed alone": (parse("x", "s") + SYNC, PARSED + READY, [(1, "", None)]),
    "a Parse that fails": (parse("x", "s") + SYNC, failed("42601") + READY, [(1, "42601")]),
    "a Parse that fails, with more": (RUN + SYNC, failed("42601") + READY, [(2, "42601")]),
    "a pipeline": (
        RUN + RUN + RUN + SYNC,
        RAN + complete("SELECT 1") + RAN + complete("UPDATE 7") + RAN + complete("DELETE 0") + READY,
        [(2, "SELECT 1", 1), (4, "UPDATE 7", 7), (6, "DELETE 0", 0)],
    ),
    "a pipeline with an error": (
        RUN + RUN + RUN + SYNC + RUN + SYNC,
        RAN + complete("SELECT 1") + PARSED + failed() + READY + RAN + complete("SELECT 1") + READY,
        [(2, "SELECT 1", 1), (4, "42P01"), (6, "skipped"), (8, "SELECT 1", 1)],
    ),
    "a query behind an error is skipped, too": (
        RUN + query("x") + SYNC,
        PARSED + failed() + READY,
        [(2, "42P01"), (3, "skipped")],
    ),
    "two queries at once": (
        query("a") + query("b"),
        failed() + READY + complete("SELECT 0") + READY,
        [(1, "42P01"), (2, "SELECT 0", 0)],
    ),
    "a portal by and by": (
        parse("x") + bind() + execute(rows=2) + execute(rows=2) + SYNC,
        PARSED + BOUND + ROW * 2 + SUSPENDED + ROW + complete("SELECT 1") + READY,
        [(2, "", 2), (3, "SELECT 1", 1)],
    ),
    "an error at the end of the transaction": (
        RUN + SYNC,
        RAN + complete("INSERT 0 1") + failed("23503") + READY,
        [(2, "INSERT 0 1", 1), (2, "23503")],
    ),
    "a function call": (message(b"F", bytes(10)), message(b"V", b"\xff" * 4) + READY, [(1, "", None)]),
    "a function call that fails": (message(b"F", bytes(10)), failed("42883") + READY, [(1, "42883")]),
}


@pytest.mark.parametrize("size", [0, 1, 2, 7])
@pytest.mark.parametrize(("client", "server", "expected"), EXTENDED.values(), ids=EXTENDED)
def test_each_request_of_a_pipeline_has_its_own_result(
    client: bytes, server: bytes, expected: list[Told], size: int
):
    assert told(Conversation(), client, server, size) == expected


@pytest.mark.parametrize("size", [0, 1, 5])
def test_a_sync_that_a_copy_swallows_is_not_waited_for(size: int):
    conversation = Conversation()
    assert told(conversation, RUN + SYNC, PARSED + BOUND + COPY_IN, size) == []
    copied = message(b"d", b"1\n") + COPY_DONE + SYNC
    assert told(conversation, copied, complete("COPY 1") + READY, size) == [(2, "COPY 1", 1)]
    assert told(conversation, query("x"), complete("SELECT 4") + READY, size) == [(3, "SELECT 4", 4)]


def test_a_copy_that_fails_before_its_end():
    conversation = Conversation()
    told(conversation, RUN + SYNC, PARSED + BOUND + COPY_IN)
    assert told(conversation, message(b"d", b"bad"), failed("22P02")) == [(2, "22P02")]
    assert told(conversation, COPY_DONE + SYNC, READY) == []
    assert told(conversation, query("x"), complete("SELECT 4") + READY) == [(3, "SELECT 4", 4)]


def test_an_error_that_nobody_caused_belongs_to_nobody():
    conversation = Conversation()
    assert told(conversation, b"", failed("57P01")) == [(None, "57P01")]
    assert told(conversation, query("x"), complete("SELECT 4") + READY) == [(1, "SELECT 4", 4)]


def test_the_state_of_the_transaction_is_known():
    conversation = Conversation()
    assert conversation.replies.status == "I"
    told(conversation, query("BEGIN"), complete("BEGIN") + message(b"Z", b"T"))
    assert conversation.replies.status == "T"


MANY = ROW * (MAX_WALK * 100)
ENDS = {
    "rows": (complete("SELECT 6400"), (1, "SELECT 6400", 6400)),
    "an error": (failed("57014", "x" * 500), (1, "57014")),
    "an error that is too long": (failed("57014", "x" * 3 * TAIL), (1, "", None)),
    "an error in disguise": (failed("57014", "E\0\0\0\x20SE" + complete("SELECT 7").decode()), (1, "57014")),
    "COPY": (message(b"c") + complete("COPY 5"), (1, "COPY 5", 5)),
    "nothing that is known": (message(b"N", b"\0"), (1, "", None)),
}


@pytest.mark.parametrize("size", [0, 1000, 4093, 65_536, 131_072])
@pytest.mark.parametrize(("end", "expected"), ENDS.values(), ids=ENDS)
def test_after_many_rows_the_end_is_found(end: bytes, expected: Told, size: int):
    conversation = Conversation()
    assert told(conversation, query("x"), COLUMNS + MANY + end + READY, size) == [expected]
    assert conversation.replies.at_boundary
    assert told(conversation, query("x"), complete("SELECT 4") + READY, size) == [(2, "SELECT 4", 4)]


def test_after_many_rows_a_suspended_portal_is_told():
    conversation = Conversation()
    client = parse("x") + bind() + execute(rows=6400) + SYNC
    assert told(conversation, client, PARSED + BOUND + MANY + SUSPENDED + READY) == [(2, "", 6400)]


@pytest.mark.parametrize("cut", range(1, 24))
def test_wherever_a_piece_ends_after_many_rows_the_end_is_found(cut: int):
    conversation = Conversation()
    conversation.client(query("x"))
    stream = MANY + complete("SELECT 6400") + READY
    results = conversation.server(stream[:-cut]) + conversation.server(stream[-cut:])
    assert [outcome(result) for result in results] == [(1, "SELECT 6400", 6400)]


def test_what_follows_the_end_of_many_rows_is_read():
    conversation = Conversation()
    notification = message(b"A", b"\0\0\0\1a\0b\0")
    assert told(conversation, query("x"), MANY + complete("SELECT 6400") + READY + notification) == [
        (1, "SELECT 6400", 6400)
    ]
    assert conversation.replies.at_boundary


@pytest.mark.parametrize("size", [0, 1000, 65_536])
def test_a_pipeline_with_many_rows_is_walked_through(size: int):
    client = RUN + RUN + SYNC + query("x")
    server = (
        RAN
        + MANY
        + complete("SELECT 6401")
        + RAN
        + MANY
        + complete("SELECT 6401")
        + READY
        + MANY
        + complete("SELECT 2")
        + READY
    )
    assert told(Conversation(), client, server, size) == [
        (2, "SELECT 6401", 6401),
        (4, "SELECT 6401", 6401),
        (5, "SELECT 2", 2),
    ]


def test_a_pipeline_that_begins_in_the_midst_of_many_rows():
    conversation = Conversation()
    assert told(conversation, query("a"), MANY) == []
    assert not conversation.replies.at_boundary
    server = MANY + complete("SELECT 12800") + READY + ROW + complete("SELECT 1") + READY
    assert told(conversation, query("b"), server) == [(1, "SELECT 12800", 12800), (2, "SELECT 1", 1)]


def test_in_the_midst_of_a_row_is_no_boundary():
    conversation = Conversation()
    conversation.client(query("x"))
    for cut in range(1, len(ROW)):
        conversation.server(ROW[:cut])
        assert not conversation.replies.at_boundary
        conversation.server(ROW[cut:])
        assert conversation.replies.at_boundary


@given(st.binary(max_size=300), st.integers(0, 50))
def test_nonsense_is_waited_out(data: bytes, size: int):
    conversation = Conversation()
    told(conversation, query("x"), data, size)
    # Twice, for the nonsense may announce a message that swallows the first.
    conversation.replies._left = 0
    conversation.replies._held = b""
    told(conversation, b"", READY * 3)
    told(conversation, query("y"), complete("SELECT 1") + READY)
    assert conversation.replies.at_boundary


def test_nonsense_without_end_is_not_kept():
    conversation = Conversation()
    conversation.client(query("x"))
    for _ in range(1000):
        conversation.server(b"E" + b"\x7f" * 1000)
        assert len(conversation.replies._held) + len(conversation.replies._tail) < 10_000


def test_a_server_that_is_ready_all_the_time_costs_no_more_than_its_bytes():
    assert Conversation().server((b"?" + READY) * 20_000) == []


REPLIES = st.one_of(
    st.integers(0, 200).map(lambda n: COLUMNS + ROW * n + complete(f"SELECT {n}")),
    st.sampled_from(
        [complete("BEGIN"), complete("UPDATE 3") + complete("INSERT 0 2"), failed(), ROW + failed("22012")]
    ),
    st.text(max_size=50).map(lambda text: message(b"N", text.encode()) + complete("DO")),
)


@given(st.lists(REPLIES.map(lambda reply: reply + READY), min_size=1, max_size=12), st.integers(0, 100))
def test_in_any_pieces_it_is_what_the_obvious_way_reads(replies: list[bytes], size: int):
    """All at once, as a pipeline."""
    conversation = Conversation()
    asked = [event for event in conversation.client(query("x") * len(replies)) if isinstance(event, Request)]
    results = conversation.server(b"".join(replies), size)
    assert [outcome(result) for result in results] == answers(asked, b"".join(replies))


@given(st.lists(REPLIES.map(lambda reply: reply + READY), min_size=1, max_size=12), st.integers(0, 100))
def test_one_by_one_it_is_the_same(replies: list[bytes], size: int):
    conversation = Conversation()
    for reply in replies:
        asked = [event for event in conversation.client(query("x")) if isinstance(event, Request)]
        assert [outcome(result) for result in conversation.server(reply, size)] == answers(asked, reply)
