import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from accounts import services
from accounts.models import Account, PasswordLink
from accounts.policy import CHANGE_PERMISSIONS, VIEW_PERMISSIONS, Level
from audit.models import Activity
from audit.services import PermissionRequired
from tests.accounts.people import add_app, at_once, is_signed_in, recovery_codes, submit_sign_in
from tests.conftest import sign_in
from tests.people import make_account
from ui.messages import undo_of

PEOPLE = "/settings/people/"
HOSTILE = ["<script>alert(1)</script>", "'\"", "🐘", "\u05e9\u05dc\u05d5\u05dd", "x" * 100]


def page_of(account):
    return f"{PEOPLE}{account.pk}/"


def undoable_in(response):
    (message,) = response.context["messages"]
    undo = undo_of(message)
    assert undo is not None
    assert f'action="{undo["undo_url"]}"' in response.content.decode()
    return str(message), undo


def acts_on(account):
    """Every act that a page offers, with fields that would do something."""
    page = page_of(account)
    return [
        (page + "level/", {"level": "admin", "was": "user"}),
        (page + "suspension/", {}),
        (page + "reinstatement/", {}),
        (page + "password-link/", {}),
        (page + "second-factor/", {}),
        (PEOPLE + "invitations/new/", {"email": "new@example.com", "level": "admin"}),
    ]


# --- Who sees and does what --------------------------------------------------------------------


def test_an_administrator_sees_everybody_and_every_act(alice_client, charlie):
    add_app(charlie)
    page = alice_client.get(PEOPLE).content.decode()
    assert "Charlie" in page
    assert "charlie@example.com" in page
    assert "Invite somebody" in page
    page = alice_client.get(page_of(charlie)).content.decode()
    for act in ("Change level", "Suspend", "Make password link", "Remove second factor"):
        assert act in page


def test_an_auditor_sees_everybody_and_no_act(bob_client, charlie):
    for path in (PEOPLE, page_of(charlie)):
        page = bob_client.get(path)
        assert page.status_code == 200
        content = page.content.decode().split("<main", 1)[1].split("</main>")[0]
        assert "Charlie" in content
        assert "<form" not in content
        assert "Invite" not in content


def test_a_user_sees_nobody(charlie_client, alice):
    assert charlie_client.get(PEOPLE).status_code == 403
    assert charlie_client.get(page_of(alice)).status_code == 403
    # Nor whether there is such a person.
    assert charlie_client.get(PEOPLE + "a-0000000000000000/").status_code == 403


@pytest.mark.parametrize("level", [Level.AUDITOR, Level.USER])
def test_nobody_else_changes_anything(level, charlie):
    account = make_account("Dora", level)
    client = sign_in(account)
    add_app(charlie)
    for path, fields in acts_on(charlie):
        assert client.post(path, fields).status_code == 403, path
    charlie.refresh_from_db()
    assert (charlie.level, charlie.is_active, charlie.session_epoch) == (Level.USER, True, 0)
    assert Authenticator.objects.count() == 1
    assert Activity.objects.filter(verb="permission denied", outcome="denied", actor=account).count() == len(
        acts_on(charlie)
    )
    assert Activity.objects.exclude(verb="permission denied").count() == 0


@pytest.mark.parametrize("name", ["bob", "charlie"])
def test_the_services_refuse_by_themselves(request, name, alice):
    actor = request.getfixturevalue(name)
    for act in (
        lambda: services.level_change(actor=actor, account=alice, was=Level.ADMIN, level=Level.USER),
        lambda: services.account_suspend(actor=actor, account=alice),
        lambda: services.account_reinstate(actor=actor, account=alice),
        lambda: services.password_link_create(actor=actor, account=alice),
        lambda: services.second_factor_remove(actor=actor, account=alice),
        lambda: services.invitation_create(actor=actor, email="x@example.com", level=Level.ADMIN),
    ):
        with pytest.raises(PermissionRequired):
            act()


def test_levels_allow_what_they_say(alice, bob, charlie):
    for permission in VIEW_PERMISSIONS | CHANGE_PERMISSIONS:
        assert alice.has_perm(permission)
        assert bob.has_perm(permission) is (permission in VIEW_PERMISSIONS)
        assert not charlie.has_perm(permission)
    assert not alice.has_perm("secrets.read")
    alice.is_active = False
    assert not alice.has_perm("accounts.view")


