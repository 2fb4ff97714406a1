"""What is kept of requests: in bounds, and those used last."""

import hashlib

from sdm.wire.postgres.names import MAX_STATEMENT_BYTES, MAX_STATEMENTS, Statements
from sdm.wire.postgres.requests import Kind, Pending, Prepared, Text


def prepared(size: int = 10) -> Prepared:
    return Prepared(1, Kind.PREPARE, Text(b"x" * size, size))


def test_a_text_knows_the_hash_of_all_of_it():
    assert Text(b"abc", 3).sha256 == hashlib.sha256(b"abc").hexdigest()
    assert Text(b"abc", 9, "of all").sha256 == "of all"
    assert Text(b"abc", 9, "of all").cut
    assert not Text(b"abc", 3).cut


def test_statements_used_longest_ago_go_first():
    statements = Statements()
    for number in range(MAX_STATEMENTS):
        statements.add(b"%d" % number, prepared())
    assert statements.get(b"0") is not None
    statements.add(b"one more", prepared())
    assert len(statements) == MAX_STATEMENTS
    assert statements.get(b"0") is not None
    assert statements.get(b"1") is None


def test_long_texts_push_others_out():
    statements = Statements()
    for number in range(100):
        statements.add(b"%d" % number, prepared(MAX_STATEMENT_BYTES // 4))
    assert len(statements) == 4
    statements.add(b"same", prepared(MAX_STATEMENT_BYTES))
    statements.add(b"same", prepared(MAX_STATEMENT_BYTES))
    assert len(statements) == 1
    statements.drop(b"same")
    statements.drop(b"same")
    assert len(statements) == 0
    statements.add(b"again", prepared(MAX_STATEMENT_BYTES))
    assert len(statements) == 1


def test_a_request_with_its_sync_is_no_crowd():
    pending, request = Pending(), prepared()
    assert pending.first is None
    assert not pending.crowded
    pending.append(request)
    pending.append(None)
    assert not pending.crowded
    assert list(pending) == [request, None]
    pending.append(request)
    assert pending.crowded


def test_only_a_copy_swallows_syncs():
    pending = Pending()
    pending.append(None)
    pending.end_copy()
    assert len(pending) == 1
    pending.copying = True
    pending.end_copy()
    assert len(pending) == 0
