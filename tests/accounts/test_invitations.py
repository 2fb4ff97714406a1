import datetime as dt
import smtplib

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import entrance, services
from accounts.models import Account, Invitation
from accounts.policy import Level
from audit.models import Activity
from tests.accounts.people import NEW_PASSWORD, at_once, everything_stored, is_signed_in, link_in
from tests.conftest import sign_in
from tests.people import make_account

PEOPLE = "/settings/people/"
NEW = f"{PEOPLE}invitations/new/"
DORA = {"email": "Dora@Example.com", "level": "auditor"}
ACCEPT = {"name": "Dora", "password": NEW_PASSWORD, "password_again": NEW_PASSWORD}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def path(alice_client):
    return link_in(alice_client.post(NEW, DORA))


def test_an_invitation_makes_an_account_that_is_signed_in(alice, path):
    client = Client()
    assert "dora@example.com" in client.get(path).content.decode()
    response = client.post(path, ACCEPT)
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    dora = Account.objects.get(email="dora@example.com")
    assert (dora.name, dora.level, dora.check_password(NEW_PASSWORD)) == ("Dora", Level.AUDITOR, True)
    assert is_signed_in(client)
    assert not Invitation.objects.exists()
    rows = list(Activity.objects.order_by("id").values_list("verb", "actor_name"))
    assert rows == [
        ("account invited", "alice@example.com"),
        ("account created", "dora@example.com"),
        ("signed in", "dora@example.com"),
    ]


def test_the_link_works_once(path):
    Client().post(path, ACCEPT)
    assert Client().get(path).status_code == 404
    assert Client().post(path, ACCEPT).status_code == 404
    assert Account.objects.count() == 2


def test_two_who_accept_at_once_make_one_account(transactional_db):
    alice = make_account("Alice", Level.ADMIN)
    issued = services.invitation_create(actor=alice, email="dora@example.com", level=Level.USER)
    path = f"/invitation/{issued.token}/"
    answers = at_once(*(lambda: Client().post(path, ACCEPT).status_code for _ in range(3)))
    assert sorted(answers) == [302, 404, 404]
    assert Account.objects.count() == 2


def test_it_ends_after_seven_days(alice_client, path):
    with time_machine.travel(timezone.now() + dt.timedelta(days=6, hours=23)):
        assert Client().get(path).status_code == 200
    with time_machine.travel(timezone.now() + dt.timedelta(days=7, seconds=1)):
        assert Client().get(path).status_code == 404
        assert Client().post(path, ACCEPT).status_code == 404
        with pytest.raises(entrance.LinkGone):
            entrance.invitation_accept(token=path.split("/")[2], name="Dora", password=NEW_PASSWORD)


def test_the_list_shows_it_and_says_when_it_expired(alice_client, bob_client, path):
    for client in (alice_client, bob_client):
        page = client.get(PEOPLE).content.decode()
        assert "dora@example.com" in page
        assert "Pending invitations" in page
        assert ("Withdraw" in page) is (client is alice_client)
    Invitation.objects.update(expires_at=timezone.now())
    assert "Expired" in bob_client.get(PEOPLE).content.decode()


def test_withdrawn_its_link_opens_nothing(alice_client, alice, path):
    pk = Invitation.objects.get().pk
    response = alice_client.post(f"{PEOPLE}invitations/{pk}/withdrawal/", follow=True)
    assert "is withdrawn" in response.content.decode()
    assert Client().get(path).status_code == 404
    activity = Activity.objects.latest("id")
    assert (activity.verb, activity.before) == (
        "invitation withdrawn",
        {"email": "dora@example.com", "level": "auditor"},
    )
    assert alice_client.post(f"{PEOPLE}invitations/{pk}/withdrawal/").status_code == 404
    assert alice_client.post(f"{PEOPLE}invitations/{2**70}/withdrawal/").status_code == 404


def test_a_new_link_ends_the_old_one(alice_client, path):
    Invitation.objects.update(expires_at=timezone.now())
    response = alice_client.post(f"{PEOPLE}invitations/{Invitation.objects.get().pk}/link/")
    fresh = link_in(response)
    assert Client().get(path).status_code == 404
    assert Client().get(fresh).status_code == 200
    assert "no-store" in response.headers["Cache-Control"]


