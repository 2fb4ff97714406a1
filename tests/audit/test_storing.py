"""What workers tell of sessions and queries: stored once, in whichever portions it comes, and never changed."""

import datetime as dt
import itertools

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.models import MAX_BEGINNING, Query, Session
from audit.storing import purge, sessions_found, sessions_lost
from sdm.contract.parameters import Parameters
from tests.audit.factories import (
    answered,
    asked,
    began,
    ended,
    make_query,
    make_session,
    new_session_id,
    tell,
)

pytestmark = pytest.mark.django_db

OTHER_CLUSTER = "n-00000000000000c2"


def everything():
    return [*Session.objects.order_by("pk").values(), *Query.objects.order_by("pk").values()]


def whole(session_id):
    return [
        began(session_id),
        asked(session_id, 1),
        answered(session_id, 1),
        asked(session_id, 2, b"SELECT 2"),
        answered(session_id, 2, error="42P01", rows=None),
        ended(session_id, requests=2),
    ]


def test_a_session_with_its_queries():
    sid = new_session_id()
    tell(*whole(sid))
    session = Session.objects.get()
    assert (session.account_name, session.resource_name, session.cluster_name) == (
        "charlie@example.com",
        "orders-db",
        "keen-coffee",
    )
    assert (session.ending, session.requests, session.is_running) == ("client-left", 2, False)
    first, second = session.queries.order_by("number")
    assert (first.pk, first.text, first.rows, first.microseconds) == (f"{sid}-1", "SELECT 1", 1, 1_500)
    assert (first.account_id, first.resource_id, first.kind) == (
        session.account_id,
        session.resource_id,
        "postgres",
    )
    assert (second.error, second.rows) == ("42P01", None)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_in_any_portions_and_twice_it_is_the_same(size):
    sid = new_session_id()
    records = whole(sid)
    tell(*records)
    at_once = everything()
    Query.objects.all().delete()
    Session.objects.all().delete()
    for start in range(0, len(records), size):
        tell(*records[start : start + size])
        tell(*records[start : start + size])
    assert everything() == at_once
    for start in range(len(records)):  # from the beginning once more, as after a restart of the link
        tell(*records[start:])
    tell(*records)
    assert everything() == at_once


def test_the_number_of_statements_does_not_grow(django_assert_max_num_queries):
    for count in (1, 50):
        ids = [new_session_id() for _ in range(count)]
        records = list(itertools.chain.from_iterable(whole(sid) for sid in ids))
        with django_assert_max_num_queries(10):
            tell(*records[: len(records) // 2 + 1])
        with django_assert_max_num_queries(10):
            tell(*records)
    assert Query.objects.count() == 102


def test_a_worker_tells_nothing_of_the_sessions_of_others(caplog):
    session = make_session()
    before = everything()
    tell(asked(session.pk), ended(session.pk), began(session.pk, resource_name="x"), cluster_id=OTHER_CLUSTER)
    assert everything() == before
    assert "sessions of others" in caplog.text


@pytest.mark.parametrize(
    "sid", [" ", "s-1", "S-0000000000000001", "s-00000000000000zz", "s-" + "0" * 17, "x" * 500]
)
def test_an_id_that_is_none_is_left_out(sid):
    tell(began(sid), asked(sid), ended(sid), began(good := new_session_id()))
    assert list(Session.objects.values_list("pk", flat=True)) == [good]


@pytest.mark.parametrize("number", [0, 2**63, 2**64 - 1])
def test_a_number_that_no_database_has_is_left_out(number):
    sid = new_session_id()
    tell(began(sid), asked(sid, number), answered(sid, number))
    assert not Query.objects.exists()


def test_numbers_too_large_are_as_large_as_can_be():
    sid, much = new_session_id(), 2**64 - 1
    tell(
        began(sid),
        asked(sid, text_length=much),
        answered(sid, microseconds=much, rows=much, bytes_sent=much, bytes_received=much),
        ended(sid, requests=much, bytes_sent=much, bytes_received=much),
    )
    assert Query.objects.get().rows == Session.objects.get().requests == 2**63 - 1


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b"a\0b", r"a\x00b"),
        (b"\xff\xfe", r"\xff\xfe"),
        ("☕ \u202egnp".encode(), "☕ \u202egnp"),
        (b"\x1b[2J\r\n", "\x1b[2J\r\n"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
    ],
    ids=["NUL", "not UTF-8", "right to left", "ANSI", "half a surrogate pair"],
)
def test_hostile_text_is_stored_and_stays_readable(sent, stored):
    sid = new_session_id()
    tell(
        began(sid, account_name="\0", client_address="\0not an address", kind="\0"),
        asked(sid, text=sent, parameters=Parameters((sent,), False, 1)),
        answered(sid, result="\0", error="\0"),
        ended(sid, "\0", message="\0" * 1_000),
    )
    query = Query.objects.get()
    assert (query.text, query.parameters) == (stored, [stored])
    assert query.session.client_address is None


def test_of_a_long_text_the_beginning_stands_apart():
    query = make_query("é".encode() * 30_000)
    assert len(query.text) == MAX_BEGINNING
    assert query.text + query.text_rest == "é" * 30_000
    assert not query.is_cut


def test_a_text_that_was_cut_says_so():
    sid = new_session_id()
    tell(began(sid), asked(sid, text=b"SELECT", text_length=100_000_000))
    assert (Query.objects.get().is_cut, Query.objects.get().text_length) == (True, 100_000_000)


