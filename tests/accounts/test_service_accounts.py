"""Accounts of programs: made by administrators, with a token that is shown once, and no way into the console."""

import io

import pytest
from django.core.management import call_command
from django.test import Client, override_settings

from accounts.entrance import password_link_recover
from accounts.models import Account, ServiceToken
from accounts.policy import Level
from accounts.service_accounts import account_with_token, service_account_create, service_token_renew
from accounts.services import Refused, level_change, password_link_create
from audit.models import Activity
from audit.services import PermissionRequired
from audit.verbs import Verb
from authority.models import CertificateAuthority
from authority.services import issue_control
from sdm.pki import csr
from tests.conftest import sign_in

NEW = "/settings/service-accounts/new/"


def token_in(response) -> str:
    assert response.status_code == 200
    return str(response.context["token"])


def test_the_token_is_in_one_response_and_nowhere_else(alice_client: Client, caplog):
    response = alice_client.post(NEW, {"name": "ci-runner"})
    token = token_in(response)
    assert token.startswith("sdmst_") and token in response.content.decode()
    account = Account.objects.get(is_service=True)
    assert (account.name, account.email, account.level) == ("ci-runner", "ci-runner@service", "user")
    assert account_with_token(token) == account
    out = io.StringIO()
    call_command("dumpdata", stdout=out)
    pages = ("/settings/service-accounts/", f"/settings/people/{account.pk}/", "/audit/activities/")
    texts = [out.getvalue(), caplog.text, *(alice_client.get(page).content.decode() for page in pages)]
    assert not [text for text in texts if token in text]
    assert Activity.objects.get(verb=Verb.SERVICE_ACCOUNT_CREATED).entity_id == account.pk


def test_the_token_comes_with_where_the_control_plane_is(alice_client: Client):
    with override_settings(APP_DOMAIN="console.example.com:8001", API_OWN_CERTIFICATE=False):
        response = alice_client.post(NEW, {"name": "ci-runner"})
    commands = (
        f"export SDM_APP_DOMAIN=console.example.com:8001\nexport SDM_SERVICE_TOKEN={token_in(response)}\n"
    )
    assert f"{commands}sdm login</pre>" in response.content.decode()
    issue_control(csr_pem=csr.new_csr(csr.new_key()), hosts=["console.example.com"])
    pin = CertificateAuthority.objects.get(purpose="control").fingerprint
    with override_settings(API_OWN_CERTIFICATE=True):
        response = alice_client.post(NEW, {"name": "another"}, headers={"HX-Request": "true"})
    assert f"export SDM_APP_CA_PIN=sha256:{pin}\nexport SDM_SERVICE_TOKEN=" in response.content.decode()


def test_a_new_token_ends_the_old_one(alice_client: Client, alice: Account):
    issued = service_account_create(actor=alice, name="ci-runner")
    new = token_in(alice_client.post(f"/settings/people/{issued.account.pk}/token/"))
    assert account_with_token(issued.token) is None
    assert account_with_token(new) == issued.account
    assert Account.objects.get(pk=issued.account.pk).session_epoch == 1
    assert Activity.objects.filter(verb=Verb.SERVICE_TOKEN_REPLACED, actor=alice).count() == 1


def test_suspended_its_token_is_good_for_nothing(alice_client: Client, alice: Account):
    issued = service_account_create(actor=alice, name="ci-runner")
    alice_client.post(f"/settings/people/{issued.account.pk}/suspension/")
    assert account_with_token(issued.token) is None
    alice_client.post(f"/settings/people/{issued.account.pk}/reinstatement/")
    assert account_with_token(issued.token) == issued.account


@pytest.mark.parametrize("name", ["", "A b", "-x", "x" * 51, "é", "a\0b", "<b>", "a@b", "x" * 100_000])
def test_names_that_are_none(alice_client: Client, name: str):
    assert alice_client.post(NEW, {"name": name}).status_code == 422
    assert not Account.objects.filter(is_service=True).exists()


def test_a_name_that_is_taken(alice_client: Client, alice: Account):
    service_account_create(actor=alice, name="ci-runner")
    response = alice_client.post(NEW, {"name": "ci-runner"})
    assert response.status_code == 422
    assert "There is a service account ci-runner already." in response.content.decode()
    assert ServiceToken.objects.count() == 1


def test_only_administrators_who_are_here_make_them(
    alice: Account, bob: Account, charlie: Account, bob_client: Client, charlie_client: Client
):
    issued = service_account_create(actor=alice, name="ci-runner")
    assert bob_client.get("/settings/service-accounts/").status_code == 200
    assert charlie_client.get("/settings/service-accounts/").status_code == 403
    for client in (bob_client, charlie_client):
        assert client.post(NEW, {"name": "x"}).status_code == 403
        assert client.post(f"/settings/people/{issued.account.pk}/token/").status_code == 403
    later = sign_in(alice, confirmed=False)
    assert "confirm" in later.post(NEW, {"name": "x"}).headers["Location"]
    for actor in (bob, charlie):
        with pytest.raises(PermissionRequired):
            service_account_create(actor=actor, name="x")
        with pytest.raises(PermissionRequired):
            service_token_renew(actor=actor, account=issued.account)
    assert account_with_token(issued.token)


def test_it_has_no_way_into_the_console(alice: Account, alice_client: Client, client: Client):
    account = service_account_create(actor=alice, name="ci-runner").account
    with pytest.raises(Refused):
        level_change(actor=alice, account=account, was=Level.USER, level=Level.ADMIN)
    with pytest.raises(Refused):
        password_link_create(actor=alice, account=account)
    assert password_link_recover(email=account.email) is None
    response = client.post("/sign-in/", {"login": account.email, "password": ""})
    assert "_auth_user_id" not in client.session and response.status_code != 302
    assert "ci-runner" not in alice_client.get("/settings/people/").content.decode()
    page = alice_client.get(f"/settings/people/{account.pk}/").content.decode()
    assert "Replace the token" in page and "Make password link" not in page


def test_people_have_no_token(alice_client: Client, charlie: Account):
    assert alice_client.post(f"/settings/people/{charlie.pk}/token/").status_code == 404
    assert alice_client.post("/settings/people/a-0123456789abcdef/token/").status_code == 404
