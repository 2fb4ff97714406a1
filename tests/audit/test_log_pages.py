"""Audit > Sessions and Audit > Queries, their filters, exports, and End session."""

import csv
import datetime as dt
import io
import json
import re
from html import unescape
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account
from audit import log_selectors
from audit.models import Activity, Query, Session
from audit.sessions import ended_sessions, session_end
from events.models import EventRow
from tests.audit.factories import answered, asked, began, make_query, make_session, new_session_id, tell
from tests.resources.factories import make_resource

SESSIONS, QUERIES = "/audit/sessions/", "/audit/queries/"
HOSTILE = [
    b"<script>alert(1)</script>",
    b"'; DROP TABLE x; --",
    b"a\0b",
    b"\xff\xfe",
    "☕ \u202egnp.exe".encode(),
    b"\x1b[2J\r\nforged line",
    b"{{ request.user }}{% debug %}",
    b"=1+1",
    b"x" * 65_536,
    b"",
]
HTMX = {"HX-Request": "true"}


def page(client: Client, url: str, **query: str) -> str:
    response = client.get(url, query)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def exported(client: Client, what: str, **fields: str) -> bytes:
    response = client.post(f"/audit/{what}/export/", fields)
    assert response.status_code == 200
    return b"".join(response.streaming_content)  # type: ignore[attr-defined]


# --- Who ----------------------------------------------------------------------------------------


def urls(session: Session) -> list[str]:
    return [SESSIONS, f"{SESSIONS}{session.pk}/", QUERIES, f"{QUERIES}{session.pk}-1/"]


def test_administrators_and_auditors_see_and_others_do_not(
    alice_client: Client, bob_client: Client, charlie_client: Client
):
    session = make_session(b"SELECT 'seen'")
    for url in urls(session):
        assert alice_client.get(url).status_code == 200
        assert bob_client.get(url).status_code == 200
        assert charlie_client.get(url).status_code == 403
    for what in ("sessions", "queries"):
        assert charlie_client.post(f"/audit/{what}/export/", {"format": "csv"}).status_code == 403


def test_an_auditor_ends_nothing_and_sees_no_button(bob_client: Client):
    session = make_session()
    assert "End session" not in page(bob_client, SESSIONS)
    assert "End session" not in page(bob_client, f"{SESSIONS}{session.pk}/")
    for method in (bob_client.get, bob_client.post):
        assert method(f"{SESSIONS}{session.pk}/end/").status_code == 403
    assert Activity.objects.filter(verb="permission denied").count() == 2
    session.refresh_from_db()
    assert session.end_requested_at is None


@pytest.mark.parametrize("url", [f"{SESSIONS}s-0000000000000000/", f"{SESSIONS}%00/end/", f"{QUERIES}s-1-1/"])
def test_what_is_not_there_is_not_found(alice_client: Client, url: str):
    assert alice_client.get(url).status_code == 404


# --- End session --------------------------------------------------------------------------------


def test_ending_a_session_is_asked_for_told_and_recorded(alice_client: Client, alice: Account):
    session = make_session(b"SELECT 1")
    url = f"{SESSIONS}{session.pk}/end/"
    assert f'href="{url}"' in page(alice_client, SESSIONS)
    assert "told that an administrator ended" in page(alice_client, url)
    assert ended_sessions([session.pk]) == {}
    response = alice_client.post(url)
    assert response.headers["Location"] == f"{SESSIONS}{session.pk}/"
    assert ended_sessions([session.pk, "s-unknown"]) == {session.pk: "An administrator ended this session."}
    activity = Activity.objects.get(verb="session cut")
    assert (activity.actor, activity.entity_id) == (alice, session.pk)
    assert activity.entity_name == "charlie@example.com with orders-db"
    shown = page(alice_client, f"{SESSIONS}{session.pk}/")
    assert "asked by" in shown
    assert "End session" not in shown


def test_whoever_holds_sessions_open_hears_of_it(alice: Account, settings):
    if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        pytest.skip("only on SQLite: there an event is a row")
    session_end(actor=alice, session=make_session())
    assert EventRow.objects.filter(topic="access").exists()


def test_a_session_is_ended_once_and_one_that_is_over_not_at_all(alice_client: Client, alice: Account):
    session, over = make_session(), make_session(ending="client-left")
    for each in (session, session, over):
        alice_client.post(f"{SESSIONS}{each.pk}/end/")
    assert Activity.objects.filter(verb="session cut").count() == 1
    assert not session_end(actor=alice, session=over)