def test_null_is_told_from_its_name_and_what_is_cut_of_the_values_is_kept():
    sid = new_session_id()
    values = Parameters((None, b"NULL", b"", b"x" * 10), True, 2_000, 100_000)
    tell(began(sid), asked(sid, parameters=values), asked(sid, 2))
    query, without = Query.objects.order_by("number")
    assert query.parameters == [None, "NULL", "", "x" * 10]
    assert (query.parameters_cut, query.parameters_total, query.parameters_last_length) == (
        True,
        2_000,
        100_000,
    )
    assert (without.parameters, without.parameters_cut, without.parameters_total) == (None, False, None)


def test_a_hash_that_was_not_known_at_the_start_is_added():
    sid = new_session_id()
    tell(began(sid), asked(sid, sha256=b""))
    tell(answered(sid, sha256=b"\x02" * 32))
    assert Query.objects.get().sha256 == "02" * 32


def test_what_has_lost_its_beginning_is_kept_all_the_same():
    one, two, three = (new_session_id() for _ in range(3))
    tell(asked(one), answered(two, number=7), ended(three))
    assert Session.objects.count() == 3
    assert set(Query.objects.values_list("pk", flat=True)) == {f"{one}-1", f"{two}-7"}
    assert Session.objects.get(pk=one).who == "unknown"


def test_a_clock_that_is_far_ahead_is_not_believed():
    sid, far = new_session_id(), timezone.now() + dt.timedelta(days=5_000)
    tell(began(sid, at=far), asked(sid, at=far), ended(sid, at=far))
    session = Session.objects.get()
    assert session.started_at < timezone.now() + dt.timedelta(minutes=6)
    assert session.ended_at and session.started_at <= session.ended_at


# --- Workers that are gone ----------------------------------------------------------------------


def test_the_sessions_of_a_lost_worker_are_closed_once():
    session, other = make_session(b"SELECT 1"), make_session(worker_id="w-0000000000000002")
    assert sessions_lost([session.worker_id]) == 1
    assert sessions_lost([session.worker_id]) == 0
    session.refresh_from_db()
    assert session.ending == "worker-lost"
    other.refresh_from_db()
    assert other.is_running


def test_what_the_worker_tells_later_is_believed_instead():
    session = make_session(b"SELECT 1")
    sessions_lost([session.worker_id])
    tell(ended(session.pk, "suspended"))
    tell(ended(session.pk, "client-left"))
    session.refresh_from_db()
    assert session.ending == "suspended"


@pytest.mark.parametrize("lost_first", [True, False])
def test_an_end_of_the_sessions_own_counts_more_than_that_its_process_died(lost_first: bool):
    session = make_session(b"SELECT 1")
    ends = [ended(session.pk, "worker-lost", requests=0), ended(session.pk, "suspended")]
    for end in ends if lost_first else reversed(ends):
        tell(end)
    session.refresh_from_db()
    assert (session.ending, session.requests) == ("suspended", 1)


def test_a_session_of_a_worker_that_was_not_lost_goes_on():
    session = make_session(b"SELECT 1")
    before = asked(session.pk, 2)
    sessions_lost([session.worker_id])
    tell(before)
    session.refresh_from_db()
    assert not session.is_running
    tell(asked(session.pk, 3))
    session.refresh_from_db()
    assert (session.is_running, session.ending, session.requests) == (True, "", 3)


def test_a_worker_that_is_back_says_which_of_its_sessions_run():
    lost, over = make_session(), make_session(ending="client-left")
    sessions_lost([lost.worker_id])
    assert sessions_found(cluster_id=OTHER_CLUSTER, session_ids=[lost.pk, over.pk]) == 0
    assert sessions_found(cluster_id=lost.cluster_id, session_ids=[lost.pk, over.pk]) == 1
    lost.refresh_from_db()
    assert lost.is_running


# --- Append-only --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"text": "SELECT 2"},
        {"session_id": "s-0000000000000000"},
        {"started_at": timezone.now()},
        {"parameters": []},
        {"parameters_total": 1},
        {"parameters_last_length": 1},
    ],
)
def test_the_database_refuses_to_change_what_a_query_was(change):
    sid = new_session_id()
    tell(began(sid), asked(sid))
    with pytest.raises(IntegrityError), transaction.atomic():
        Query.objects.update(**change)


def test_how_a_query_ended_is_written_once():
    make_query()
    with pytest.raises(IntegrityError), transaction.atomic():
        Query.objects.update(rows=2)


@pytest.mark.parametrize("change", [{"account_name": "eve"}, {"started_at": timezone.now()}])
def test_the_database_refuses_to_change_whose_a_session_was(change):
    make_session()
    with pytest.raises(IntegrityError), transaction.atomic():
        Session.objects.update(**change)


# --- Retention ----------------------------------------------------------------------------------


def test_what_is_older_is_removed_and_a_session_only_after_its_queries():
    old = timezone.now() - dt.timedelta(days=400)
    gone = make_session(b"SELECT 1", at=old, ending="client-left")
    Session.objects.filter(pk=gone.pk).update(ended_at=old)
    runs = make_session(b"SELECT 1", at=old)
    new = make_session(b"SELECT 1", ending="client-left")
    limit = timezone.now() - dt.timedelta(days=395)
    assert purge(before=limit) == 3
    assert purge(before=limit) == 0
    assert set(Session.objects.values_list("pk", flat=True)) == {runs.pk, new.pk}
    assert Query.objects.get().session_id == new.pk


def test_it_is_removed_in_small_portions():
    old = timezone.now() - dt.timedelta(days=400)
    make_session(*[b"SELECT 1"] * 10, at=old)
    assert purge(before=timezone.now() - dt.timedelta(days=395), rows=4) == 4
    assert Query.objects.count() == 6
