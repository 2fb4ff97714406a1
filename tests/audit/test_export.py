import csv
import io
import json

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account
from audit.context import Source, acting_from
from audit.export import ACTIVITY_COLUMNS
from audit.models import Activity
from audit.services import record
from audit.verbs import Verb

URL = "/audit/activities/export/"


def exported(client: Client, **fields: str) -> bytes:
    response = client.post(URL, fields)
    assert response.status_code == 200
    return b"".join(response.streaming_content)  # type: ignore[attr-defined]


def rows(client: Client, **fields: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(exported(client, format="csv", **fields).decode(), newline="")))


def test_the_file_is_named_for_the_day(bob_client: Client):
    response = bob_client.post(URL, {"format": "csv"})
    day = timezone.now().date().isoformat()
    assert response["Content-Disposition"] == f'attachment; filename="activities-{day}.csv"'
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Cache-Control"] == "no-store"


def test_only_what_matches_is_exported_oldest_first(bob_client: Client, alice: Account, bob: Account):
    for name in ("one", "two"):
        record(actor=alice, verb=Verb.ACCOUNT_INVITED, entity_name=name)
    record(actor=bob, verb=Verb.SIGNED_IN)
    assert [row["entity_name"] for row in rows(bob_client, actor="alice@example.com")] == ["one", "two"]
    assert [row["verb"] for row in rows(bob_client, outcome="done")][:3] == ["account invited"] * 2 + [
        "signed in"
    ]


def test_an_export_is_an_activity_with_its_filters(bob_client: Client, bob: Account):
    exported(bob_client, format="jsonl", verb="signed in", since="2026-01-01T00:00")
    activity = Activity.objects.get()
    assert (activity.actor, activity.verb) == (bob, "activities exported")
    assert activity.after == {
        "format": "JSON lines",
        "verb": "signed in",
        "since": "2026-01-01T00:00:00+00:00",
    }


def test_csv_lines_end_as_the_standard_says_and_have_all_columns(bob_client: Client, alice: Account):
    record(
        actor=alice, verb=Verb.RESOURCE_UPDATED, entity_name='a "b", c', before={"port": 1}, after={"port": 2}
    )
    text = exported(bob_client, format="csv").decode()
    assert text.count("\r\n") == text.count("\n") == 2
    row = rows(bob_client)[0]
    assert tuple(row) == ACTIVITY_COLUMNS
    assert row["timestamp"].endswith("Z")
    assert (row["entity_name"], row["before"], row["after"]) == ('a "b", c', '{"port": 1}', '{"port": 2}')
    assert row["description"] == 'alice@example.com changed resource a "b", c'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "＝1", "－1"])
def test_a_spreadsheet_calculates_nothing(bob_client: Client, alice: Account, text: str):
    with acting_from(Source("10.0.0.1", text)):
        record(actor=alice, verb=Verb.RESOURCE_UPDATED, entity_name=text)
    row = rows(bob_client)[0]
    assert (row["entity_name"], row["user_agent"]) == (f"'{text}", f"'{text}")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\t=1", r"\t=1"),
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u202e", r"\u202e"),
        ("\0", r"\x00"),
    ],
)
def test_what_cannot_be_seen_is_written_out(bob_client: Client, alice: Account, text: str, written: str):
    with acting_from(Source(None, text)):
        record(actor=alice, verb=Verb.SIGNED_IN)
    assert rows(bob_client)[0]["user_agent"] == written
    line = exported(bob_client, format="jsonl").splitlines()[0]
    assert line.isascii()
    assert b"\x1b" not in line
    assert json.loads(line)["user_agent"] == text.replace("\0", r"\x00")


def test_json_lines_keep_what_was_recorded(bob_client: Client, alice: Account):
    record(actor=alice, verb=Verb.CLUSTER_UPDATED, before={"tags": {"a": "ü"}}, after={"tags": {}})
    activity = json.loads(exported(bob_client, format="jsonl").splitlines()[0])
    assert tuple(activity) == ACTIVITY_COLUMNS
    assert (activity["before"], activity["after"]) == ({"tags": {"a": "ü"}}, {"tags": {}})


def test_a_long_export_misses_and_repeats_nothing(
    bob_client: Client, alice: Account, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("audit.selectors._CHUNK", 7)
    now = timezone.now()
    # Rows of one moment, across the borders of chunks.
    Activity.objects.bulk_create(
        Activity(created_at=now, actor=alice, verb="signed in", entity_name=str(number))
        for number in range(50)
    )
    assert [row["entity_name"] for row in rows(bob_client)] == [str(number) for number in range(50)]


@pytest.mark.parametrize("fields", [{}, {"format": "exe"}, {"format": "csv", "since": "x"}])
def test_an_export_that_makes_no_sense_is_refused_and_not_recorded(
    bob_client: Client, fields: dict[str, str]
):
    assert bob_client.post(URL, fields).status_code == 422
    assert not Activity.objects.exists()


def test_looking_at_the_address_exports_nothing(bob_client: Client):
    assert bob_client.get(URL).status_code == 405
    assert not Activity.objects.exists()