def test_a_dialog_gets_the_form_alone_and_the_page_follows(alice_client: Client):
    session = make_session()
    url = f"{SESSIONS}{session.pk}/end/"
    form = alice_client.get(url, headers=HTMX).content.decode()
    assert "<html" not in form
    assert alice_client.post(url, headers=HTMX).headers["HX-Redirect"] == f"{SESSIONS}{session.pk}/"


# --- Lists --------------------------------------------------------------------------------------


def test_what_a_session_is_stands_in_its_row(bob_client: Client):
    make_session(b"SELECT 1", b"SELECT 2")
    text = page(bob_client, SESSIONS)
    for word in ("charlie@example.com", "orders-db", "PostgreSQL", "keen-coffee", "192.0.2.7", "Running"):
        assert word in text


def test_how_a_session_ended_stands_in_its_row(bob_client: Client):
    make_session(ending="access-removed")
    assert "The client closed the connection." in page(bob_client, SESSIONS)


def test_the_query_just_typed_is_in_the_list(bob_client: Client):
    query = make_query(b"SELECT name FROM people")
    text = page(bob_client, QUERIES)
    assert "SELECT name FROM people" in text
    assert "1.5 ms" in text
    detail = page(bob_client, f"{QUERIES}{query.pk}/")
    assert query.sha256 in detail
    assert "SELECT name FROM people" in page(bob_client, f"{SESSIONS}{query.session_id}/")


def test_a_query_that_runs_says_so_and_an_error_is_one(bob_client: Client):
    sid = new_session_id()
    tell(began(sid), asked(sid, 1), asked(sid, 2), answered(sid, 2, error="42P01"))
    text = page(bob_client, QUERIES)
    assert "under way" in text
    assert "42P01" in text


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_hostile_text_harms_no_page(bob_client: Client, text: bytes):
    query = make_session(
        text, account_name="<b>", resource_name="\u202e<i>", kind="<u>", client_address="<s>"
    ).queries.get()
    Query.objects.filter(pk=query.pk)
    for url in (QUERIES, SESSIONS, f"{QUERIES}{query.pk}/", f"{SESSIONS}{query.session_id}/"):
        shown = page(bob_client, url)
        for harm in ("<script>alert", "<b>", "<i>", "<u>", "<s>", "\x1b", "\u202e", "\0"):
            assert harm not in shown.partition("</head>")[2]
        assert len(shown) < 200_000


def test_long_queries_are_folded_and_lists_do_not_hold_all_of_them(bob_client: Client):
    make_session(*[b"SELECT " + b"x" * 65_000] * 20)
    text = page(bob_client, QUERIES)
    assert text.count("<details id=") >= 20
    assert len(text) < 200_000


def test_what_was_cut_says_so(bob_client: Client):
    sid = new_session_id()
    tell(began(sid), asked(sid, text_length=10_000_000, parameters=[b"<b>", b"\xff"], parameters_cut=True))
    text = page(bob_client, f"{QUERIES}{sid}-1/")
    assert "10,000,000 bytes" in text
    assert "there were more" in text
    assert "&lt;b&gt;" in text
    assert r"\xff" in text


def test_the_lists_take_few_statements(bob_client: Client, django_assert_max_num_queries):
    for _ in range(60):
        make_session(b"SELECT 1")
    for url in (SESSIONS, QUERIES):
        with django_assert_max_num_queries(10):
            page(bob_client, url)


def test_pages_follow_each_other(bob_client: Client):
    make_session(*[b"SELECT %d" % number for number in range(120)])
    seen: list[str] = []
    response = bob_client.get(QUERIES)
    while True:
        rows = response.context["page"]
        seen += [query.text for query in rows.rows]
        if not rows.next:
            break
        response = bob_client.get(QUERIES, {"after": rows.next})
    assert seen == [f"SELECT {number}" for number in reversed(range(120))]


