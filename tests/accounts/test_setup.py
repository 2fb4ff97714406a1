import logging

import pytest
from django.test import Client

from accounts.models import Account, SetupLink
from accounts.policy import Level
from accounts.setup import setup_path
from accounts.tokens import HideTokens
from audit.models import Activity
from tests.accounts.people import NEW_PASSWORD, at_once, everything_stored, is_signed_in
from tests.people import make_account

FORM = {"email": "Root@Example.com", "name": "Root", "password": NEW_PASSWORD, "password_again": NEW_PASSWORD}


@pytest.fixture
def path(db):
    return setup_path()


def test_the_first_administrator_is_made_and_signed_in(client, path):
    assert client.get(path).status_code == 200
    response = client.post(path, FORM)
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    account = Account.objects.get()
    assert (account.email, account.name, account.level) == ("root@example.com", "Root", Level.ADMIN)
    assert account.check_password(NEW_PASSWORD)
    assert is_signed_in(client)
    # A password typed a moment ago is proof enough to make a key.
    assert client.get("/settings/people/invitations/new/").status_code == 200
    assert str(Activity.objects.earliest("id")) == "root@example.com created their account"
    assert list(Activity.objects.order_by("id").values_list("verb", flat=True)) == [
        "account created",
        "signed in",
    ]


def test_the_address_works_once(client, path):
    client.post(path, FORM)
    assert Client().get(path).status_code == 404
    assert Client().post(path, FORM | {"email": "second@example.com"}).status_code == 404
    assert setup_path() is None
    assert Account.objects.count() == 1


def test_each_start_replaces_the_address(client, path):
    again = setup_path()
    assert again != path
    assert client.get(path).status_code == 404
    assert client.get(again).status_code == 200
    assert SetupLink.objects.count() == 1


def test_it_ends_when_an_administrator_comes_from_elsewhere(client, path, alice):
    assert client.get(path).status_code == 404
    assert client.post(path, FORM).status_code == 404
    assert setup_path() is None


def test_a_suspended_administrator_does_not_open_it_again(alice):
    Account.objects.update(is_active=False)
    assert setup_path() is None


def test_people_who_are_no_administrators_do_not_close_it(client, charlie, bob):
    assert client.get(setup_path()).status_code == 200


def test_the_token_is_long_and_only_its_hash_is_kept(client, path):
    token = path.split("/")[2]
    assert len(token) == 43  # 256 bits
    client.get(path)
    client.post(path, FORM | {"password_again": "differs"})
    assert token not in everything_stored()
    client.post(path, FORM)
    stored = everything_stored()
    assert token not in stored
    assert NEW_PASSWORD not in stored


def test_two_submissions_at_once_make_one_administrator(transactional_db):
    path = setup_path()
    clients = [Client(), Client(), Client()]
    answers = at_once(
        *(
            lambda c=c, i=i: c.post(path, FORM | {"email": f"root{i}@example.com"}).status_code
            for i, c in enumerate(clients)
        )
    )
    assert sorted(answers) == [302, 404, 404]
    assert Account.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("email", "", "required"),
        ("email", "root", "valid email"),
        ("email", "a" * 300 + "@example.com", "254"),
        ("name", "", "enter the name"),
        ("name", "Ro\not", "cannot see"),
        ("name", "\u202egor", "cannot see"),
        ("name", "x" * 151, "150"),
        ("password", "short", "too short"),
        ("password", "password1234", "too common"),
        ("password", "root@example.com", "similar"),
        ("password_again", "another one entirely", "differ"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(client, path, field, value, message):
    fields = FORM | {field: value}
    if field == "password":
        fields["password_again"] = value
    response = client.post(path, fields)
    assert response.status_code == 422
    errors = " ".join(response.context["form"].errors[field]).lower()
    assert any(part in errors for part in message.split("|")), errors
    assert Account.objects.count() == 0
    assert NEW_PASSWORD not in response.content.decode()


def test_an_empty_form_says_so_too(client, path):
    assert client.post(path).status_code == 422


SURROGATE = "\ud800".encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("field", FORM)
@pytest.mark.parametrize(
    "value", ["\0", "<script>", "'\"", "🐘" * 100, "x" * 1_000_000, SURROGATE], ids=range(6)
)
def test_hostile_input_is_no_error_of_ours(client, path, field, value):
    status = client.post(path, FORM | {field: value}).status_code
    assert (status, Account.objects.count()) in ((302, 1), (422, 0))


def test_wrong_tokens_are_not_found_and_then_slowed_down(client, path):
    answers = [client.get(f"/setup/{number}/").status_code for number in range(25)]
    assert answers == [404] * 20 + [429] * 5
    # Guessing on does not help: the right one waits as well.
    assert client.get(path).status_code == 429
    assert Client(REMOTE_ADDR="192.0.2.7").get(path).status_code == 200


def test_right_tokens_are_not_counted(client, path):
    assert {client.get(path).status_code for _ in range(30)} == {200}


def test_the_token_is_in_no_log(client, path, caplog, settings):
    """Not when the form comes without its CSRF token, nor under a host name that is not ours."""
    caplog.handler.addFilter(HideTokens())
    token = path.split("/")[2]
    with caplog.at_level(logging.DEBUG):
        assert Client(enforce_csrf_checks=True).post(path, FORM).status_code == 403
        assert client.get(path, headers={"Host": "evil.example"}).status_code == 400
        client.post(path, FORM)
        assert client.get(path).status_code == 404
    assert "/setup/…" in caplog.text
    assert token not in caplog.text
    assert all(token not in repr(record.__dict__) for record in caplog.records)
    assert settings.LOGGING["handlers"]["stderr"]["filters"][-1] == "hide_tokens"


def test_whoever_was_signed_in_before_is_not_any_more(path):
    charlie = make_account("Charlie", Level.USER)
    client = Client()
    client.force_login(charlie)
    before = client.session.session_key
    client.post(path, FORM)
    assert client.session.session_key != before
    assert client.get("/settings/security/").context["request"].user.email == "root@example.com"