@pytest.mark.parametrize("path", [path for path, _ in acts_on(Account(pk="a-1"))])
def test_safe_methods_change_nothing(alice_client, path, charlie):
    path = path.replace("a-1", charlie.pk)
    assert alice_client.get(path).status_code in (200, 405)
    charlie.refresh_from_db()
    assert (charlie.level, charlie.is_active) == (Level.USER, True)


@pytest.mark.parametrize(
    "account_id", ["a-0000000000000000", "%00", "a-1%00", "🐘", "x" * 3000, "<script>", ".."]
)
def test_unknown_people_are_not_found(alice_client, account_id):
    for act in ("", "level/", "suspension/", "reinstatement/", "password-link/", "second-factor/"):
        path = f"{PEOPLE}{account_id}/{act}"
        assert (
            alice_client.post(path).status_code == (405 if not act and account_id != ".." else 404)
            or account_id == ".."
        )
        if not act:
            assert alice_client.get(path).status_code in (404, 200 if account_id == ".." else 404)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text(alice_client, charlie, name):
    charlie.name = name
    charlie.save()
    for path in (PEOPLE, page_of(charlie), page_of(charlie) + "second-factor/"):
        page = alice_client.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.content.decode()


def test_many_people_are_paged(alice_client, db):
    for number in range(60):
        make_account(f"Person{number:02}", Level.USER)
    first = alice_client.get(PEOPLE)
    assert len(first.context["page"].rows) == 50
    assert "61 accounts" in first.content.decode()
    second = alice_client.get(PEOPLE, {"after": first.context["page"].next})
    assert [account.email for account in second.context["page"].rows] == [
        f"person{number}@example.com" for number in range(49, 60)
    ]
    assert alice_client.get(PEOPLE, {"after": "nonsense"}).status_code == 200


def test_the_list_costs_the_same_for_many(alice_client, django_assert_max_num_queries):
    for number in range(30):
        make_account(f"Person{number}", Level.USER)
    with django_assert_max_num_queries(8):
        alice_client.get(PEOPLE)


# --- Levels ------------------------------------------------------------------------------------


def test_a_level_is_changed_and_can_be_undone(alice_client, alice, charlie):
    response = alice_client.post(
        page_of(charlie) + "level/", {"level": "auditor", "was": "user"}, follow=True
    )
    charlie.refresh_from_db()
    assert charlie.level == Level.AUDITOR
    message, undo = undoable_in(response)
    assert message == "Charlie now has the level Auditor."
    activity = Activity.objects.get()
    assert (activity.verb, activity.actor, activity.before, activity.after) == (
        "account level changed",
        alice,
        {"level": "user"},
        {"level": "auditor"},
    )
    alice_client.post(undo["undo_url"], dict(undo["fields"]))
    charlie.refresh_from_db()
    assert charlie.level == Level.USER


def test_undo_of_a_level_does_not_undo_what_another_did_since(alice_client, charlie):
    response = alice_client.post(
        page_of(charlie) + "level/", {"level": "auditor", "was": "user"}, follow=True
    )
    _, undo = undoable_in(response)
    Account.objects.update(level=Level.ADMIN)
    page = alice_client.post(undo["undo_url"], dict(undo["fields"]), follow=True).content.decode()
    assert "Charlie has the level Administrator by now: somebody else changed it meanwhile." in page
    charlie.refresh_from_db()
    assert charlie.level == Level.ADMIN


def test_a_form_that_is_out_of_date_changes_no_level(alice_client, charlie):
    page = alice_client.get(page_of(charlie)).content.decode()
    assert '<input type="hidden" name="was" value="user">' in page
    Account.objects.filter(pk=charlie.pk).update(level=Level.AUDITOR)
    for stale in ({"was": "user"}, {"was": "\0"}, {}):
        response = alice_client.post(page_of(charlie) + "level/", {"level": "admin", **stale}, follow=True)
        assert "Charlie has the level Auditor by now" in response.content.decode()
    charlie.refresh_from_db()
    assert charlie.level == Level.AUDITOR
    assert not Activity.objects.exists()


