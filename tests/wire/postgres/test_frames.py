"""Clients' streams: whole, byte by byte, cut off, too long, nonsense, and against the obvious way to read them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.contract.parameters import MAX_BYTES, NO_PARAMETERS, Parameters
from sdm.wire.postgres.errors import PostgresError
from sdm.wire.postgres.frames import MAX_HELD, MAX_LARGE_MESSAGE, MAX_SMALL_MESSAGE, TEXT_LIMIT, Requests
from sdm.wire.postgres.messages import message
from sdm.wire.postgres.requests import MAX_PENDING, CopyIn, Kind, Request, Text
from tests.wire.postgres.reference import (
    COPY_DONE,
    SYNC,
    Conversation,
    as_told,
    bind,
    execute,
    parse,
    pieces,
    query,
    reads,
)


def texts(data: bytes, size: int = 0) -> list[tuple[str, str | None]]:
    events = Conversation().client(data, size)
    return [
        (event.kind.value, None if event.text is None else event.text.data.decode())
        for event in events
        if isinstance(event, Request)
    ]


def test_a_simple_query_is_told_with_its_text():
    (event,) = Requests().feed(query("SELECT 1"))
    assert event == Request(1, Kind.QUERY, Text(b"SELECT 1", 8))
    assert isinstance(event, Request)
    assert event.text is not None
    assert event.text.sha256 == hashlib.sha256(b"SELECT 1").hexdigest()
    assert not event.text.cut


def test_an_executed_statement_is_told_once_with_its_text():
    assert texts(parse("SELECT $1") + bind() + execute() + SYNC) == [("execute", "SELECT $1")]


def test_what_is_parsed_and_not_executed_is_told_when_it_passes():
    requests = Requests()
    (prepared,) = requests.feed(parse("SELECT 1", "one") + SYNC)
    assert isinstance(prepared, Request)
    assert (prepared.kind, prepared.statement) == (Kind.PREPARE, b"one")
    (executed,) = requests.feed(bind("one") + execute() + SYNC)
    assert isinstance(executed, Request)
    assert (executed.kind, executed.text, executed.statement) == (Kind.EXECUTE, prepared.text, b"one")


def test_a_text_that_replaces_another_is_told_though_the_server_may_keep_the_first():
    """The second Parse fails at the server, so that the first is executed: both are in the log."""
    both = parse("DELETE FROM t", "s") + parse("SELECT 1", "s") + bind("s") + execute() + SYNC
    assert sorted(texts(both)) == [("execute", "SELECT 1"), ("prepare", "DELETE FROM t")]


def test_names_that_are_one_for_the_server_are_one_here():
    stream = parse("SELECT 1", "n" * 63 + "a") + bind("n" * 63 + "b") + execute()
    assert texts(stream) == [("execute", "SELECT 1")]


def test_a_statement_nobody_has_seen_has_no_text():
    assert texts(bind("made with PREPARE") + execute()) == [("execute", None)]


def test_portals_keep_their_statements():
    stream = (
        parse("A", "a") + parse("B", "b") + bind("a", "x") + bind("b", "y") + execute("x") + execute("y", 5)
    )
    assert texts(stream) == [("execute", "A"), ("execute", "B")]
    (_, last) = Conversation().client(stream)
    assert isinstance(last, Request)
    assert last.max_rows == 5


def test_a_closed_statement_is_forgotten():
    close = message(b"C", b"Sa\0") + message(b"C", b"Px\0")
    stream = (
        parse("A", "a") + bind("a", "x") + execute("x") + close + bind("a", "y") + execute("y") + execute("x")
    )
    assert texts(stream) == [("execute", "A"), ("execute", None), ("execute", None)]


def test_statements_and_portals_without_number_are_kept_in_bounds():
    requests = Requests()
    for number in range(5000):
        requests.feed(parse("x" * 1000, f"s{number}") + bind(f"s{number}", f"p{number}"))
        while requests.pending:
            requests.pending.popleft()
    assert len(requests._names.statements) <= 1000
    assert len(requests._names.portals) <= 100
    (last,) = requests.feed(execute("p4999"))
    assert isinstance(last, Request)
    assert last.text == Text(b"x" * 1000, 1000)


def test_a_function_call_is_told_by_its_number():
    (event,) = Requests().feed(message(b"F", (1598).to_bytes(4) + bytes(6)))
    assert isinstance(event, Request)
    assert (event.kind, event.function) == (Kind.CALL, 1598)


@pytest.mark.parametrize("size", [0, 1, 3, 8192])
def test_copy_data_is_counted_and_not_kept(size: int):
    stream = query("COPY t FROM STDIN") + message(b"d", b"x" * 3000) * 50 + COPY_DONE + query("SELECT 1")
    conversation = Conversation()
    copied = [event for event in conversation.client(stream, size) if isinstance(event, CopyIn)]
    assert copied == [CopyIn(1, 150_000, failed=False)]


def test_a_copy_that_the_client_gives_up_has_failed():
    stream = query("COPY t FROM STDIN") + message(b"d", b"x") + message(b"f", b"no\0")
    assert Conversation().client(stream)[1:] == [CopyIn(1, 1, failed=True)]


def test_in_a_copy_nothing_is_held():
    requests = Requests()
    requests.feed(b"d" + (500_000_000).to_bytes(4) + b"x" * 1000)
    for _ in range(100):
        assert requests.feed(memoryview(bytes(100_000))) == []
    assert len(requests._held) == 0


LENGTHS = [1, TEXT_LIMIT, TEXT_LIMIT + 1, MAX_HELD - 6, MAX_HELD - 5, MAX_HELD, 300_000]


@pytest.mark.parametrize("size", [0, 1000, 65_536, 131_072])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_long_text_is_cut_and_its_hash_is_of_all(length: int, size: int):
    text = ("SELECT '" + "0123456789" * (length // 10 + 1))[:length]
    for stream in (query(text), parse(text) + bind() + execute()):
        conversation = Conversation()
        told = conversation.client(stream, size)[-1]
        assert isinstance(told, Request)
        assert told.text is not None
        assert told.text.size == length
        assert told.text.data == text[:TEXT_LIMIT].encode()
        assert told.text.cut == (length > TEXT_LIMIT)
        assert told.text.sha256 == hashlib.sha256(text.encode()).hexdigest()
        assert conversation.requests.at_boundary


def test_a_query_of_100_mb_is_told_before_its_last_byte_passes_and_never_held():
    requests, digest = Requests(), hashlib.sha256()
    piece, count = b"x" * 131_072, 800
    head = b"Q" + (len(piece) * count + 1 + 4).to_bytes(4)
    assert requests.feed(head) == []
    for _ in range(count):
        assert requests.feed(piece) == []
        digest.update(piece)
        assert len(requests._held) <= MAX_HELD
    (event,) = requests.feed(b"\0")
    assert isinstance(event, Request)
    assert event.text == Text(piece[:TEXT_LIMIT], len(piece) * count, digest.hexdigest())


@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_text_ends_with_its_first_nul(size: int):
    assert texts(message(b"Q", b"SELECT 1\0; DROP TABLE t\0"), size) == [("query", "SELECT 1")]
    assert texts(message(b"Q", b"SELECT 1"), size) == [("query", "SELECT 1")]
    assert texts(message(b"Q"), size) == [("query", "")]


VALUES = b"\0\2\0\1\0\0\0\2" + (4).to_bytes(4) + b"\0\0\0\7" + (2).to_bytes(4) + b"ab" + b"\0\0"


def test_bound_values_are_told_when_wanted():
    stream = parse("SELECT $1, $2") + bind(rest=VALUES) + execute()
    (event,) = Conversation(values=True).client(stream)
    assert isinstance(event, Request)
    assert event.parameters == Parameters((b"\0\0\0\7", b"ab"), False, 2)
    (event,) = Conversation().client(stream)
    assert isinstance(event, Request)
    assert event.parameters == NO_PARAMETERS


@pytest.mark.parametrize("size", [0, 1000, 131_072])
def test_a_long_value_is_told_by_its_beginning(size: int):
    rest = b"\0\0\0\1" + (200_000).to_bytes(4) + b"x" * 200_000 + b"\0\0"
    (*_, event) = Conversation(values=True).client(parse("SELECT $1") + bind(rest=rest) + execute(), size)
    assert isinstance(event, Request)
    assert event.parameters == Parameters((b"x" * MAX_BYTES,), True, 1, 200_000)


@pytest.mark.parametrize("size", [0, 1000, 131_072])
def test_formats_that_fill_all_that_is_held_hide_no_value(size: int):
    count = 40_000
    rest = count.to_bytes(2) + bytes(2 * count) + count.to_bytes(2) + (b"\0\0\0\1" + b"a") * count + b"\0\0"
    (*_, event) = Conversation(values=True).client(parse("SELECT $1") + bind(rest=rest) + execute(), size)
    assert isinstance(event, Request)
    assert event.parameters == Parameters((b"a",) * 1_000, True, count)


BAD = {
    "an unknown message": message(b"?"),
    "a password": message(b"p", b"secret\0"),
    "a server's message": message(b"T", b"\0\0"),
    "zeros": bytes(5),
    "length 0": b"Q\0\0\0\0",
    "length 3": b"Q\0\0\0\3",
    "length 2^31-1": b"Q\x7f\xff\xff\xff",
    "length 2^32-1": b"d\xff\xff\xff\xff",
    "just too long": b"Q" + (MAX_LARGE_MESSAGE + 1).to_bytes(4),
    "a long Sync": b"S" + (MAX_SMALL_MESSAGE + 1).to_bytes(4),
    "a Parse without an end": message(b"P", b"name"),
    "a Bind without an end": message(b"B", b"\0name"),
    "an Execute without an end": message(b"E", b"portal"),
    "a name without an end": message(b"P", b"x" * (MAX_HELD + 100)),
}


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_no_server_would_take_is_refused(data: bytes, size: int):
    with pytest.raises(PostgresError):
        Conversation().client(data, size)
    with pytest.raises(PostgresError):
        Conversation().client(query("SELECT 1") + data, size)


def test_while_too_much_is_under_way_the_client_is_not_read():
    requests = Requests()
    requests.feed(SYNC * (MAX_PENDING - 1))
    assert not requests.full
    requests.feed(SYNC)
    assert requests.full


NAMES = st.sampled_from(["", "a", "b"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
LONG = st.sampled_from(["x" * TEXT_LIMIT, "y" * (MAX_HELD + 5), "z" * 200_000])
MESSAGES = st.one_of(
    st.builds(query, TEXTS),
    st.builds(parse, TEXTS, NAMES),
    st.builds(bind, NAMES, NAMES),
    st.builds(execute, NAMES),
    st.builds(
        lambda kind, name: message(b"C", kind + name.encode() + b"\0"), st.sampled_from([b"S", b"P"]), NAMES
    ),
    st.builds(lambda data: message(b"d", data), st.binary(max_size=300)),
    st.sampled_from(
        [
            SYNC,
            COPY_DONE,
            message(b"H"),
            message(b"f", b"no\0"),
            message(b"D", b"P\0"),
            message(b"F", bytes(8)),
        ]
    ),
)
STREAMS = st.lists(MESSAGES, max_size=30).map(b"".join)
LONG_MESSAGES = MESSAGES | st.builds(query, LONG) | st.builds(parse, LONG, NAMES)
LONG_STREAMS = st.lists(LONG_MESSAGES, max_size=10).map(b"".join)


@given(STREAMS, st.integers(0, 80))
def test_in_any_pieces_it_is_what_the_obvious_way_reads(stream: bytes, size: int):
    conversation = Conversation(text_limit=100)
    assert as_told(conversation.client(stream, size)) == reads(stream)
    assert conversation.requests.at_boundary


@given(LONG_STREAMS, st.sampled_from([0, 4096, 65_536, 100_000]))
def test_long_texts_in_any_pieces_are_what_the_obvious_way_reads(stream: bytes, size: int):
    assert as_told(Conversation().client(stream, size)) == reads(stream)


@given(STREAMS, st.integers(1, 200))
def test_every_text_is_told_no_later_than_its_last_byte_passes(stream: bytes, size: int):
    conversation, told, fed = Conversation(), set(), b""
    for piece in pieces(stream, size):
        told |= {
            event.text.sha256
            for event in conversation.client(piece)
            if isinstance(event, Request) and event.text
        }
        fed += piece
        assert set(parsed_in(fed)) <= told


def parsed_in(stream: bytes) -> list[str]:
    """The hashes of what the whole messages in `stream` parse."""
    found = []
    while len(stream) >= 5 and len(stream) > (length := int.from_bytes(stream[1:5])):
        if stream[:1] == b"P":
            found.append(hashlib.sha256(stream[5 : length + 1].split(b"\0")[1]).hexdigest())
        stream = stream[length + 1 :]
    return found


@given(STREAMS, st.data())
def test_cut_off_anywhere_it_waits_for_more(stream: bytes, data: st.DataObject):
    cut = data.draw(st.integers(0, len(stream)))
    whole, parts = Conversation(), Conversation()
    first = as_told(parts.client(stream[:cut]))
    assert first + as_told(parts.client(stream[cut:])) == as_told(whole.client(stream))


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", *(bytes([kind]) for kind in b"QPBEFCSdcf")]),
    st.integers(0, 50),
)
def test_nonsense_is_refused_or_waited_for_and_never_more(data: bytes, kind: bytes, size: int):
    framed = kind + (len(data) + 4).to_bytes(4) + data if kind else data
    try:
        Conversation(values=True).client(framed * 2, size)
    except PostgresError as error:
        assert error.report.to_bytes().startswith(b"E")