def test_the_newest_page_is_live(bob_client: Client):
    make_query(b"SELECT 1")
    first = bob_client.get(QUERIES, headers=HTMX)
    again = bob_client.get(QUERIES, headers=HTMX | {"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    make_query(b"SELECT 2")
    changed = bob_client.get(QUERIES, headers=HTMX | {"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert "<html" not in changed.content.decode()


# --- Filters ------------------------------------------------------------------------------------


@pytest.fixture
def three(charlie: Account, bob: Account) -> None:
    now = timezone.now()
    make_session(b"one", account_id=charlie.pk, at=now - dt.timedelta(days=10), ending="client-left")
    make_session(
        b"two",
        account_id=bob.pk,
        resource_id="rs-0000000000000002",
        resource_name="mail",
        kind="httpBasicAuth",
    )
    make_session(b"three", account_id=charlie.pk, cluster_id="n-00000000000000c2")


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"person": "charlie@example.com"}, {"one", "three"}),
        ({"person": "CHARLIE@example.com"}, {"one", "three"}),
        ({"resource": "mail"}, {"two"}),
        ({"resource": "rs-0000000000000002"}, {"two"}),
        ({"resource": "nothing"}, set()),
        ({"cluster": "n-00000000000000c2"}, {"three"}),
        ({"cluster": "keen-coffee"}, {"one", "two", "three"}),
        ({"kind": "httpBasicAuth"}, {"two"}),
        ({"kind": "postgres", "person": "charlie@example.com", "cluster": "n-00000000000000c2"}, {"three"}),
        ({"since": f"{timezone.now() - dt.timedelta(days=5):%Y-%m-%dT%H:%M}"}, {"two", "three"}),
        ({"until": f"{timezone.now() - dt.timedelta(days=5):%Y-%m-%dT%H:%M}"}, {"one"}),
        ({}, {"one", "two", "three"}),
    ],
)
def test_both_lists_are_narrowed(bob_client: Client, query: dict[str, str], found: set[str]):
    rows = bob_client.get(QUERIES, query).context["page"].rows
    assert {row.text for row in rows} == found
    sessions = bob_client.get(SESSIONS, query).context["page"].rows
    assert {row.pk for row in sessions} == {row.session_id for row in rows}


@pytest.mark.usefixtures("three")
def test_sessions_that_run_and_those_that_are_over(bob_client: Client):
    assert len(bob_client.get(SESSIONS, {"state": "running"}).context["page"].rows) == 2
    assert len(bob_client.get(SESSIONS, {"state": "ended"}).context["page"].rows) == 1


@pytest.mark.parametrize(
    ("looked_for", "is_found"),
    [
        ("NAME from", True),
        ("select*people", True),
        ("people;", False),
        ("100%", True),
        ("100x", False),
        ("[a-z]", True),
        ("?", True),
        ("_", False),
        ("\\d", True),
        ("É", True),
        ("é", False),
        ("\0", False),
        ("*", True),
    ],
)
def test_a_text_is_found_the_same_way_on_every_database(bob_client: Client, looked_for: str, is_found: bool):
    make_query("SELECT Name FROM People WHERE a LIKE '100%' AND b ~ '[a-z]\\d?' -- É".encode())
    response = bob_client.get(QUERIES, {"text": looked_for})
    if "\0" in looked_for:
        assert response.status_code == 422
    else:
        assert bool(response.context["page"].rows) is is_found


def test_a_hash_finds_the_whole_text(bob_client: Client):
    make_query(b"SELECT 1")
    assert len(bob_client.get(QUERIES, {"sha256": "01" * 32}).context["page"].rows) == 1
    assert not bob_client.get(QUERIES, {"sha256": "02" * 32}).context["page"].rows
    assert bob_client.get(QUERIES, {"sha256": "01"}).status_code == 422


def test_a_text_is_looked_for_in_so_many_at_a_time_and_then_further_back(bob_client: Client, monkeypatch):
    monkeypatch.setattr(log_selectors, "SEARCHED", 10)
    start = timezone.now() - dt.timedelta(hours=1)
    texts = [b"needle"] + [b"hay"] * 25
    make_session(*texts, at=start)
    response = bob_client.get(QUERIES, {"text": "needle"})
    for _ in range(4):
        rows, text = response.context["page"].rows, response.content.decode()
        if rows:
            break
        further = re.search(r'href="([^"]+)">Look further back', text)
        assert further
        response = bob_client.get(unescape(further[1]))
    assert [row.text for row in rows] == ["needle"]


def test_a_filter_that_makes_no_sense_is_said(bob_client: Client):
    for url in (SESSIONS, QUERIES):
        response = bob_client.get(url, {"person": "nobody@example.com"})
        assert response.status_code == 422
        assert "Nobody here has the address" in response.content.decode()


