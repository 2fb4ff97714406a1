from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import Account
from audit.models import Activity
from tests.accounts.people import NEW_PASSWORD, SIGN_IN, is_signed_in, submit_sign_in
from tests.people import PASSWORD

EVIL = [
    "//evil.example",
    "https://evil.example/",
    "http://localhost/",
    "http://127.0.0.1:9999/",
    "\\\\evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    "///evil.example",
    "http:///evil.example",
    " //evil.example",
    "\t//evil.example",
    "/\t/evil.example",
    "https:evil.example",
    "evil.example",
    quote("//evil.example", safe=""),
    "x" * 100_000,
    "\0",
]


def test_a_person_signs_in_and_gets_to_the_page_that_was_asked_for(client, alice):
    response = client.get("/settings/people/?after=x")
    assert response.headers["Location"] == "/sign-in/?next=/settings/people/%3Fafter%3Dx"
    assert "/settings/people/?after=x" in client.get(response.headers["Location"]).content.decode()
    response = submit_sign_in(client, "ALICE@example.com", next="/settings/people/?after=x")
    assert (response.status_code, response.headers["Location"]) == (302, "/settings/people/?after=x")
    activity = Activity.objects.get()
    assert (activity.verb, activity.outcome, activity.actor, activity.source_address) == (
        "signed in",
        "done",
        alice,
        "127.0.0.1",
    )


@pytest.mark.parametrize("target", EVIL)
def test_the_page_after_sign_in_is_only_ever_one_of_ours(client, alice, target):
    client.get(SIGN_IN, {"next": target})
    response = submit_sign_in(client, alice.email, next=target)
    assert (response.status_code, response.headers["Location"]) == (302, "/")


@pytest.mark.parametrize("target", EVIL)
@pytest.mark.parametrize("page", ["/sign-in/", "/sign-out/", "/confirm/"])
def test_no_page_sends_people_elsewhere(alice_client, page, target):
    for response in (
        alice_client.get(page, {"next": target}),
        alice_client.post(page, {"next": target, "password": PASSWORD}),
    ):
        assert (
            response.headers.get("Location", "/").startswith(("/sign-in/", "/confirm/"))
            or response.headers.get("Location", "/") == "/"
        )


@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [("alice@example.com", "wrong", "wrong password"), ("nobody@example.com", PASSWORD, "no such account")],
)
def test_a_failure_is_recorded_with_the_address_tried(client, alice, email, password, reason):
    submit_sign_in(client, email, password)
    activity = Activity.objects.get()
    assert (activity.verb, activity.outcome, activity.actor) == ("sign-in failed", "denied", None)
    assert (activity.entity_name, activity.after, activity.source_address) == (
        email,
        {"reason": reason},
        "127.0.0.1",
    )
    assert activity.entity_id == (alice.pk if email == alice.email else "")


def test_known_and_unknown_addresses_get_the_same_answer(alice):
    answers = []
    for email in ("alice@example.com", "nobody@example.com"):
        client = Client()
        response = submit_sign_in(client, email, "wrong")
        page = response.content.decode().replace(email, "EMAIL")
        token = response.context["csrf_token"]
        answers.append((response.status_code, page.replace(str(token), "TOKEN"), sorted(response.headers)))
    assert answers[0] == answers[1]


def test_an_unknown_address_costs_as_much_time(client, alice, monkeypatch):
    """Measured in what takes the time: one hash of a password, whoever it is."""
    hashed = []
    monkeypatch.setattr(Account, "set_password", lambda self, raw: hashed.append("unknown"))
    monkeypatch.setattr(Account, "check_password", lambda self, raw: hashed.append("known"))
    submit_sign_in(client, "nobody@example.com", "wrong")
    submit_sign_in(client, "alice@example.com", "wrong")
    assert hashed == ["unknown", "known"]


