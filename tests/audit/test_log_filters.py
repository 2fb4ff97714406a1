"""Audit > Sessions and Audit > Queries, narrowed by filters and searched for a text."""

import datetime as dt
import re
from html import unescape
from urllib.parse import quote

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account
from audit import log_selectors
from tests.audit.factories import make_query, make_session
from tests.audit.logs import QUERIES, SESSIONS, page

# --- Filters ---


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


# --- Sessions by what was asked in them ---


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


def test_what_was_not_found_says_how_much_of_a_text_is_searched(bob_client: Client):
    make_session(b"x" * 3_000 + b"needle")
    for url in (QUERIES, SESSIONS):
        assert "first 2,000 characters" in page(bob_client, url, text="needle")