def test_kinds_are_offered(bob_client: Client):
    for url in (QUERIES, SESSIONS):
        text = page(bob_client, url)
        assert '<option value="postgres">PostgreSQL</option>' in text
        assert '<option value="rawTCP">TCP</option>' in text
        assert bob_client.get(url, {"kind": "gopher"}).status_code == 422


def test_of_what_tells_no_queries_none_are_counted(bob_client: Client):
    cell = '<td data-label="Queries" class="number">{}</td>'
    make_session(kind="rawTCP")
    assert cell.format("–") in page(bob_client, SESSIONS)
    make_session(kind="postgres")
    assert cell.format("0") in page(bob_client, SESSIONS)


def test_a_resource_leads_to_its_page_as_long_as_there_is_one(alice: Account, bob_client: Client):
    resource = make_resource(alice, "orders-db")
    make_session(resource_id=resource.pk, resource_name="orders-db")
    make_session(resource_name="gone-db")
    make_session(resource_id="", resource_name="")
    make_session(resource_id="../x y", resource_name="hostile")
    text = page(bob_client, SESSIONS)
    assert f'<a href="/resources/{resource.pk}/"><bdi>orders-db</bdi></a>' in text
    assert text.count('href="/resources/rs-') == 1
    assert "<bdi>gone-db</bdi>" in text


def test_a_kind_that_is_no_longer_known_has_its_own_word(bob_client: Client):
    make_session(kind="gopher")
    assert "gopher in" in page(bob_client, SESSIONS)


def test_why_a_query_was_cut_is_a_sentence_and_the_word_stands_beside_it(bob_client: Client):
    sid = new_session_id()
    tell(began(sid), asked(sid), answered(sid, error="resource-gone"))
    sentence = "The resource was deleted, or belongs to another cluster now."
    listed = page(bob_client, QUERIES)
    assert f'title="resource-gone"><bdi>{sentence}</bdi>' in listed
    detail = page(bob_client, f"{QUERIES}{sid}-1/")
    assert sentence in detail
    assert "(<code>resource-gone</code>)" in detail


def test_a_query_that_was_cut_with_its_session_says_what_the_person_was_told(bob_client: Client):
    sid, told = new_session_id(), "The resource was detached from its proxy cluster."
    tell(began(sid), asked(sid), answered(sid, error="resource-gone"))
    Session.objects.filter(pk=sid).update(ending="resource-gone", ending_words=told)
    assert f'title="resource-gone"><bdi>{told}</bdi>' in page(bob_client, QUERIES)
    assert told in page(bob_client, f"{QUERIES}{sid}-1/")
    Session.objects.filter(pk=sid).update(ending="client-left", ending_words="Another.")
    assert "belongs to another cluster now." in page(bob_client, QUERIES)


def test_a_query_tells_its_session_worker_and_client(bob_client: Client):
    query = make_query()
    facts = page(bob_client, f"{QUERIES}{query.pk}/").partition('<dl class="facts">')[2]
    for fact in (f'href="{SESSIONS}{query.session_id}/"', "w-0000000000000001", "192.0.2.7"):
        assert fact in facts


# --- Sessions by what was asked in them -----------------------------------------------------------


def found_sessions(client: Client, **query: str) -> list[str]:
    return [row.pk for row in client.get(SESSIONS, query).context["page"].rows]


def test_sessions_are_found_by_the_text_of_a_query_once_each(bob_client: Client, charlie: Account):
    needle = make_session(b"SELECT Needle", b"select needle again", account_id=charlie.pk)
    over = make_session(b"the needle", ending="client-left", kind="rawTCP")
    make_session(b"hay")
    assert found_sessions(bob_client, text="NEEDLE") == [over.pk, needle.pk]
    assert found_sessions(bob_client, text="needle", state="ended") == [over.pk]
    assert found_sessions(bob_client, text="needle", state="running") == [needle.pk]
    assert found_sessions(bob_client, text="needle", kind="rawTCP") == [over.pk]
    assert found_sessions(bob_client, text="needle", person="charlie@example.com") == [needle.pk]
    assert found_sessions(bob_client, text="select*again") == [needle.pk]
    assert found_sessions(bob_client, text="nowhere") == []


