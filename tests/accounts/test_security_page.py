import pytest
import time_machine
from django.test import Client

from accounts.models import Account
from audit.models import Activity
from tests.accounts.people import add_app, code_of, is_signed_in, recovery_codes, submit_sign_in
from tests.conftest import sign_in
from tests.people import PASSWORD

SECURITY = "/settings/security/"


def test_everybody_has_one(alice_client, bob_client, charlie_client):
    for client in (alice_client, bob_client, charlie_client):
        page = client.get(SECURITY).content.decode()
        for words in ("Change password", "Set up an app", "Add a security key", "Sign out everywhere else"):
            assert words in page


def test_it_says_what_protects_the_account(charlie_client, charlie):
    assert "Whoever knows your password can sign in." in charlie_client.get(SECURITY).content.decode()
    add_app(charlie)
    recovery_codes(charlie)
    page = charlie_client.get(SECURITY).content.decode()
    assert "Your password alone does not open this account." in page
    assert "10 left" in page


@pytest.mark.parametrize(
    ("host", "secure", "words"),
    [
        ("127.0.0.1:8000", False, "Open http://localhost:8000/ on this machine"),
        ("127.0.0.1", False, "Open http://localhost/ on this machine"),
        ("[::1]:8000", False, "never work under an IP address, as ::1 is. Open http://localhost:8000/"),
        (
            "10.0.0.5:8000",
            True,
            "never work under an IP address, as 10.0.0.5 is. Open the console by its name",
        ),
        ("console.example.com", False, "Security keys work over HTTPS only"),
        ("console.example.com", True, ""),
        ("localhost:8000", False, ""),
    ],
)
def test_where_a_security_key_cannot_work_is_said_before(charlie_client, settings, host, secure, words):
    settings.ALLOWED_HOSTS = ["*"]
    page = charlie_client.get(SECURITY + "keys/new/", headers={"Host": host}, secure=secure).content.decode()
    assert ("Add key" in page) == (not words)
    assert words in page


def test_a_name_is_changed(charlie_client, charlie):
    assert charlie_client.post(SECURITY + "name/", {"name": "Charles"}).headers["Location"] == SECURITY
    charlie.refresh_from_db()
    assert charlie.name == "Charles"
    activity = Activity.objects.get()
    assert (activity.verb, activity.before, activity.after) == (
        "account renamed",
        {"name": "Charlie"},
        {"name": "Charles"},
    )


@pytest.mark.parametrize("name", ["", "x" * 151, "a\0b", "a\nb", "\u202e", "x" * 1_000_000])
def test_a_name_that_cannot_be_keeps_the_old_one(charlie_client, charlie, name):
    response = charlie_client.post(SECURITY + "name/", {"name": name})
    assert response.status_code == 422
    charlie.refresh_from_db()
    assert charlie.name == "Charlie"


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "🐘", 'O\'Neill "Q"', "{{ 7 }}"])
def test_a_name_is_text(charlie_client, name):
    page = charlie_client.post(SECURITY + "name/", {"name": name}, follow=True).content.decode()
    assert "<script>alert" not in page
    assert Account.objects.get().name == name


def test_signing_out_everywhere_else_keeps_this_session(charlie):
    here, there = Client(), Client()
    for client in (here, there):
        submit_sign_in(client, charlie.email)
    response = here.post(SECURITY + "sessions/", follow=True)
    assert "signed out everywhere else" in response.content.decode()
    assert is_signed_in(here)
    assert not is_signed_in(there)
    assert Activity.objects.filter(verb="sessions ended", actor=charlie).count() == 1


@pytest.mark.parametrize("path", ["name/", "sessions/"])
def test_safe_methods_change_nothing(charlie_client, path):
    assert charlie_client.get(SECURITY + path).status_code == 405
    assert not Activity.objects.exists()


# --- Confirming that it is you -----------------------------------------------------------------

WANTED = "/settings/people/invitations/new/"


@pytest.mark.parametrize("kind", ["password", "code"])
def test_either_proof_opens_the_page_that_asked(alice, kind):
    client = sign_in(alice, confirmed=False)
    secret = add_app(alice)
    assert client.get(WANTED).status_code == 302
    if kind == "password":
        response = client.post("/confirm/", {"password": PASSWORD, "next": WANTED})
    else:
        response = client.post("/confirm/code/", {"code": code_of(secret), "next": WANTED})
    assert response.headers["Location"] == WANTED
    assert client.get(WANTED).status_code == 200


