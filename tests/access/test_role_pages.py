"""The pages of roles and of their members, as an administrator uses them."""

import pytest

from access.models import Attachment, Role
from accounts.policy import Level
from tests.access.factories import attach, choose, grant, make_role, match
from tests.access.pages import text, url
from tests.people import make_account

pytestmark = pytest.mark.django_db


# --- Roles ---


def test_no_role_yet(alice_client, bob_client):
    page = text(alice_client.get(url("role-list")))
    assert "No role yet" in page
    assert page.count("button--primary") == 1
    assert "Add role" not in text(bob_client.get(url("role-list")))


def test_roles_are_found_by_name_and_tag(alice, alice_client, role, orders):
    make_role(alice, "operators", Team="red")
    choose(role, orders)
    for search in ("DEV", "name:develop", "tags:Team=blue", f"id:{role.pk}"):
        page = text(alice_client.get(url("role-list"), {"q": search}))
        assert "developers" in page and "operators" not in page
    assert "No roles match" in text(alice_client.get(url("role-list"), {"q": "nobody"}))


def test_the_list_takes_as_many_queries_for_many(alice, alice_client, django_assert_max_num_queries):
    for number in range(40):
        match(make_role(alice, f"role-{number}", alice, Team="blue"), kinds=["postgres"])
    with django_assert_max_num_queries(8):
        assert "40 roles" in text(alice_client.get(url("role-list")))


def test_a_role_is_added(alice_client):
    response = alice_client.post(
        url("role-create"), {"name": "developers", "tags_key": ["Team"], "tags_value": ["blue"]}
    )
    role = Role.objects.get()
    assert response.headers["Location"] == url("role-rules", role)
    assert [str(tag) for tag in role.tags.all()] == ["Team=blue"]
    assert "This role opens nothing yet" in text(alice_client.get(url("role-rules", role)))


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "Enter a name"), ("DEVELOPERS", "Another role has this name"), ("a\u202eb", "U+202E")],
)
def test_a_name_that_cannot_be(alice_client, role, name, words):
    response = alice_client.post(url("role-create"), {"name": name})
    assert response.status_code == 422
    assert words in text(response)
    assert Role.objects.count() == 1


def test_a_role_is_renamed_and_keeps_its_address(alice_client, role):
    sent = {"name": "builders", "version": role.version, "tags_key": [""], "tags_value": [""]}
    assert alice_client.post(url("role-settings", role), sent).status_code == 302
    role.refresh_from_db()
    assert (role.name, role.tags.count()) == ("builders", 0)
    page = text(alice_client.get(url("role-settings", role)))
    assert "Saved." in page and "builders" in page


def test_who_is_late_is_told_what_changed_and_can_save_over_it(alice_client, role):
    alice_client.post(url("role-settings", role), {"name": "builders", "version": 1})
    late = alice_client.post(url("role-settings", role), {"name": "makers", "version": 1})
    assert late.status_code == 409
    assert "This role was changed while you were editing" in text(late)
    assert "builders" in text(late) and 'value="makers"' in text(late)
    assert alice_client.post(url("role-settings", role), {"name": "makers", "version": 2}).status_code == 302


@pytest.mark.parametrize("version", ["-99999999999999999999", "99999999999999999999", "x", ""])
def test_a_version_that_is_none_changes_nothing(alice_client, role, version):
    sent = {"name": "makers", "version": version}
    assert alice_client.post(url("role-settings", role), sent).status_code in (409, 422)
    role.refresh_from_db()
    assert role.name == "developers"


def test_deleting_says_what_is_lost_and_asks_for_the_name(alice, alice_client, charlie, role, orders):
    attach(alice, charlie, role)
    choose(role, orders)
    grant(alice, charlie, role)
    page = text(alice_client.get(url("role-deletion", role)))
    for words in ("1 member loses what only this role opens", "1 rule goes with it", "by this role ends: 1"):
        assert words in page
    assert alice_client.post(url("role-deletion", role), {"name": "other"}).status_code == 422
    assert alice_client.post(url("role-deletion", role), {"name": "developers"}).status_code == 302
    assert not Role.objects.exists()


def test_a_role_that_holds_nothing_is_deleted_without_typing(alice_client, role):
    assert alice_client.post(url("role-deletion", role)).status_code == 302
    assert not Role.objects.exists()


# --- Members ---


def test_a_member_is_added_removed_and_put_back(alice_client, charlie, role):
    sent = {"person": "Charlie@Example.com"}
    page = text(alice_client.post(url("role-members", role), sent, follow=True))
    assert "Charlie has the role developers now." in page
    attachment = Attachment.objects.get()
    page = text(alice_client.post(url("member-remove", role, attachment), follow=True))
    assert "no longer" in page and 'value="charlie@example.com"' in page and "Undo" in page
    assert not Attachment.objects.exists()
    alice_client.post(url("role-members", role), {"person": "charlie@example.com"})
    assert Attachment.objects.get().account == charlie


@pytest.mark.parametrize(
    ("person", "words"),
    [
        ("", "Enter the e-mail address"),
        ("charly@example.com", "There is no person of this name. Did you mean charlie@example.com?"),
        ("a\0b", "Null characters"),
    ],
)
def test_somebody_who_is_not_there(alice_client, charlie, role, person, words):
    response = alice_client.post(url("role-members", role), {"person": person})
    assert response.status_code == 422
    assert words in text(response)


def test_who_is_a_member_already_and_who_is_suspended(alice, alice_client, charlie, role):
    attach(alice, charlie, role)
    again = alice_client.post(url("role-members", role), {"person": charlie.email})
    assert "Charlie has the role developers already." in text(again)
    dora = make_account("Dora", Level.USER)
    dora.is_active = False
    dora.save()
    assert alice_client.post(url("role-members", role), {"person": dora.email}).status_code == 422


def test_a_member_of_another_role_is_not_found(alice, alice_client, charlie, role):
    attachment = attach(alice, charlie, make_role(alice))
    assert alice_client.post(url("member-remove", role, attachment)).status_code == 404
