import datetime as dt
import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account
from audit.models import Activity
from audit.services import record
from audit.verbs import Verb
from clusters.models import Cluster

URL = "/audit/activities/"
RTL = "\u202e"


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(name="keen-coffee", name_folded="keen-coffee", address="a:1", host="a")


@pytest.fixture
def history(alice: Account, bob: Account, cluster: Cluster) -> list[Activity]:
    return [
        record(actor=alice, verb=Verb.CLUSTER_CREATED, entity=cluster, after={"name": "keen-coffee"}),
        record(
            actor=alice,
            verb=Verb.CLUSTER_UPDATED,
            entity=cluster,
            before={"tags": {"env": "a", "team": "x"}},
            after={"tags": {"env": "b", "team": "x"}},
        ),
        record(
            actor=bob, verb=Verb.PERMISSION_DENIED, entity_name="POST /x/", outcome=Activity.Outcome.DENIED
        ),
    ]


def sentences(client: Client, query: str = "") -> list[str]:
    html = client.get(URL + query).text
    rows = re.findall(r'<details id="activity-\d+">\s*<summary>(.*?)</summary>', html)
    return [re.sub("<[^>]+>", "", row) for row in rows]


def test_an_auditor_reads_sentences_newest_first(bob_client: Client, history: list[Activity]):
    assert sentences(bob_client) == [
        "was refused POST /x/",
        "changed proxy cluster keen-coffee",
        "created proxy cluster keen-coffee",
    ]


@pytest.mark.parametrize("path", ["", "1/"])
def test_a_user_may_read_none_of_it(charlie_client: Client, history: list[Activity], path: str):
    assert charlie_client.get(URL + path).status_code == 403
    assert charlie_client.post(URL + "export/", {"format": "csv"}).status_code == 403


@pytest.mark.parametrize("path", ["", "1/"])
def test_a_stranger_is_sent_to_sign_in(client: Client, db: None, path: str):
    assert client.get(URL + path).status_code == 302


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?actor=BOB@example.com", ["was refused POST /x/"]),
        ("?verb=proxy+cluster+created", ["created proxy cluster keen-coffee"]),
        ("?entity_type=console", ["was refused POST /x/"]),
        ("?outcome=denied", ["was refused POST /x/"]),
        ("?entity=keen-coffee&verb=proxy+cluster+updated", ["changed proxy cluster keen-coffee"]),
        ("?actor=alice@example.com&outcome=denied", []),
        (
            "?actor=alice@example.com&entity=keen-coffee&verb=proxy+cluster+created&outcome=done",
            ["created proxy cluster keen-coffee"],
        ),
        ("?since=2999-01-01T00:00", []),
        ("?until=2001-01-01T00:00", []),
    ],
)
def test_each_filter_narrows_the_log(
    bob_client: Client, history: list[Activity], query: str, found: list[str]
):
    assert sentences(bob_client, query) == found


def test_an_entity_is_found_by_its_id_after_it_was_renamed(
    bob_client: Client, cluster: Cluster, history: object
):
    Cluster.objects.update(name="other")
    assert len(sentences(bob_client, f"?entity={cluster.pk}")) == 2


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?actor=nobody@example.com", "Nobody here has the address “nobody@example.com”"),
        ("?verb=proxy+cluster+eaten", "“proxy cluster eaten” is not in the list"),
        ("?since=yesterday", "“yesterday” is no time. Give date and time in UTC, as in 2026-11-22T14:30."),
        ("?since=0001-01-01T00:00%2B14:00", "is no time"),
        ("?since=2026-02-02T00:00&until=2026-02-01T00:00", "not later than the time it begins from"),
        ("?entity=%00", "Null characters are not allowed"),
        ("?actor=" + "x" * 5_000, "at most 254 characters (it has 5000)"),
        ("?outcome=%E2%80%AE", "is not in the list"),
        ("?verb=signed+in&entity_type=resource", "“signed in” is of another kind: People."),
    ],
)
def test_a_wrong_value_is_said_at_its_field_and_shows_no_rows(
    bob_client: Client, history: list[Activity], query: str, says: str
):
    response = bob_client.get(URL + query)
    assert response.status_code == 422
    assert says in response.text.replace("&#x27;", "'")
    assert "<tbody>" not in response.text


def test_what_was_typed_stays_in_its_field(bob_client: Client, db: None):
    html = bob_client.get(URL + "?actor=%22%3E%3Cb%3E&since=2026-01-01T00:00Z").text
    assert 'value="&quot;&gt;&lt;b&gt;"' in html
    assert 'value="2026-01-01T00:00"' in html


@pytest.mark.parametrize(
    "cursor",
    # [null, null], ["2026", Infinity], a time before all times, a row that no integer counts, nonsense
    [
        "W251bGwsIG51bGxd",
        "WyIyMDI2IiwgSW5maW5pdHld",
        "WyIwMDAxLTAxLTAxVDAwOjAwKzE0OjAwIiwxXQ",
        "WyIyMDI2LTAxLTAxVDAwOjAwWiIsIDFlOTk5XQ",
        "%00%ff",
    ],
)
def test_a_cursor_of_nonsense_is_the_first_page(bob_client: Client, history: list[Activity], cursor: str):
    for side in ("after", "before"):
        response = bob_client.get(f"{URL}?{side}={cursor}")
        assert response.status_code == 200
        assert "keen-coffee" in response.text


