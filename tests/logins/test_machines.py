"""The machines of a person: who sees them, and who logs them out."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account
from audit.models import Activity
from audit.verbs import Verb
from authority.models import Certificate
from logins.models import ClientLogin, LoginCertificate
from logins.services import Machine, _log_in
from sdm.pki import csr


@pytest.fixture
def login(charlie: Account) -> ClientLogin:
    return _log_in(charlie, Machine("notebook-7", "1.2.3", "192.0.2.7"), new_request()).login


def new_request() -> bytes:
    return csr.new_csr(csr.new_key()).encode()


def sign_out(client: Client, login: ClientLogin) -> int:
    return client.post(f"/settings/machines/{login.pk}/sign-out/").status_code


def test_a_person_sees_their_own_and_logs_one_out(
    charlie: Account, charlie_client: Client, login: ClientLogin
):
    other = _log_in(charlie, Machine("desk-1", "", None), new_request()).login
    page = charlie_client.get("/settings/security/machines/").content.decode()
    assert "notebook-7" in page and "192.0.2.7" in page and "desk-1" in page
    assert sign_out(charlie_client, login) == 302
    page = charlie_client.get("/settings/security/machines/").content.decode()
    assert "is logged out" in page and "notebook-7</bdi><br>" not in page and "desk-1" in page
    login.refresh_from_db()
    assert login.ended_at and ClientLogin.objects.standing().get() == other
    [revoked] = Certificate.objects.revoked()
    assert revoked.serial == LoginCertificate.objects.get(login=login).serial
    assert Activity.objects.filter(verb=Verb.LOGGED_OUT, actor=charlie).count() == 1
    assert sign_out(charlie_client, login) == 302  # twice is no more
    assert Activity.objects.filter(verb=Verb.LOGGED_OUT).count() == 1


def test_an_administrator_logs_a_machine_out_and_an_auditor_looks(
    alice: Account, alice_client: Client, bob_client: Client, charlie: Account, login: ClientLogin
):
    url = f"/settings/people/{charlie.pk}/machines/"
    assert "Sign out notebook-7" in alice_client.get(url).content.decode()
    page = bob_client.get(url).content.decode()
    assert "notebook-7" in page and "Sign out notebook-7" not in page
    assert sign_out(bob_client, login) == 404
    assert sign_out(alice_client, login) == 302
    assert Activity.objects.get(verb=Verb.LOGGED_OUT).actor == alice


def test_others_see_nothing_of_them(alice: Account, charlie_client: Client, client: Client):
    foreign = ClientLogin.objects.create(
        account=alice, host_name="desk-1", epoch=0, ends_at=timezone.now() + dt.timedelta(days=1)
    )
    assert charlie_client.get(f"/settings/people/{alice.pk}/machines/").status_code == 403
    assert sign_out(charlie_client, foreign) == 404
    for hostile in ("cl-0123456789abcdef", "x" * 3_000):
        assert charlie_client.post(f"/settings/machines/{hostile}/sign-out/").status_code == 404
    assert client.get("/settings/security/machines/").status_code == 302
    foreign.refresh_from_db()
    assert foreign.ended_at is None