def test_what_another_did_already_is_said_without_undo(alice_client, charlie):
    Account.objects.filter(pk=charlie.pk).update(level=Level.AUDITOR, is_active=False)
    acts = [
        ("level/", {"level": "auditor", "was": "user"}, "Charlie has the level Auditor already."),
        ("suspension/", {}, "Charlie was suspended already."),
    ]
    for act, fields, words in acts:
        response = alice_client.post(page_of(charlie) + act, fields, follow=True)
        (message,) = response.context["messages"]
        assert str(message) == words
        assert undo_of(message) is None
    Account.objects.filter(pk=charlie.pk).update(is_active=True)
    page = alice_client.post(page_of(charlie) + "reinstatement/", follow=True).content.decode()
    assert "Charlie was reinstated already." in page
    assert not Activity.objects.exists()


@pytest.mark.parametrize("level", ["", "root", "Administrator", "\0", "x" * 100_000])
def test_a_level_that_there_is_not_is_refused(alice_client, charlie, level):
    assert alice_client.post(page_of(charlie) + "level/", {"level": level}).status_code == 422
    charlie.refresh_from_db()
    assert charlie.level == Level.USER


def test_only_the_level_can_be_given(alice_client, charlie):
    fields = {
        "level": "auditor",
        "was": "user",
        "email": "evil@example.com",
        "is_active": "",
        "password": "x",
        "session_epoch": "9",
    }
    alice_client.post(page_of(charlie) + "level/", fields)
    charlie.refresh_from_db()
    assert (charlie.email, charlie.is_active, charlie.session_epoch) == ("charlie@example.com", True, 0)


def test_setting_the_same_level_records_nothing(alice_client, charlie):
    alice_client.post(page_of(charlie) + "level/", {"level": "user"})
    assert not Activity.objects.exists()


@pytest.mark.parametrize(
    ("act", "fields", "words"),
    [
        ("level/", {"level": "user", "was": "admin"}, "You cannot change your own level."),
        ("suspension/", {}, "You cannot suspend yourself."),
    ],
)
def test_nobody_changes_the_own_level_or_suspends_oneself(alice_client, alice, act, fields, words):
    make_account("Dora", Level.ADMIN)
    response = alice_client.post(page_of(alice) + act, fields)
    assert response.status_code == 403
    assert f"{words} Ask another administrator to do it." in response.content.decode()
    alice.refresh_from_db()
    assert (alice.level, alice.is_active) == (Level.ADMIN, True)
    attempt = Activity.objects.get()
    assert (attempt.actor, attempt.verb, attempt.outcome) == (alice, "permission denied", "denied")
    assert attempt.entity_name == f"POST {page_of(alice)}{act}"
    assert attempt.after == {"reason": f"{words} Ask another administrator to do it."}


def test_the_page_of_oneself_offers_neither(alice_client, alice):
    content = alice_client.get(page_of(alice)).content.decode()
    assert "changed by another administrator" in content
    assert "Change level" not in content


def test_taking_the_last_administrator_is_recorded(alice_client, alice, monkeypatch):
    """Between the question whether one may and the lock, two administrators can take each other away."""
    dora = make_account("Dora", Level.ADMIN)
    locked = services._locked

    def late(account):
        Account.objects.filter(pk=alice.pk).update(is_active=False)
        return locked(account)

    monkeypatch.setattr(services, "_locked", late)
    response = alice_client.post(page_of(dora) + "suspension/")
    assert response.status_code == 403
    assert "Dora is the last active administrator." in response.content.decode()
    attempt = Activity.objects.get()
    assert (attempt.outcome, attempt.actor, attempt.entity_name) == (
        "denied",
        alice,
        f"POST {page_of(dora)}suspension/",
    )