def test_accepted_while_a_new_link_is_made(alice_client, alice, path):
    invitation = Invitation.objects.get()
    Client().post(path, ACCEPT)
    with pytest.raises(Invitation.DoesNotExist):
        services.invitation_renew(actor=alice, invitation=invitation)
    assert services.invitation_withdraw(actor=alice, invitation=invitation) is False


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"email": "alice@example.com"}, "email", "has an account already"),
        ({"email": "ALICE@example.com"}, "email", "has an account already"),
        ({"email": "nobody"}, "email", "valid email"),
        ({"email": ""}, "email", "required"),
        ({"email": "a@b.example\0"}, "email", "Null characters|valid email"),
        ({"email": "a" * 260 + "@b.example"}, "email", "254"),
        ({"email": "a@b.example\r\nBcc: c@d.example"}, "email", "valid email"),
        ({"level": "root"}, "level", "valid choice"),
        ({"level": ""}, "level", "required"),
    ],
)
def test_what_cannot_be_invited_stands_beside_its_field(alice_client, fields, field, message):
    response = alice_client.post(NEW, DORA | fields)
    assert response.status_code == 422
    assert any(part in str(response.context["form"].errors[field]) for part in message.split("|"))
    assert not Invitation.objects.exists()


def test_nobody_is_invited_twice(alice_client, path):
    response = alice_client.post(NEW, DORA | {"level": "admin"})
    assert response.status_code == 422
    assert "is invited already" in response.content.decode()
    assert Invitation.objects.get().level == Level.AUDITOR
    assert Client().get(path).status_code == 200


def test_inviting_wants_a_recent_proof(alice):
    client = sign_in(alice, confirmed=False)
    for response in (client.get(NEW), client.post(NEW, DORA)):
        assert response.headers["Location"].startswith("/confirm/?next=%2Fsettings%2Fpeople%2F")
    assert client.get(NEW, headers=HTMX).headers["HX-Redirect"].startswith("/confirm/")
    assert not Invitation.objects.exists()


def test_the_dialog_is_a_part_of_the_page(alice_client):
    assert "<html" not in alice_client.get(NEW, headers=HTMX).content.decode()
    response = alice_client.post(NEW, DORA | {"email": ""}, headers=HTMX)
    assert (response.status_code, "<html" in response.content.decode()) == (422, False)
    shown = alice_client.post(NEW, DORA, headers=HTMX)
    assert "<html" not in shown.content.decode()
    link_in(shown)


def test_the_token_is_shown_once_and_stored_nowhere(alice_client, path):
    token = path.split("/")[2]
    Client().get(path)
    assert token not in everything_stored()
    assert token not in alice_client.get(PEOPLE).content.decode()
    Client().post(path, ACCEPT)
    assert token not in everything_stored()


def test_a_page_with_a_token_keeps_it_to_this_console(path):
    response = Client().get(path)
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in response.headers["Cache-Control"]


def test_what_is_wrong_leaves_the_invitation_open(path):
    response = Client().post(path, ACCEPT | {"password_again": "x"})
    assert response.status_code == 422
    assert 'value="Dora"' in response.content.decode()
    assert Client().post(path, ACCEPT).status_code == 302


def test_the_password_may_not_be_the_address(path):
    address = {"password": "dora@example.com", "password_again": "dora@example.com"}
    assert "similar" in str(Client().post(path, ACCEPT | address).context["form"].errors)


def test_the_bearer_gives_neither_address_nor_level(path):
    Client().post(path, ACCEPT | {"email": "evil@example.com", "level": "admin"})
    assert Account.objects.get(name="Dora").level == Level.AUDITOR
    assert not Account.objects.filter(email="evil@example.com").exists()


def test_an_account_that_came_meanwhile_is_not_taken_over(path):
    make_account("Dora", Level.ADMIN)
    assert Client().post(path, ACCEPT).status_code == 404
    assert not Account.objects.get(email="dora@example.com").check_password(NEW_PASSWORD)


# --- Mail --------------------------------------------------------------------------------------


def test_without_a_mail_server_nothing_is_sent_and_nobody_is_told_so(alice_client):
    page = alice_client.post(NEW, DORA).content.decode()
    assert mail.outbox == []
    assert "letter" not in page


def test_with_a_mail_server_the_link_is_mailed(alice_client, settings):
    settings.EMAIL_HOST = "mail.example.com"
    page = alice_client.post(NEW, DORA)
    (letter,) = mail.outbox
    assert letter.to == ["dora@example.com"]
    assert link_in(page) in letter.body
    assert "Alice invited you" in letter.body
    assert "on its way" in page.content.decode()


def test_a_mail_server_that_fails_is_told_about(alice_client, settings, monkeypatch, caplog):
    settings.EMAIL_HOST = "mail.example.com"

    def fail(*args, **kwargs):
        raise smtplib.SMTPConnectError(421, b"busy")

    monkeypatch.setattr("accounts.mail.send_mail", fail)
    page = alice_client.post(NEW, DORA)
    assert "did not take the letter" in page.content.decode()
    assert link_in(page).split("/")[2] not in caplog.text
    assert "mail.example.com" in caplog.text


def test_a_name_cannot_add_to_the_letter(alice, alice_client, settings):
    settings.EMAIL_HOST = "mail.example.com"
    Account.objects.update(name="<b>Alice</b> & 'co'")
    alice_client.post(NEW, DORA)
    assert "<b>Alice</b> & 'co' invited you" in mail.outbox[0].body
