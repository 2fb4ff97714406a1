import base64
import json
import time

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.test import Client

import sealing
from accounts.factors import SEALED_FOR, SecondFactors
from accounts.models import Account
from accounts.policy import Level
from audit.models import Activity
from sealing import rotation
from tests.accounts.people import (
    add_app,
    at_once,
    code_of,
    everything_stored,
    has_factor,
    is_signed_in,
    recovery_codes,
    submit_sign_in,
)
from tests.conftest import sign_in
from tests.people import PASSWORD, make_account

SECOND = "/sign-in/second-factor/"
APP = "/settings/security/app/"


def set_up_app(client):
    """The secret that the page shows, after its first code was accepted."""
    secret = client.get(APP).context["form"].secret
    response = client.post(APP, {"code": code_of(secret)})
    assert response.headers["Location"] == "/settings/security/codes/", response.content.decode()
    return secret


@pytest.mark.django_db(transaction=True)  # allauth tells after the commit
def test_an_app_is_set_up_and_asked_for_from_then_on(alice_client, alice):
    page = alice_client.get(APP)
    assert "data:image/svg+xml;base64," in page.content.decode()
    secret = set_up_app(alice_client)
    assert {"second factor added", "recovery codes made"} <= set(
        Activity.objects.values_list("verb", flat=True)
    )
    client = Client()
    response = submit_sign_in(client, alice.email, next="/audit/activities/")
    assert response.headers["Location"] == SECOND
    assert not is_signed_in(client)
    with time_machine.travel(time.time() + 30):  # the app shows another code
        response = client.post(SECOND, {"code": code_of(secret)})
    assert (response.status_code, response.headers["Location"]) == (302, "/audit/activities/")
    assert is_signed_in(client)


def test_a_wrong_first_code_keeps_the_secret(alice_client):
    secret = alice_client.get(APP).context["form"].secret
    response = alice_client.post(APP, {"code": "000000"})
    assert response.context["form"].secret == secret
    assert alice_client.post(APP, {"code": code_of(secret)}).status_code == 302


@time_machine.travel(1_800_000_000, tick=False)
def test_a_code_works_once(alice):
    code = code_of(add_app(alice))
    first, second = Client(), Client()
    for client in (first, second):
        submit_sign_in(client, alice.email)
    assert first.post(SECOND, {"code": code}).status_code == 302
    response = second.post(SECOND, {"code": code})
    assert "wrong, or was used already" in response.content.decode()
    assert not is_signed_in(second)


def test_the_code_that_set_the_app_up_signs_nobody_in(alice):
    with time_machine.travel(1_800_000_000, tick=False):
        settled = sign_in(alice)
        secret = settled.get(APP).context["form"].secret
        assert settled.post(APP, {"code": code_of(secret)}).status_code == 302
        client = Client()
        submit_sign_in(client, alice.email)
        response = client.post(SECOND, {"code": code_of(secret)})
        assert "wrong, or was used already" in response.content.decode()
        assert not is_signed_in(client)


def test_a_code_used_at_once_works_once(transactional_db):
    alice = make_account("Alice", Level.ADMIN)
    code = code_of(add_app(alice))
    clients = [Client(), Client(), Client()]
    for client in clients:
        submit_sign_in(client, alice.email)
    answers = at_once(*(lambda c=c: c.post(SECOND, {"code": code}).status_code for c in clients))
    assert sorted(answers) == [200, 200, 302]


@pytest.mark.parametrize("steps", [-2, -1, 1, 2])
def test_codes_of_other_times_do_not_work(client, alice, steps):
    with time_machine.travel(1_800_000_010, tick=False):
        secret = add_app(alice)
        submit_sign_in(client, alice.email)
        client.post(SECOND, {"code": code_of(secret, steps=steps)})
    assert not is_signed_in(client)


def test_a_recovery_code_works_once(alice):
    add_app(alice)
    code = recovery_codes(alice)[3]
    for accepted in (True, False):
        client = Client()
        submit_sign_in(client, alice.email)
        client.post(SECOND, {"code": code})
        assert is_signed_in(client) is accepted