def test_sessions_are_searched_as_far_back_as_queries_and_then_further(bob_client: Client, monkeypatch):
    monkeypatch.setattr(log_selectors, "SEARCHED", 10)
    start = timezone.now() - dt.timedelta(hours=1)
    session = make_session(*[b"needle"] + [b"hay"] * 25, at=start)
    response = bob_client.get(SESSIONS, {"text": "needle"})
    looks = 1
    while not response.context["page"].rows:
        text = response.content.decode()
        assert "in the first 2,000 characters" in text
        further = re.search(r'href="([^"]+)">Look further back', text)
        assert further
        assert further[1].startswith(SESSIONS)
        response = bob_client.get(unescape(further[1]))
        looks += 1
    assert [row.pk for row in response.context["page"].rows] == [session.pk]
    assert looks == 3


def test_searching_sessions_takes_few_statements(bob_client: Client, django_assert_max_num_queries):
    for _ in range(60):
        make_session(b"needle", b"needle")
    with django_assert_max_num_queries(10):
        text = page(bob_client, SESSIONS, text="needle")
    assert 'rel="next"' in text


def test_the_sessions_that_are_found_can_be_taken_away(bob_client: Client):
    found = make_session(b"Needle", b"needle", ending="client-left")
    make_session(b"needle")
    make_session(b"hay", ending="client-left")
    lines = exported(bob_client, "sessions", format="jsonl", text="needle", state="ended").splitlines()
    assert len(lines) == 1
    assert found.pk in lines[0].decode()
    after = Activity.objects.get().after
    assert after is not None
    assert after["text"] == "needle"


def test_what_was_not_found_says_how_much_of_a_text_is_searched(bob_client: Client):
    make_session(b"x" * 3_000 + b"needle")
    for url in (QUERIES, SESSIONS):
        assert "first 2,000 characters" in page(bob_client, url, text="needle")


# --- Exports ------------------------------------------------------------------------------------


def test_an_export_has_all_columns_and_is_an_activity(bob_client: Client, bob: Account):
    make_session(b"SELECT 1", b"SELECT 2" + b" " * 5_000, ending="client-left")
    rows = list(
        csv.DictReader(io.StringIO(exported(bob_client, "queries", format="csv").decode(), newline=""))
    )
    assert [row["query_body"].strip() for row in rows] == ["SELECT 1", "SELECT 2"]
    assert (rows[0]["account_name"], rows[0]["duration_ms"]) == ("charlie@example.com", "1.5")
    sessions = [json.loads(line) for line in exported(bob_client, "sessions", format="jsonl").splitlines()]
    assert sessions[0]["ending"] == "client-left"
    assert [activity.verb for activity in Activity.objects.order_by("pk")] == [
        "queries exported",
        "session log exported",
    ]
    assert set(Activity.objects.values_list("actor_id", flat=True)) == {bob.pk}


def test_an_export_holds_what_the_filters_leave(bob_client: Client):
    make_session(b"SELECT Needle", b"SELECT 2")
    lines = exported(bob_client, "queries", format="jsonl", text="needle").splitlines()
    assert [json.loads(line)["query_body"] for line in lines] == ["SELECT Needle"]
    assert Activity.objects.get().after == {"format": "JSON lines", "text": "needle"}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_a_spreadsheet_calculates_nothing(bob_client: Client, text: bytes):
    make_session(text, account_name="=1+1", resource_name="@x")
    row = next(
        csv.DictReader(io.StringIO(exported(bob_client, "queries", format="csv").decode(), newline=""))
    )
    assert (row["account_name"], row["resource_name"]) == ("'=1+1", "'@x")
    assert not row["query_body"].startswith(("=", "+", "-", "@"))
    assert row["query_body"].isprintable() or not row["query_body"]


def test_an_export_in_no_format_is_refused(bob_client: Client):
    for what in ("sessions", "queries"):
        assert bob_client.post(f"/audit/{what}/export/", {"format": "exe"}).status_code == 422


def test_any_query_gives_a_page(bob_client: Client):
    for value in ("\0", "\ud800", "x" * 20_000, "-1", "☕", "' OR 1=1 --"):
        for name in (
            "person",
            "resource",
            "cluster",
            "kind",
            "since",
            "until",
            "text",
            "sha256",
            "state",
            "after",
        ):
            for url in (SESSIONS, QUERIES):
                query = f"{name}={quote(value.encode('utf-8', 'surrogatepass'))}"
                assert bob_client.get(f"{url}?{query}").status_code in (200, 302, 422)


def test_the_pages_have_their_names():
    assert reverse("audit:session-list") == SESSIONS
    assert reverse("audit:query-list") == QUERIES