def test_empty_filters_leave_the_address(bob_client: Client, db: None):
    response = bob_client.get(URL + "?actor=&verb=signed+in&entity=")
    assert (response.status_code, response["Location"]) == (302, URL + "?verb=signed+in")


def test_an_active_filter_is_a_chip_that_can_be_removed(bob_client: Client, history: list[Activity]):
    html = bob_client.get(URL + "?actor=alice@example.com&verb=proxy+cluster+created").text
    assert f'href="{URL}?verb=proxy+cluster+created" aria-label="Remove Who: alice@example.com"' in html
    assert f'href="{URL}?actor=alice%40example.com" aria-label="Remove What: proxy cluster created"' in html


def test_pages_follow_one_another_without_a_gap(bob_client: Client, alice: Account):
    for number in range(120):
        record(actor=alice, verb=Verb.ACCOUNT_INVITED, entity_name=f"p{number}")
    seen: list[str] = []
    query = ""
    while True:
        html = bob_client.get(URL + query).text
        seen += re.findall(r"invited <bdi>p(\d+)</bdi>", html)
        if not (link := re.search(r'rel="next" href="([^"]+)"', html)):
            break
        query = link[1].replace("&amp;", "&")
    assert seen == [str(number) for number in reversed(range(120))]
    assert "120 activities" in html


def test_a_page_costs_the_same_with_one_row_or_fifty(
    bob_client: Client, alice: Account, django_assert_num_queries: object
):
    record(actor=alice, verb=Verb.SIGNED_IN)
    with django_assert_num_queries(5):  # type: ignore[operator]  # session, person, count, rows, people to offer
        bob_client.get(URL)
    for _ in range(60):
        record(actor=alice, verb=Verb.CLUSTER_UPDATED, before={"a": 1}, after={"a": 2})
    with django_assert_num_queries(5):  # type: ignore[operator]
        bob_client.get(URL)


def test_markup_and_what_cannot_be_seen_are_shown_as_text(bob_client: Client, alice: Account):
    record(
        actor=alice,
        verb=Verb.RESOURCE_UPDATED,
        entity_name=f"<script>{RTL}x\r\n\x1b[31m",
        before={f"<b>{RTL}": "<i>\t"},
        after={"tags": {"<u>": "\x07"}},
    )
    html = bob_client.get(URL).text
    assert RTL not in html
    assert "\x1b" not in html
    assert r"<bdi>&lt;script&gt;\u202ex\r\n\x1b[31m</bdi>" in html
    assert r"&lt;i&gt;\t" in html
    assert r"&lt;u&gt;=\x07" in html


def test_a_difference_marks_only_what_differs(bob_client: Client, history: list[Activity]):
    html = bob_client.get(f"{URL}{history[1].pk}/").text
    assert "<del><bdi>env=a</bdi></del>" in html
    assert "<ins><bdi>env=b</bdi></ins>" in html
    assert html.count("<div><bdi>team=x</bdi></div>") == 2


def test_an_activity_has_a_page_of_its_own(bob_client: Client, history: list[Activity], cluster: Cluster):
    html = bob_client.get(f"{URL}{history[0].pk}/").text
    assert "<h1><bdi>alice@example.com</bdi> created proxy cluster <bdi>keen-coffee</bdi></h1>" in html
    assert cluster.pk in html
    assert f'href="{URL}{history[0].pk}/"' in bob_client.get(URL).text


@pytest.mark.parametrize("pk", ["0", "9" * 30, "x", "-1"])
def test_an_unknown_activity_is_not_found(bob_client: Client, pk: str):
    assert bob_client.get(f"{URL}{pk}/").status_code == 404


def test_the_newest_page_is_live_and_answers_not_modified(
    bob_client: Client, alice: Account, history: object
):
    assert "data-live" in bob_client.get(URL).text
    headers = {"HX-Request": "true"}
    first = bob_client.get(URL, headers=headers)
    assert first.text.strip().startswith('<div class="stack" id="activities" data-live')
    headers["If-None-Match"] = first["ETag"]
    again = bob_client.get(URL, headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    record(actor=alice, verb=Verb.SIGNED_IN)
    assert bob_client.get(URL, headers=headers).status_code == 200


def test_an_older_page_stands_still(bob_client: Client, alice: Account):
    for _ in range(60):
        record(actor=alice, verb=Verb.SIGNED_IN)
    link = re.search(r'rel="next" href="([^"]+)"', bob_client.get(URL).text)
    assert link is not None
    assert "data-live" not in bob_client.get(URL + link[1]).text


def test_a_verb_of_another_version_is_shown_as_it_is(bob_client: Client, alice: Account):
    Activity.objects.create(
        created_at=timezone.now(),
        actor=alice,
        actor_name=alice.email,
        verb="moon landed",
        entity_name="Eagle",
    )
    assert sentences(bob_client) == ["moon landed Eagle"]


def test_a_time_span_includes_its_start_and_not_its_end(bob_client: Client, alice: Account):
    for minute in (0, 30, 60):
        moment = dt.datetime(2026, 1, 1, 10, tzinfo=dt.UTC) + dt.timedelta(minutes=minute)
        Activity.objects.create(created_at=moment, actor=alice, verb="signed in", entity_name=str(minute))
    assert len(sentences(bob_client, "?since=2026-01-01T10:00&until=2026-01-01T11:00")) == 2