def test_recovery_codes_are_shown_once(alice_client):
    set_up_app(alice_client)
    page = alice_client.get("/settings/security/codes/")
    codes = page.context["unused_codes"]
    assert len(codes) == 10
    assert all(code in page.content.decode() for code in codes)
    assert "no-store" in page.headers["Cache-Control"]
    again = alice_client.get("/settings/security/codes/").content.decode()
    assert not any(code in again for code in codes)
    alice_client.post("/settings/security/codes/new/")
    fresh = alice_client.get("/settings/security/codes/").context["unused_codes"]
    assert not set(fresh) & set(codes)


def test_a_page_of_ours_cannot_be_reached_between_password_and_code(client, alice):
    add_app(alice)
    submit_sign_in(client, alice.email)
    for path in ("/", "/settings/security/", "/settings/people/", "/confirm/", APP):
        response = client.get(path)
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/sign-in/")


def test_the_half_done_sign_in_ends_after_a_while(client, alice):
    secret = add_app(alice)
    with time_machine.travel(1_800_000_000) as clock:
        submit_sign_in(client, alice.email)
        clock.shift(16 * 60)
        response = client.post(SECOND, {"code": code_of(secret)})
        assert response.headers["Location"] == "/sign-in/"
        assert not is_signed_in(client)


def test_suspended_between_password_and_code(client, alice):
    secret = add_app(alice)
    submit_sign_in(client, alice.email)
    Account.objects.update(is_active=False)
    response = client.post(SECOND, {"code": code_of(secret)})
    assert response.headers["Location"] == "/sign-in/suspended/"
    Account.objects.update(is_active=True)
    assert not is_signed_in(client)


@pytest.mark.django_db(transaction=True)  # allauth tells after the commit
def test_removing_the_app_removes_the_codes_and_is_recorded(alice_client, alice):
    set_up_app(alice_client)
    assert alice_client.get("/settings/security/app/removal/").status_code == 200
    assert has_factor(alice, "totp")
    assert alice_client.post("/settings/security/app/removal/").headers["Location"] == "/settings/security/"
    assert not Authenticator.objects.exists()
    removed = Activity.objects.filter(verb="second factor removed").values_list("before__type", flat=True)
    assert set(removed) == {"totp", "recovery_codes"}


@pytest.mark.parametrize("path", [APP, "/settings/security/keys/new/", "/settings/security/codes/new/"])
def test_second_factors_are_changed_only_after_confirming(charlie, path):
    client = sign_in(charlie, confirmed=False)
    for response in (client.get(path), client.post(path, {"code": "123456"})):
        assert response.headers["Location"] == f"/confirm/?next={path.replace('/', '%2F')}"
    response = client.post("/confirm/", {"password": PASSWORD, "next": path})
    assert response.status_code in (200, 302)
    assert client.get(path).status_code == 200


def test_another_person_s_key_cannot_be_touched(alice_client, charlie):
    key = Authenticator.objects.create(user=charlie, type="webauthn", data={"name": "Mine", "credential": {}})
    for act in ("name", "removal"):
        assert alice_client.get(f"/settings/security/keys/{key.pk}/{act}/").status_code == 404
        assert (
            alice_client.post(f"/settings/security/keys/{key.pk}/{act}/", {"name": "Yours"}).status_code
            == 404
        )
    assert alice_client.get(f"/settings/security/keys/{2**70}/name/").status_code == 404
    key.refresh_from_db()
    assert key.data["name"] == "Mine"


# --- At rest -----------------------------------------------------------------------------------


def test_no_secret_is_stored_in_the_clear(alice_client, alice):
    secret = alice_client.get(APP).context["form"].secret
    # Also not in the session, between the page and its first code.
    assert secret not in json.dumps(dict(alice_client.session.items()))
    assert secret not in everything_stored()
    alice_client.post(APP, {"code": code_of(secret)})
    codes = alice_client.get("/settings/security/codes/").context["unused_codes"]
    stored = everything_stored() + json.dumps(dict(alice_client.session.items()))
    for hidden in (secret, base64.b64encode(secret.encode()).decode(), *codes):
        assert hidden not in stored