def test_the_session_is_another_one_after_sign_in(client, alice):
    client.get(SIGN_IN)
    session = client.session
    session["planted"] = "by somebody else"
    session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = before = session.session_key
    submit_sign_in(client, alice.email)
    assert client.session.session_key != before
    assert (
        Client()
        .get("/settings/security/", headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={before}"})
        .status_code
        == 302
    )


def test_an_invented_session_id_is_not_taken_over(client, alice):
    client.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
    submit_sign_in(client, alice.email)
    assert client.session.session_key != "a" * 32


def test_signing_out_takes_a_post_and_is_recorded(alice_client, alice):
    assert alice_client.get("/sign-out/").status_code == 200
    assert is_signed_in(alice_client)
    response = alice_client.post("/sign-out/")
    assert (response.status_code, response.headers["Location"]) == (302, SIGN_IN)
    assert not is_signed_in(alice_client)
    assert Activity.objects.get().verb == "signed out"


def test_a_suspended_person_cannot_sign_in(client, charlie):
    Account.objects.update(is_active=False)
    response = submit_sign_in(client, charlie.email)
    assert response.headers["Location"] == "/sign-in/suspended/"
    assert "suspended" in client.get("/sign-in/suspended/").content.decode()
    assert not is_signed_in(client)
    assert not Activity.objects.filter(verb="signed in").exists()


def test_forms_from_elsewhere_are_refused(alice):
    client = Client(enforce_csrf_checks=True)
    assert submit_sign_in(client, alice.email).status_code == 403


def test_an_expired_session_sends_the_whole_page_to_sign_in(client, db):
    response = client.get(
        "/networking/proxy-clusters/",
        headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/audit/activities/?q=a"},
    )
    assert response.headers["HX-Redirect"] == "/sign-in/?next=/audit/activities/%3Fq%3Da"


@pytest.mark.parametrize(
    ("method", "back"), [("get", "%3Fq%3Dcoffee%26n%3D%25C3%25BC"), ("post", "%3Fq%3Dtea")]
)
def test_a_search_is_not_lost_with_the_session(client, db, method, back):
    page = "/networking/proxy-clusters/"
    response = getattr(client, method)(
        f"{page}?q=coffee&n=%C3%BC",
        headers={"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}?q=tea"},
    )
    assert response.headers["HX-Redirect"] == f"/sign-in/?next={page}{back}"


def names(resolver: URLResolver) -> list[str]:
    found = []
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            found.append(f"{entry.lookup_str} {entry.name}")
        else:
            found += names(entry)
    return found


def test_nothing_else_of_allauth_can_be_reached():
    """No sign-up, no e-mail addresses, no codes by mail."""
    mounted = {line.split()[1] for line in names(get_resolver()) if line.startswith("allauth.")}
    assert mounted == {
        "account_login",
        "account_logout",
        "account_inactive",
        "account_reauthenticate",
        "account_change_password",
        "mfa_login_webauthn",
        "mfa_authenticate",
        "mfa_reauthenticate",
        "mfa_activate_totp",
        "mfa_deactivate_totp",
        "mfa_edit_webauthn",
        "mfa_remove_webauthn",
        "mfa_view_recovery_codes",
        "mfa_generate_recovery_codes",
    }


def test_the_public_pages_are_these():
    public = {
        line.split()[1]
        for line in names(get_resolver())
        if "accounts." in line and not line.startswith("allauth.")
    } - {
        "account-list",
        "account-detail",
        "account-level",
        "account-suspend",
        "account-reinstate",
        "invitation-create",
        "invitation-renew",
        "invitation-withdraw",
        "password-link-create",
        "second-factor-remove",
        "service-account-create",
        "service-account-list",
        "service-token-renew",
        "security",
        "mfa_add_webauthn",
        "mfa_index",
        "mfa_list_webauthn",
        "mfa_reauthenticate_webauthn",
        "name-change",
        "sessions-end",
    }
    assert public == {"setup", "invitation-accept", "password-set", "password-forgotten"}


@pytest.mark.parametrize(
    "path",
    [
        "/settings/people/",
        "/settings/people/a-1/",
        "/settings/people/invitations/new/",
        "/settings/security/",
        "/settings/security/app/",
        "/settings/security/codes/",
        "/settings/security/keys/new/",
        "/settings/security/password/",
        "/confirm/",
        "/confirm/code/",
    ],
)
def test_everything_else_asks_to_sign_in(client, db, path):
    for response in (client.get(path), client.post(path)):
        assert response.status_code == 302
        assert response.headers["Location"].startswith(SIGN_IN)


def test_changing_the_password_ends_other_sessions_and_is_recorded(alice):
    here, there = Client(), Client()
    submit_sign_in(here, alice.email)
    submit_sign_in(there, alice.email)
    form = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    page = here.post("/settings/security/password/", form | {"oldpassword": "wrong"})
    assert "This is not your password." in page.content.decode()
    assert here.post("/settings/security/password/", form).status_code == 302
    assert is_signed_in(here)
    assert not is_signed_in(there)
    alice.refresh_from_db()
    assert alice.check_password(NEW_PASSWORD)
    assert Activity.objects.latest("id").verb == "password changed"


@pytest.mark.parametrize(
    "value", ["\0", "<script>alert(1)</script>", "é" * 300, "x" * 1_000_000, "", "a@b\r\nBcc: c@d"]
)
def test_hostile_input_is_no_error_of_ours(client, alice, value):
    assert submit_sign_in(client, value, value, next=value).status_code in (200, 302, 400, 429)
    assert b"<script>alert" not in submit_sign_in(client, value, "x").content


def test_no_template_of_allauth_itself_is_drawn(alice_client):
    """Its own pages would come without our frame, and with inline scripts."""
    ours = Path(__file__).parents[2] / "templates"
    for path in (
        "/confirm/",
        "/settings/security/password/",
        "/settings/security/app/",
        "/settings/security/keys/new/",
    ):
        response = alice_client.get(path)
        assert response.status_code == 200
        drawn = [
            template.origin.name
            for template in response.templates
            if template.origin and template.name.endswith(".html")
        ]
        pages = [name for name in drawn if "/django/forms/" not in name and "heroicons" not in name]
        assert all(name.startswith(str(ours)) for name in pages), pages
