"""What slows guessing down, and that the counts are right when several guess at once."""

import os
import subprocess
import sys

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client, override_settings

from accounts.models import Account
from accounts.policy import Level
from audit.models import Activity
from tests.accounts.people import add_app, at_once, code_of, is_signed_in, submit_sign_in
from tests.people import PASSWORD, make_account

SLOWED = "Too many attempts. Wait five minutes, then try again."


def from_address(number: int, **headers: str) -> Client:
    return Client(REMOTE_ADDR=f"192.0.2.{number}", headers=headers)


def test_an_account_is_slowed_down_from_wherever_the_guesses_come(alice):
    for number in range(5):
        assert SLOWED not in submit_sign_in(from_address(number), alice.email, "wrong").content.decode()
    # The right password is not looked at either, so that it cannot be told from a wrong one.
    response = submit_sign_in(from_address(99), alice.email)
    assert SLOWED in response.content.decode()
    assert not is_signed_in(from_address(99))
    reasons = Activity.objects.order_by("id").values_list("after__reason", flat=True)
    assert list(reasons) == ["wrong password"] * 5 + ["too many attempts"]


def test_addresses_that_nobody_has_are_slowed_down_alike(db):
    answers = [submit_sign_in(from_address(n), "nobody@example.com", "x").content.decode() for n in range(6)]
    assert [SLOWED in answer for answer in answers] == [False] * 5 + [True]


def test_naming_another_host_or_port_or_spelling_does_not_start_the_count_anew(alice):
    emails = [alice.email, alice.email.upper(), f" {alice.email} ", "Alice@Example.com", alice.email]
    for number, email in enumerate(emails):
        submit_sign_in(from_address(number, host=f"localhost:{8000 + number}"), email, "wrong")
    assert SLOWED in submit_sign_in(from_address(99, host="127.0.0.1:1"), alice.email).content.decode()


def test_an_address_that_tries_many_accounts_is_slowed_down(db):
    people = [make_account(f"Person{number}", Level.USER) for number in range(12)]
    answers = [
        SLOWED in submit_sign_in(from_address(1), person.email, "wrong").content.decode() for person in people
    ]
    assert answers == [False] * 10 + [True] * 2
    # Others sign in meanwhile.
    client = from_address(2)
    assert submit_sign_in(client, people[0].email).status_code == 302


def test_a_claimed_forwarded_address_does_not_help(db):
    answers = []
    for number in range(12):
        client = from_address(1, x_forwarded_for=f"198.51.100.{number}")
        answers.append(SLOWED in submit_sign_in(client, f"p{number}@example.com", "x").content.decode())
    assert answers == [False] * 10 + [True] * 2


@override_settings(ALLAUTH_TRUSTED_PROXY_COUNT=2)
def test_a_forwarded_header_with_too_few_entries_is_no_error_of_ours(alice):
    client = from_address(1, x_forwarded_for="198.51.100.1")
    assert submit_sign_in(client, alice.email, "wrong").status_code == 200


def test_right_passwords_are_not_counted(alice):
    for _ in range(12):
        client = Client()
        assert submit_sign_in(client, alice.email).status_code == 302


def test_a_right_password_between_wrong_ones_does_not_clear_the_count(alice):
    for attempt in ("wrong", "wrong", PASSWORD, "wrong", "wrong", "wrong"):
        submit_sign_in(Client(), alice.email, attempt)
    assert SLOWED in submit_sign_in(Client(), alice.email).content.decode()


def test_many_requests_of_any_kind_get_429(client, alice):
    answers = [submit_sign_in(client, "", "").status_code for _ in range(32)]
    assert answers == [200] * 30 + [429] * 2
    assert "Too many attempts" in submit_sign_in(client, "", "").content.decode()


def test_guesses_at_once_are_all_counted(transactional_db):
    """allauth reads a count and writes it back; under its lock none may be lost."""
    alice = make_account("Alice", Level.ADMIN)
    guesses = [
        lambda n=n: submit_sign_in(from_address(n), alice.email, "wrong").status_code for n in range(16)
    ]
    assert set(at_once(*guesses)) <= {200, 429}
    looked_at = Activity.objects.filter(after__reason="wrong password").count()
    assert looked_at <= 5
    assert SLOWED in submit_sign_in(from_address(99), alice.email).content.decode()


GUESS = """
import django, sys
django.setup()
from django.db import connections
connections["default"].settings_dict["NAME"] = sys.argv[1]
from django.test import Client
for number in range(6):
    client = Client(REMOTE_ADDR=f"192.0.2.{sys.argv[2]}{number}", headers={"host": "localhost"})
    client.post("/sign-in/", {"login": "alice@example.com", "password": "wrong"})
"""


def test_guesses_of_two_processes_are_all_counted(transactional_db):
    make_account("Alice", Level.ADMIN)
    name = str(connection.settings_dict["NAME"])
    guessing = [
        subprocess.Popen(
            [sys.executable, "-c", GUESS, name, str(number)],
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        )
        for number in (1, 2)
    ]
    assert [process.wait(60) for process in guessing] == [0, 0]
    reasons = list(Activity.objects.values_list("after__reason", flat=True))
    assert len(reasons) == 12
    assert reasons.count("wrong password") <= 5


def test_a_full_cache_does_not_forget_the_count(alice, settings):
    """Counters share a table of bounded size with each other: filling it must not push one out."""
    for number in range(5):
        submit_sign_in(from_address(number), alice.email, "wrong")
    for number in range(400):
        cache.set(f"somebody-else:{number}", [1.0], 300)
    assert SLOWED in submit_sign_in(from_address(99), alice.email).content.decode()
    assert settings.CACHES["default"]["OPTIONS"]["MAX_ENTRIES"] >= 100_000


def test_codes_are_slowed_down_as_well(client, alice):
    secret = add_app(alice)
    submit_sign_in(client, alice.email)
    wrong = f"{(int(code_of(secret)) + 1) % 1_000_000:06}"
    for _ in range(5):
        assert SLOWED not in client.post("/sign-in/second-factor/", {"code": wrong}).content.decode()
    response = client.post("/sign-in/second-factor/", {"code": code_of(secret)})
    assert SLOWED in response.content.decode()
    assert not is_signed_in(client)
    assert Activity.objects.filter(verb="sign-in failed", after__reason="wrong code").count() == 5


def test_confirming_is_slowed_down(alice_client, alice):
    for _ in range(5):
        alice_client.post("/confirm/", {"password": "wrong"})
    assert SLOWED in alice_client.post("/confirm/", {"password": PASSWORD}).content.decode()


@pytest.mark.parametrize("address", ["", "not an address"])
def test_a_peer_without_an_address_can_sign_in(alice, address):
    assert submit_sign_in(Client(REMOTE_ADDR=address), alice.email).status_code == 302
    assert Account.objects.get().last_login is not None
