"""What real clients and a real server said to each other (see record.py), read again."""

import json
from pathlib import Path

import pytest

from sdm.contract.parameters import Parameters
from sdm.wire.postgres.frames import Event
from sdm.wire.postgres.replies import Result
from sdm.wire.postgres.requests import CopyIn, Kind, Request
from sdm.wire.postgres.startup import Startup, StartupMessage
from tests.wire.postgres.reference import Conversation, as_told, outcome, reads

CAPTURES = {path.stem: path for path in sorted((Path(__file__).parent / "captures").glob("*.json"))}
capture = pytest.mark.parametrize("name", CAPTURES)

Pieces = list[tuple[str, bytes]]


def pieces_of(name: str) -> Pieces:
    return [(side, text.encode("latin-1")) for side, text in json.loads(CAPTURES[name].read_text())]


def told_by(pieces: Pieces, size: int = 0) -> tuple[list[Event], list[Result], Conversation]:
    conversation = Conversation(values=True)
    events: list[Event] = []
    results: list[Result] = []
    for side, data in pieces:
        if side == "client":
            events += conversation.client(data, size)
        elif side == "server":
            results += conversation.server(data, size)
    return events, results, conversation


def test_there_are_captures_of_the_clients_that_have_to_work():
    assert {"psql", "psycopg", "asyncpg", "pgbench-simple", "pgbench-extended", "pgbench-prepared"} <= set(
        CAPTURES
    )


@capture
@pytest.mark.parametrize("size", [0, 1, 5, 100])
def test_each_request_has_a_result_in_any_pieces(name: str, size: int):
    events, results, conversation = told_by(pieces_of(name), size)
    asked = [
        event.number for event in events if isinstance(event, Request) and event.kind is not Kind.PREPARE
    ]
    ended = [
        result.request.number
        for result in results
        if result.request and result.request.kind is not Kind.PREPARE
    ]
    assert asked == ended
    assert all(
        result.tag or result.error or result.skipped or result.rows or _parsed(result) for result in results
    )
    assert not conversation.requests.pending
    assert conversation.requests.at_boundary
    assert conversation.replies.at_boundary


def _parsed(result: Result) -> bool:
    return result.request is not None and result.request.kind is Kind.PREPARE


@capture
def test_the_obvious_way_reads_the_same(name: str):
    pieces = pieces_of(name)
    events, _, _ = told_by(pieces)
    assert as_told(events) == reads(b"".join(data for side, data in pieces if side == "client"))


@capture
def test_the_start_is_read(name: str):
    startup, found = Startup(), None
    for side, data in pieces_of(name):
        if side == "startup":
            assert found is None
            found = startup.feed(data)
    assert isinstance(found, StartupMessage)
    assert (found.user, found.database) == ("anyone", "anything")


def by_text(name: str) -> list[tuple[str, object]]:
    """The statements and how they ended."""
    _, results, _ = told_by(pieces_of(name))
    return [
        (result.request.text.data.decode(), outcome(result)[1])
        for result in results
        if result.request and result.request.text
    ]


def test_what_psql_did():
    assert by_text("psql")[:10] == [
        ("SELECT 1 AS one, 'zwei' AS two;", "SELECT 1"),
        ("CREATE TEMPORARY TABLE t (a int, b text);", "CREATE TABLE"),
        ("COPY  t FROM STDIN ", "COPY 2"),
        ("COPY  t TO STDOUT ", "COPY 2"),
        ("SELECT nothing;", "42703"),
        ("BEGIN;", "BEGIN"),
        ("INSERT INTO t VALUES (3, 'drei') ; UPDATE t SET b = 'x';", "UPDATE 3"),
        ("COMMIT;", "COMMIT"),
        ("DO $$ BEGIN RAISE NOTICE 'hello'; END $$;", "DO"),
        ("SELECT generate_series(1, 500);", "SELECT 500"),
    ]
    events, _, _ = told_by(pieces_of("psql"))
    assert [event for event in events if isinstance(event, CopyIn)] == [CopyIn(3, 17, failed=False)]


def test_what_psycopg_did_in_a_pipeline_with_an_error():
    told = by_text("psycopg")
    begin = told.index(("SELECT 1", "SELECT 1"))
    assert told[begin : begin + 3] == [
        ("SELECT 1", "SELECT 1"),
        ("SELECT nothing", "42703"),
        ("SELECT 2", "skipped"),
    ]


def test_what_asyncpg_bound():
    events, _, _ = told_by(pieces_of("asyncpg"))
    executed = [event for event in events if isinstance(event, Request) and event.kind is Kind.EXECUTE]
    assert executed[0].parameters == Parameters((b"\0\0\0\1", b"zwei"), False, 2)
    assert [event.parameters.total for event in executed[1:6]] == [2] * 5


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_what_pgbench_did(mode: str):
    told = [text for text, end in by_text(f"pgbench-{mode}") if end]
    assert len(told) == 3
    assert all(text.startswith("SELECT abalance FROM pgbench_accounts WHERE aid = ") for text in told)
