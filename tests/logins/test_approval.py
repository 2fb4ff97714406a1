"""The page that `sdm login` sends people to."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account
from accounts.services import account_suspend
from audit.models import Activity
from audit.verbs import Verb
from logins.models import PendingLogin
from logins.services import Machine, login_begin, logins_sweep
from tests.conftest import sign_in


@pytest.fixture
def pending(db: None) -> PendingLogin:
    return login_begin(Machine("notebook-7", "1.2.3", "192.0.2.7")).pending


def url(pending: PendingLogin, act: str = "") -> str:
    return f"/login/device/{pending.pk}/{f'{act}/' if act else ''}"


@pytest.mark.parametrize("who", ["alice", "bob", "charlie"])
def test_everybody_sees_the_code_and_where_it_came_from_and_approves(
    request: pytest.FixtureRequest, pending: PendingLogin, who: str
):
    account: Account = request.getfixturevalue(who)
    client = sign_in(account, confirmed=False)
    page = client.get(url(pending)).content.decode()
    for text in (pending.code, "notebook-7", "192.0.2.7", account.email):
        assert text in page
    response = client.post(url(pending, "approval"), follow=True)
    assert "notebook-7</bdi> is logged in" in response.content.decode()
    pending.refresh_from_db()
    assert (pending.state, pending.account) == ("approved", account)
    assert Activity.objects.filter(verb=Verb.LOGIN_APPROVED, actor=account).count() == 1


def test_a_stranger_signs_in_and_comes_back(client: Client, pending: PendingLogin):
    response = client.get(url(pending))
    assert response.headers["Location"] == f"{reverse('account_login')}?next={url(pending)}"
    assert client.post(url(pending, "approval")).status_code == 302
    pending.refresh_from_db()
    assert pending.state == "pending"


def test_what_was_decided_stays(charlie_client: Client, alice_client: Client, pending: PendingLogin):
    assert "is not logged in" in charlie_client.post(url(pending, "denial"), follow=True).content.decode()
    page = alice_client.post(url(pending, "approval"), follow=True).content.decode()
    assert "decided already" in page
    pending.refresh_from_db()
    assert pending.state == "denied"
    assert Activity.objects.filter(verb=Verb.LOGIN_DENIED).count() == 1
    assert not Activity.objects.filter(verb=Verb.LOGIN_APPROVED).exists()


def test_nothing_is_found_behind_ids_of_nothing_and_what_is_too_old(
    charlie_client: Client, pending: PendingLogin
):
    for hostile in ("lg-0123456789abcdef", "x", "lg-" + "f" * 5_000, "lg-'OR-1"):
        assert charlie_client.get(f"/login/device/{hostile}/").status_code == 404
    PendingLogin.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    assert charlie_client.get(url(pending)).status_code == 404
    assert charlie_client.post(url(pending, "approval")).status_code == 404
    logins_sweep()
    assert not PendingLogin.objects.exists()


def test_looking_decides_nothing_and_only_our_own_form_does(charlie: Account, pending: PendingLogin):
    client = Client(enforce_csrf_checks=True)
    client.cookies = sign_in(charlie).cookies
    assert client.get(url(pending, "approval")).status_code == 405
    assert client.post(url(pending, "approval")).status_code == 403
    pending.refresh_from_db()
    assert pending.state == "pending"


def test_who_is_suspended_approves_nothing(alice: Account, charlie: Account, pending: PendingLogin):
    client = sign_in(charlie)
    account_suspend(actor=alice, account=charlie)
    assert client.post(url(pending, "approval")).status_code == 302
    pending.refresh_from_db()
    assert pending.state == "pending"


def test_the_name_of_a_machine_is_text(charlie_client: Client, db: None):
    hostile = login_begin(Machine("<script>alert(1)</script>", "", None)).pending
    page = charlie_client.get(url(hostile)).content.decode()
    assert "<script>alert(1)" not in page and "&lt;script&gt;" in page
