"""Temporary access: given, ended, and filled in with the names that are suggested."""

import re

import pytest
from django.utils import timezone

from access.models import Grant
from accounts.policy import Level
from tests.access.factories import HOUR, grant, make_role
from tests.access.pages import text, url
from tests.people import make_account
from tests.resources.factories import make_resource

pytestmark = pytest.mark.django_db


def given(**changed):
    end = timezone.now() + 3 * HOUR
    return {
        "person": "charlie@example.com",
        "resource": "orders-db",
        "role": "",
        "starts_at": "",
        "ends_at": f"{end:%Y-%m-%dT%H:%M}",
        "reason": "Incident 4711",
        **changed,
    }


def test_temporary_access_is_given_and_ended(alice_client, charlie, orders):
    page = text(alice_client.post(url("grant-create"), given(), follow=True))
    assert "Charlie has temporary access to orders-db." in page
    assert "Incident 4711" in page and "Open now" in page
    made = Grant.objects.get()
    page = text(alice_client.post(url("grant-end", made), follow=True))
    assert "is ended" in page and "Nobody has temporary access" in page
    assert "ended by Alice" in text(alice_client.get(url("grant-past")))
    assert "had ended already" in text(alice_client.post(url("grant-end", made), follow=True))


def test_ending_leads_back_to_where_the_button_was(alice, alice_client, charlie, role, orders):
    places = {
        charlie.pk: url("person-access", charlie),
        role.pk: url("role-members", role),
        "//evil.example": url("grant-list"),
        "": url("grant-list"),
    }
    for back, expected in places.items():
        response = alice_client.post(url("grant-end", grant(alice, charlie, orders)), {"back": back})
        assert response.headers["Location"] == expected


def test_a_role_for_a_while_from_later_on(alice_client, charlie, role):
    start = timezone.now() + HOUR
    form = given(resource="", role="Developers", starts_at=f"{start:%Y-%m-%dT%H:%M}")
    assert alice_client.post(url("grant-create"), form).status_code == 302
    made = Grant.objects.get()
    assert (made.role, made.resource) == (role, None)
    assert "Not begun" in text(alice_client.get(url("role-members", role)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"person": ""}, "Enter the e-mail address"),
        ({"resource": ""}, "Enter a resource here, or a role below."),
        ({"role": "developers"}, "Either a resource or a role."),
        ({"resource": "orders"}, "There is no resource of this name. Did you mean orders-db?"),
        ({"ends_at": ""}, "Enter when it ends."),
        ({"ends_at": "tomorrow"}, "“tomorrow” is no time"),
        ({"ends_at": "2020-01-01T00:00"}, "The end must be after the start."),
        ({"starts_at": "2020-01-01T00:00", "ends_at": "2020-01-02T00:00"}, "The end is over already."),
        ({"ends_at": "9999-12-31T23:59"}, "366 days at most"),
        ({"starts_at": "0001-01-01T00:00"}, "366 days at most"),
        ({"reason": ""}, "Say why"),
        ({"reason": "x" * 501}, "at most 500 characters"),
    ],
)
def test_temporary_access_that_cannot_be(alice_client, charlie, role, orders, changed, words):
    response = alice_client.post(url("grant-create"), given(**changed))
    assert response.status_code == 422
    assert words in text(response)
    assert not Grant.objects.exists()


def test_the_form_comes_filled_in_from_the_page_before(alice_client, charlie, role, orders):
    query = {"person": charlie.pk, "resource": orders.pk, "role": role.pk}
    page = text(alice_client.get(url("grant-create"), query))
    for value in (charlie.email, orders.name, role.name):
        assert re.search(f'<input[^>]* value="{value}"', page)
    page = text(alice_client.get(url("grant-create"), dict.fromkeys(query, "a\0b")))
    assert not re.search(f'<input[^>]* value="{charlie.email}"', page)


@pytest.mark.parametrize("kind", ["person", "resource", "role"])
def test_names_are_suggested_from_their_beginning_then_from_anywhere(
    alice, alice_client, charlie_client, kind
):
    for name in ("beta-alpha", "alpha", "gamma"):
        make_account(name, Level.USER)
        make_resource(alice, name)
        make_role(alice, name)
    page = text(alice_client.get(url(f"{kind}-suggestions"), {"q": "ALPHA"}))
    assert page.index('data-text="alpha') < page.index('data-text="beta-alpha')
    assert "gamma" not in page
    for hostile in ("", "\0", "*%_?[", "😀", "x" * 5_000):
        assert alice_client.get(url(f"{kind}-suggestions"), {"q": hostile}).status_code == 200
    assert charlie_client.get(url(f"{kind}-suggestions")).status_code == 403
