"""Files of Audit > Sessions and Audit > Queries."""

import csv
import io
import json

import pytest
from django.test import Client

from accounts.models import Account
from audit.models import Activity
from sdm.contract.parameters import Parameters
from tests.audit.factories import asked, began, make_session, new_session_id, tell
from tests.audit.logs import HOSTILE


def exported(client: Client, what: str, **fields: str) -> bytes:
    response = client.post(f"/audit/{what}/export/", fields)
    assert response.status_code == 200
    return b"".join(response.streaming_content)  # type: ignore[attr-defined]


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


def test_an_export_tells_null_from_its_name_and_what_is_cut_of_the_values(bob_client: Client):
    sid = new_session_id()
    values = Parameters((None, b"NULL", b"=1", b"x"), True, 1_500, 100_000)
    tell(began(sid), asked(sid, parameters=values), asked(sid, 2))
    names = ("parameters", "parameters_cut", "parameters_total", "parameters_last_length")
    lines = [json.loads(line) for line in exported(bob_client, "queries", format="jsonl").splitlines()]
    assert [[line[name] for name in names] for line in lines] == [
        [[None, "NULL", "=1", "x"], True, 1_500, 100_000],
        [None, False, None, None],
    ]
    rows = csv.DictReader(io.StringIO(exported(bob_client, "queries", format="csv").decode(), newline=""))
    assert [[row[name] for name in names] for row in rows] == [
        ['[null, "NULL", "=1", "x"]', "true", "1500", "100000"],
        ["", "false", "", ""],
    ]


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
