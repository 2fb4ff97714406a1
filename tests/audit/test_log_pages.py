"""Audit > Sessions and Audit > Queries: who sees them, and what stands in them."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account
from audit.models import Query, Session
from sdm.contract.parameters import Parameters
from tests.audit.factories import answered, asked, began, make_query, make_session, new_session_id, tell
from tests.audit.logs import HOSTILE, HTMX, QUERIES, SESSIONS, page
from tests.resources.factories import make_resource

# How a page shows a value, and what stands in the place of one.
CODE = "<code><bdi>{}</bdi></code>"
NOTE = '<span class="muted">{}</span>'


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


@pytest.mark.parametrize("url", [f"{SESSIONS}s-0000000000000000/", f"{SESSIONS}%00/end/", f"{QUERIES}s-1-1/"])
def test_what_is_not_there_is_not_found(alice_client: Client, url: str):
    assert alice_client.get(url).status_code == 404


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
    tell(
        began(sid),
        asked(sid, text_length=10_000_000, parameters=Parameters((b"<b>", b"\xff"), True)),
        asked(sid, 2, parameters=Parameters((b"a", b"b"), True, 2, 100_000)),
        asked(sid, 3, parameters=Parameters((b"a", b"b"), True, 1_500)),
        asked(sid, 4, parameters=Parameters((b"a", b"b"), False, 2)),
    )
    text = page(bob_client, f"{QUERIES}{sid}-1/")
    assert "10,000,000 bytes" in text
    assert "there were more" in text
    assert "&lt;b&gt;" in text
    assert r"\xff" in text
    longer, more, whole = (page(bob_client, f"{QUERIES}{sid}-{number}/") for number in (2, 3, 4))
    assert longer.count("Cut: ") == 1
    assert '<code><bdi>b</bdi></code> <span class="small muted">Cut: all of it had 100,000 bytes.' in longer
    assert more.count("Cut: ") == 1
    assert "Cut: 2 of 1,500 values." in more
    assert "Cut: " not in whole


def test_null_is_told_from_its_name_and_from_nothing(bob_client: Client):
    sid = new_session_id()
    tell(began(sid), asked(sid, parameters=Parameters((None, b"NULL", b"", b"empty"), False, 4)))
    text = page(bob_client, f"{QUERIES}{sid}-1/")
    assert [text.count(f"<li>{shown}</li>") for shown in (NOTE.format("NULL"), NOTE.format("empty"))] == [
        1,
        1,
    ]
    assert [text.count(f"<li>{shown}</li>") for shown in (CODE.format("NULL"), CODE.format("empty"))] == [
        1,
        1,
    ]


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


def test_the_pages_have_their_names():
    assert reverse("audit:session-list") == SESSIONS
    assert reverse("audit:query-list") == QUERIES
