import datetime as dt
import re
from io import StringIO

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts import services
from accounts.mail import send_password_link
from accounts.models import Account, PasswordLink
from accounts.policy import Level
from audit.models import Activity
from tests.accounts.people import (
    NEW_PASSWORD,
    add_app,
    at_once,
    everything_stored,
    has_factor,
    is_signed_in,
    link_in,
    submit_sign_in,
)
from tests.conftest import sign_in
from tests.people import PASSWORD, make_account

NEW = {"password": NEW_PASSWORD, "password_again": NEW_PASSWORD}
FORGOTTEN = "/sign-in/forgotten/"


def path_in(text):
    found = re.search(r"http://127\.0\.0\.1:8000(/new-password/[\w-]{43}/)", str(text))
    assert found, text
    return found[1]


def make_link(client, account):
    return client.post(f"/settings/people/{account.pk}/password-link/")


@pytest.fixture
def path(alice_client, charlie):
    return link_in(make_link(alice_client, charlie))


def test_a_link_sets_a_new_password_and_ends_all_sessions(path, charlie, alice):
    before = Client()
    submit_sign_in(before, charlie.email)
    client = Client()
    assert "charlie@example.com" in client.get(path).content.decode()
    assert client.post(path, NEW).headers["Location"] == "/sign-in/"
    assert "The new password is set." in client.get("/sign-in/").content.decode()
    assert not is_signed_in(client)
    assert not is_signed_in(before)
    assert submit_sign_in(client, charlie.email, NEW_PASSWORD).status_code == 302
    assert is_signed_in(client)
    verbs = Activity.objects.order_by("id").values_list("verb", "actor_name", "entity_name")
    assert ("password link made", "alice@example.com", "Charlie") in verbs
    assert ("password changed", "charlie@example.com", "Charlie") in verbs


def test_until_it_is_used_the_old_password_works_and_nothing_else_changes(path, charlie):
    before = charlie.session_epoch
    assert submit_sign_in(Client(), charlie.email).status_code == 302
    charlie.refresh_from_db()
    assert charlie.session_epoch == before


def test_the_second_factor_stays(charlie, path):
    add_app(charlie)
    client = Client()
    client.post(path, NEW)
    assert has_factor(charlie, "totp")
    assert (
        submit_sign_in(client, charlie.email, NEW_PASSWORD).headers["Location"] == "/sign-in/second-factor/"
    )


def test_it_works_once(path):
    assert Client().post(path, NEW).status_code == 302
    assert Client().get(path).status_code == 404
    assert Client().post(path, NEW).status_code == 404


def test_it_works_once_at_once(transactional_db):
    alice, charlie = make_account("Alice", Level.ADMIN), make_account("Charlie", Level.USER)
    path = f"/new-password/{services.password_link_create(actor=alice, account=charlie).token}/"
    words = [f"purple elephants number {number}" for number in range(3)]
    answers = at_once(
        *(
            lambda word=word: Client().post(path, {"password": word, "password_again": word}).status_code
            for word in words
        )
    )
    assert sorted(answers) == [302, 404, 404]


def test_it_ends_after_a_day(path):
    with time_machine.travel(timezone.now() + dt.timedelta(hours=23, minutes=59)):
        assert Client().get(path).status_code == 200
    with time_machine.travel(timezone.now() + dt.timedelta(days=1, seconds=1)):
        assert Client().get(path).status_code == 404


def test_a_new_link_ends_the_old_one(alice_client, charlie, path):
    fresh = link_in(make_link(alice_client, charlie))
    assert Client().get(path).status_code == 404
    assert Client().get(fresh).status_code == 200


def test_a_suspended_person_gets_no_link_and_cannot_use_one(alice_client, charlie, path):
    Account.objects.filter(pk=charlie.pk).update(is_active=False)
    assert Client().get(path).status_code == 404
    assert Client().post(path, NEW).status_code == 404
    response = alice_client.post(f"/settings/people/{charlie.pk}/password-link/", follow=True)
    assert "Reinstate the account first." in response.content.decode()


def test_making_one_wants_a_recent_proof(alice, charlie):
    client = sign_in(alice, confirmed=False)
    assert make_link(client, charlie).headers["Location"].startswith("/confirm/?next=")
    assert not PasswordLink.objects.exists()


def test_the_token_is_stored_nowhere(path):
    token = path.split("/")[2]
    Client().get(path)
    Client().post(path, NEW | {"password_again": "x"})
    assert token not in everything_stored()


def test_a_weak_password_keeps_the_link(path):
    for weak in ("short", "charlie@example.com", "123456789012"):
        assert Client().post(path, {"password": weak, "password_again": weak}).status_code == 422
    assert Client().post(path, NEW).status_code == 302