def test_the_last_active_administrator_stays_one(alice, charlie):
    dora = make_account("Dora", Level.ADMIN)
    Account.objects.filter(pk=alice.pk).update(is_active=False)
    for act in (
        lambda: services.level_change(actor=alice, account=dora, was=Level.ADMIN, level=Level.AUDITOR),
        lambda: services.account_suspend(actor=alice, account=dora),
    ):
        with pytest.raises(services.Forbidden, match="Dora is the last active administrator"):
            act()
    services.level_change(actor=alice, account=dora, was=Level.ADMIN, level=Level.ADMIN)
    services.level_change(actor=alice, account=charlie, was=Level.USER, level=Level.ADMIN)
    services.account_suspend(actor=alice, account=dora)


@pytest.mark.parametrize(
    "act",
    [
        lambda actor, account: services.level_change(
            actor=actor, account=account, was=Level.ADMIN, level=Level.USER
        ),
        lambda actor, account: services.account_suspend(actor=actor, account=account),
    ],
    ids=["demote", "suspend"],
)
def test_two_administrators_who_remove_each_other_at_once_leave_one(transactional_db, act):
    for _ in range(5):
        people = [make_account(f"Admin{number}", Level.ADMIN) for number in range(2)]
        one, two = people
        answers = at_once(lambda: act(one, two), lambda: act(two, one))  # noqa: B023  # run at once
        refused = [answer for answer in answers if isinstance(answer, services.Forbidden)]
        assert len(refused) == 1, answers
        assert Account.objects.filter(level=Level.ADMIN, is_active=True).count() == 1
        Account.objects.filter(pk__in=[one.pk, two.pk]).update(level=Level.USER)
        for number, account in enumerate(people):
            Account.objects.filter(pk=account.pk).update(email=f"{account.pk}-{number}@example.com")


# --- Suspension --------------------------------------------------------------------------------


def test_a_suspended_person_is_out_at_once_and_stays_out(alice_client, alice, charlie):
    at_desk, on_phone = Client(), Client()
    for client in (at_desk, on_phone):
        submit_sign_in(client, charlie.email)
        assert is_signed_in(client)
    services.password_link_create(actor=alice, account=charlie)
    response = alice_client.post(page_of(charlie) + "suspension/", follow=True)
    message, undo = undoable_in(response)
    assert message == "Charlie is suspended and signed out."
    assert not is_signed_in(at_desk)
    assert not PasswordLink.objects.exists()
    alice_client.post(undo["undo_url"], dict(undo["fields"]))
    charlie.refresh_from_db()
    assert charlie.is_active
    # The phone did not ask meanwhile; its session is dead all the same.
    assert not is_signed_in(on_phone)
    assert not is_signed_in(at_desk)
    assert submit_sign_in(at_desk, charlie.email).status_code == 302
    assert is_signed_in(at_desk)
    verbs = list(Activity.objects.filter(actor=alice).order_by("id").values_list("verb", flat=True))
    assert verbs == ["password link made", "account suspended", "account reinstated"]


def test_old_sessions_stay_dead_when_the_signing_key_is_rotated(settings, charlie):
    old, kept = Client(), Client()
    submit_sign_in(old, charlie.email)
    services.sessions_end(actor=charlie)
    submit_sign_in(kept, charlie.email)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another key" * 10
    assert is_signed_in(kept)  # by the fallback, and from now on by the new key
    assert is_signed_in(kept)
    assert not is_signed_in(old)


def test_suspending_twice_is_one_act(alice, charlie):
    for _ in range(2):
        services.account_suspend(actor=alice, account=charlie)
    assert Activity.objects.filter(verb="account suspended").count() == 1


# --- Lost second factors -----------------------------------------------------------------------


def test_a_lost_second_factor_is_removed_after_a_question(alice_client, alice, charlie):
    client = Client()
    client.force_login(charlie)
    add_app(charlie)
    recovery_codes(charlie)
    page = alice_client.get(page_of(charlie) + "second-factor/").content.decode()
    assert "This cannot be undone." in page
    assert Authenticator.objects.count() == 2
    alice_client.post(page_of(charlie) + "second-factor/")
    assert not Authenticator.objects.exists()
    assert not is_signed_in(client)
    activity = Activity.objects.get(verb="second factor removed")
    assert (activity.actor, activity.entity_id, activity.before) == (alice, charlie.pk, {"types": ["totp"]})
    assert submit_sign_in(Client(), charlie.email).headers["Location"] == "/"