def test_what_is_sealed_opens_only_with_the_key(alice):
    secret = add_app(alice)
    kept = base64.b64decode(Authenticator.objects.get().data["secret"])
    assert sealing.unseal(kept, context=SEALED_FOR).decode() == secret
    with pytest.raises(sealing.SealingError):
        sealing.unseal(kept, context="accounts.something-else")


def test_rotation_seals_second_factors_anew(alice, charlie, settings, client):
    secret = add_app(alice)
    codes = recovery_codes(alice)
    store = SecondFactors()
    assert any(isinstance(known, SecondFactors) for known in rotation.stores())
    old = settings.SEALING_KEYS
    settings.SEALING_KEYS = "fresh:" + "B" * 43 + "= " + old
    assert store.count(except_key="fresh") == 2
    (*_, outcome) = rotation.reseal(store)
    assert (outcome.resealed, outcome.passed_over, outcome.problems) == (2, 0, [])
    assert store.key_ids() == {"fresh"}
    settings.SEALING_KEYS = "fresh:" + "B" * 43 + "="
    submit_sign_in(client, alice.email)
    assert client.post(SECOND, {"code": code_of(secret)}).status_code == 302
    assert recovery_codes(alice) == codes


def test_rotation_passes_over_what_changed_meanwhile(alice):
    add_app(alice)
    (item,) = SecondFactors().items(except_key="fresh")
    Authenticator.objects.all().delete()
    assert item.replace(b"anything") is False
    add_app(alice)
    assert item.replace(b"anything") is False


# --- Hostile answers of a security key ---------------------------------------------------------

SHAPED = {"id": "AAAA", "rawId": "AAAA", "type": "public-key"}
HOSTILE = [
    "",
    "null",
    "[]",
    "3",
    '"text"',
    "{",
    "{}",
    '{"id": 1}',
    "[" * 60_000,
    '{"a":' * 10_000,
    '{"response": []}',
    '{"response": {"userHandle": "AAAA"}}',
    json.dumps(SHAPED | {"response": {"clientDataJSON": "e30", "authenticatorData": "A", "signature": "A"}}),
    json.dumps(SHAPED | {"response": {"clientDataJSON": "e30", "attestationObject": "AAAA"}}),
    json.dumps(SHAPED | {"response": {"clientDataJSON": 1, "attestationObject": []}}),
    json.dumps(SHAPED | {"id": "\0", "rawId": "\ud800", "response": {}}),
    "x" * 1_000_000,
    "\0",
]


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_browser_sends_as_a_key_is_no_error_of_ours(client, alice, alice_client, answer):
    add_app(alice)
    client.get("/sign-in/security-key/", headers={"Accept": "application/json"})
    response = client.post("/sign-in/security-key/", {"credential": answer})
    assert response.headers["Location"] == "/sign-in/"
    submit_sign_in(client, alice.email)
    assert client.post(SECOND, {"credential": answer}).status_code == 200
    assert not is_signed_in(client)
    for path in ("/settings/security/keys/new/", "/confirm/security-key/"):
        alice_client.get(path)
        assert alice_client.post(path, {"credential": answer, "name": answer[:200]}).status_code in (200, 302)
    assert not has_factor(alice, "webauthn")


def test_a_user_handle_with_nul_is_no_error_of_ours(client, alice):
    handle = base64.urlsafe_b64encode(b"a-\0").decode().rstrip("=")
    from_key = {
        "clientDataJSON": "e30",
        "authenticatorData": "A" * 52,
        "signature": "AAAA",
        "userHandle": handle,
    }
    answer = {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": from_key}
    client.get("/sign-in/security-key/", headers={"Accept": "application/json"})
    response = client.post("/sign-in/security-key/", {"credential": json.dumps(answer)})
    assert response.headers["Location"] == "/sign-in/"