def test_failures_with_the_old_password_no_longer_count(path, charlie):
    client = Client()
    for _ in range(5):
        submit_sign_in(client, charlie.email, "forgotten")
    client.post(path, NEW)
    assert submit_sign_in(client, charlie.email, NEW_PASSWORD).status_code == 302


# --- By mail -----------------------------------------------------------------------------------


@pytest.fixture
def mail_server(settings, monkeypatch):
    settings.EMAIL_HOST = "mail.example.com"
    # At once: the thread would use another connection than the test's transaction.
    monkeypatch.setattr("accounts.mail.send_password_link_later", send_password_link)


def test_without_a_mail_server_the_page_says_whom_to_ask(client, charlie):
    for response in (client.get(FORGOTTEN), client.post(FORGOTTEN, {"email": charlie.email})):
        assert "Ask an administrator" in response.content.decode()
    assert not PasswordLink.objects.exists()
    assert mail.outbox == []


def test_a_letter_brings_the_link(client, charlie, mail_server):
    client.post(FORGOTTEN, {"email": "CHARLIE@example.com"})
    (letter,) = mail.outbox
    path = path_in(letter.body)
    assert client.post(path, NEW).status_code == 302
    activity = Activity.objects.get(verb="password link made")
    assert (activity.actor, activity.entity_id, activity.source_address) == (None, charlie.pk, "127.0.0.1")


def test_every_address_gets_the_same_answer(charlie, mail_server):
    Account.objects.update(is_active=True)
    make_account("Dora", Level.USER)
    Account.objects.filter(email="dora@example.com").update(is_active=False)
    pages = set()
    for email in ("charlie@example.com", "dora@example.com", "nobody@example.com"):
        response = Client().post(FORGOTTEN, {"email": email})
        pages.add((response.status_code, response.content.decode().replace(email, "EMAIL")))
    assert len(pages) == 1
    assert [letter.to for letter in mail.outbox] == [["charlie@example.com"]]


def test_the_letter_is_sent_in_the_background(client, charlie, settings, monkeypatch):
    settings.EMAIL_HOST = "mail.example.com"
    started = []
    monkeypatch.setattr("accounts.mail.Thread.start", lambda thread: started.append(thread.name))
    client.post(FORGOTTEN, {"email": charlie.email})
    assert started == ["mail"]


def test_letters_are_limited(charlie, mail_server):
    answers = [
        Client(REMOTE_ADDR=f"192.0.2.{number}").post(FORGOTTEN, {"email": charlie.email}).status_code
        for number in range(5)
    ]
    assert answers == [200, 200, 200, 429, 429]
    assert len(mail.outbox) == 3


@pytest.mark.parametrize(
    "email", ["", "nobody", "\0", "x" * 1_000_000, "<script>", "a@b.example\r\nBcc: c@d"]
)
def test_hostile_input_is_no_error_of_ours(client, mail_server, db, email):
    assert client.post(FORGOTTEN, {"email": email}).status_code in (200, 422)
    assert mail.outbox == []


# --- From the console's own machine -------------------------------------------------------------


def test_the_command_prints_a_link_for_one_hour(alice):
    out = StringIO()
    call_command("account_recover", "Alice@Example.com", stdout=out)
    path = path_in(out.getvalue())
    with time_machine.travel(timezone.now() + dt.timedelta(minutes=61)):
        assert Client().get(path).status_code == 404
    assert Client().post(path, NEW).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(NEW_PASSWORD)
    activity = Activity.objects.get(verb="password link made")
    assert (activity.actor, activity.entity_id, activity.source_address) == (None, alice.pk, None)


def test_the_command_removes_a_lost_second_factor_when_asked(alice):
    Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data={})
    out = StringIO()
    call_command("account_recover", alice.email, stdout=out)
    assert Authenticator.objects.exists()
    call_command("account_recover", alice.email, "--remove-second-factor", stdout=out)
    assert not Authenticator.objects.exists()
    assert "Second factors removed: 1." in out.getvalue()
    assert Activity.objects.get(verb="second factor removed").before == {"types": ["totp"]}


@pytest.mark.parametrize("email", ["nobody@example.com", "", "charlie@example.com"])
def test_the_command_says_when_there_is_nobody(charlie, email):
    Account.objects.update(is_active=False)
    with pytest.raises(CommandError, match="Nobody who can sign in"):
        call_command("account_recover", email)


def test_the_old_password_is_checked_as_before(client, charlie):
    assert submit_sign_in(client, charlie.email, PASSWORD).status_code == 302