def test_the_page_keeps_where_to_go_on(alice):
    client = sign_in(alice, confirmed=False)
    add_app(alice)
    page = client.get("/confirm/", {"next": WANTED}).content.decode()
    assert f'name="next" value="{WANTED}"' in page
    assert "/confirm/code/?next=" in page


def test_signing_in_is_a_proof_too(client, alice):
    submit_sign_in(client, alice.email)
    assert client.get(WANTED).status_code == 200
    # allauth's own pages ask by the same rule.
    assert client.get("/settings/security/app/").status_code == 200


def test_a_proof_holds_for_ten_minutes(alice):
    with time_machine.travel(1_800_000_000) as clock:
        client = sign_in(alice)
        clock.shift(599)
        assert client.get(WANTED).status_code == 200
        clock.shift(2)
        assert client.get(WANTED).status_code == 302
        assert client.get("/settings/security/app/").status_code == 302


def test_the_proof_of_another_person_is_none(alice, charlie):
    client = sign_in(charlie)
    session = client.session
    records = session["account_authentication_methods"]
    client.force_login(alice)
    session = client.session
    session["account_authentication_methods"] = records
    session["account_authentication_methods_user"] = charlie.pk
    session.save()
    assert client.get(WANTED).status_code == 302


def test_a_proof_from_the_future_is_none(alice):
    client = sign_in(alice)
    with time_machine.travel(1_000_000_000):
        session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": 99_999_999_999}]
    session.save()
    assert client.get(WANTED).status_code == 302


def test_a_wrong_password_proves_nothing(alice):
    client = sign_in(alice, confirmed=False)
    response = client.post("/confirm/", {"password": "wrong", "next": WANTED})
    assert "This is not your password." in response.content.decode()
    assert client.get(WANTED).status_code == 302


@pytest.mark.parametrize(
    ("page", "field", "reason"),
    [
        ("/confirm/", "password", "wrong password"),
        ("/confirm/code/", "code", "wrong code"),
        ("/confirm/security-key/", "credential", "security key refused"),
    ],
)
def test_a_proof_that_fails_is_recorded_as_theirs_who_are_signed_in(alice, page, field, reason):
    add_app(alice)
    alice.authenticator_set.create(type="webauthn", data={"name": "Key", "credential": {}})
    client = sign_in(alice, confirmed=False)
    client.post(page, {field: '{"id": 1}', "next": WANTED})
    activity = Activity.objects.get()
    assert (activity.actor, activity.entity_id, activity.outcome) == (alice, alice.pk, "denied")
    assert activity.after == {"reason": reason}
    assert str(activity) == "alice@example.com failed to confirm who they are"
    found = client.get("/audit/activities/", {"actor": alice.email}).content.decode()
    assert "failed to confirm who they are" in found


def test_too_many_tries_to_confirm_are_theirs_as_well(alice):
    client = sign_in(alice, confirmed=False)
    for _ in range(6):
        client.post("/confirm/", {"password": "wrong"})
    reasons = Activity.objects.filter(actor=alice, verb="confirmation failed").order_by("id")
    assert list(reasons.values_list("after__reason", flat=True)) == ["wrong password"] * 5 + [
        "too many attempts"
    ]


def test_who_was_interrupted_is_told_what_to_press_again(alice, charlie):
    add_app(alice)
    page = f"/settings/people/{charlie.pk}/"
    client = sign_in(alice, confirmed=False)
    confirm = client.post(page + "level/", {"level": "admin", "was": "user"}).headers["Location"]
    assert "then go on" in client.get(confirm).content.decode()
    assert client.post("/confirm/code/", {"code": "wrong", "next": page}).status_code == 200
    response = client.post("/confirm/", {"password": PASSWORD, "next": page}, follow=True)
    words = "You are confirmed, and nothing was done yet. Choose “Change level” again."
    assert [str(message) for message in response.context["messages"]] == [words]
    assert words not in client.get(page).content.decode()
    # Who confirms for something else hears nothing of it.
    client.post("/confirm/", {"password": PASSWORD, "next": page})
    assert not list(client.get(page).context["messages"])


def test_a_post_is_never_kept_to_be_replayed(alice, charlie):
    """It could hold a secret; people confirm first and act again."""
    client = sign_in(alice, confirmed=False)
    client.post(f"/settings/people/{charlie.pk}/level/", {"level": "admin", "was": "user"})
    assert "admin" not in str(dict(client.session.items()).get("account_reauthentication_state"))
    client.post("/confirm/", {"password": PASSWORD, "next": f"/settings/people/{charlie.pk}/"})
    charlie.refresh_from_db()
    assert charlie.level == "user"
