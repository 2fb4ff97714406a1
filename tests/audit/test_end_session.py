"""End session: who may, and what comes of it."""

import pytest
from django.test import Client

from accounts.models import Account
from audit.models import Activity
from audit.sessions import ended_sessions, session_end
from events.models import EventRow
from tests.audit.factories import make_session
from tests.audit.logs import HTMX, SESSIONS, page


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


def test_an_auditor_ends_nothing_and_sees_no_button(bob_client: Client):
    session = make_session()
    assert "End session" not in page(bob_client, SESSIONS)
    assert "End session" not in page(bob_client, f"{SESSIONS}{session.pk}/")
    for method in (bob_client.get, bob_client.post):
        assert method(f"{SESSIONS}{session.pk}/end/").status_code == 403
    assert Activity.objects.filter(verb="permission denied").count() == 2
    session.refresh_from_db()
    assert session.end_requested_at is None
