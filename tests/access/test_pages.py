"""The pages under Access, as an administrator uses them."""

import datetime as dt
import re

import pytest
from django.urls import reverse
from django.utils import timezone

from access.models import MAX_RULE_RESOURCES, Attachment, Grant, Role, Rule
from accounts.policy import Level
from audit.models import Activity
from tests.access.factories import HOUR, attach, choose, grant, make_role, match
from tests.clusters.factories import make_cluster
from tests.people import make_account
from tests.resources.factories import make_resource

pytestmark = pytest.mark.django_db


@pytest.fixture
def role(alice):
    return make_role(alice, "developers", Team="blue")


@pytest.fixture
def orders(alice):
    return make_resource(
        alice, "orders-db", cluster=make_cluster("keen-coffee"), tags={"Environment": "sandbox"}
    )


def url(name, *args):
    return reverse(f"access:{name}", args=[getattr(arg, "pk", arg) for arg in args])


def text(response):
    return response.content.decode()


# --- Roles --------------------------------------------------------------------------------------


def test_no_role_yet(alice_client, bob_client):
    page = text(alice_client.get(url("role-list")))
    assert "No role yet" in page
    assert page.count("button--primary") == 1
    assert "Add role" not in text(bob_client.get(url("role-list")))


def test_roles_are_found_by_name_and_tag(alice, alice_client, role, orders):
    make_role(alice, "operators", Team="red")
    choose(role, orders)
    for search in ("DEV", "name:develop", "tags:Team=blue", f"id:{role.pk}"):
        page = text(alice_client.get(url("role-list"), {"q": search}))
        assert "developers" in page and "operators" not in page
    assert "No roles match" in text(alice_client.get(url("role-list"), {"q": "nobody"}))


def test_the_list_takes_as_many_queries_for_many(alice, alice_client, django_assert_max_num_queries):
    for number in range(40):
        match(make_role(alice, f"role-{number}", alice, Team="blue"), kinds=["postgres"])
    with django_assert_max_num_queries(8):
        assert "40 roles" in text(alice_client.get(url("role-list")))


def test_a_role_is_added(alice_client):
    response = alice_client.post(
        url("role-create"), {"name": "developers", "tags_key": ["Team"], "tags_value": ["blue"]}
    )
    role = Role.objects.get()
    assert response.headers["Location"] == url("role-rules", role)
    assert [str(tag) for tag in role.tags.all()] == ["Team=blue"]
    assert "This role opens nothing yet" in text(alice_client.get(url("role-rules", role)))


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "Enter a name"), ("DEVELOPERS", "Another role has this name"), ("a\u202eb", "U+202E")],
)
def test_a_name_that_cannot_be(alice_client, role, name, words):
    response = alice_client.post(url("role-create"), {"name": name})
    assert response.status_code == 422
    assert words in text(response)
    assert Role.objects.count() == 1


def test_a_role_is_renamed_and_keeps_its_address(alice_client, role):
    sent = {"name": "builders", "version": role.version, "tags_key": [""], "tags_value": [""]}
    assert alice_client.post(url("role-settings", role), sent).status_code == 302
    role.refresh_from_db()
    assert (role.name, role.tags.count()) == ("builders", 0)
    page = text(alice_client.get(url("role-settings", role)))
    assert "Saved." in page and "builders" in page


def test_who_is_late_is_told_what_changed_and_can_save_over_it(alice_client, role):
    alice_client.post(url("role-settings", role), {"name": "builders", "version": 1})
    late = alice_client.post(url("role-settings", role), {"name": "makers", "version": 1})
    assert late.status_code == 409
    assert "This role was changed while you were editing" in text(late)
    assert "builders" in text(late) and 'value="makers"' in text(late)
    assert alice_client.post(url("role-settings", role), {"name": "makers", "version": 2}).status_code == 302


@pytest.mark.parametrize("version", ["-99999999999999999999", "99999999999999999999", "x", ""])
def test_a_version_that_is_none_changes_nothing(alice_client, role, version):
    sent = {"name": "makers", "version": version}
    assert alice_client.post(url("role-settings", role), sent).status_code in (409, 422)
    role.refresh_from_db()
    assert role.name == "developers"


def test_deleting_says_what_is_lost_and_asks_for_the_name(alice, alice_client, charlie, role, orders):
    attach(alice, charlie, role)
    choose(role, orders)
    grant(alice, charlie, role)
    page = text(alice_client.get(url("role-deletion", role)))
    for words in ("1 member loses what only this role opens", "1 rule goes with it", "by this role ends: 1"):
        assert words in page
    assert alice_client.post(url("role-deletion", role), {"name": "other"}).status_code == 422
    assert alice_client.post(url("role-deletion", role), {"name": "developers"}).status_code == 302
    assert not Role.objects.exists()


def test_a_role_that_holds_nothing_is_deleted_without_typing(alice_client, role):
    assert alice_client.post(url("role-deletion", role)).status_code == 302
    assert not Role.objects.exists()


# --- Rules --------------------------------------------------------------------------------------


def sent(**changed):
    return {
        "way": "matching",
        "tags_key": [""],
        "tags_value": [""],
        "cluster": "",
        "resources": "",
        **changed,
    }


def test_a_rule_by_conditions_is_added_and_changed(alice_client, role, orders):
    form = sent(
        kinds=["postgres", "mysql"], tags_key=["Environment"], tags_value=["sandbox"], cluster="KEEN-coffee"
    )
    response = alice_client.post(url("rule-create", role), form)
    assert response.headers["Location"] == url("role-rules", role)
    rule = Rule.objects.get()
    page = text(alice_client.get(url("role-rules", role)))
    assert "MySQL or PostgreSQL" in page and "orders-db" in page and "<strong>1 resource</strong>" in page

    editor = text(alice_client.get(url("rule-edit", role, rule)))
    assert re.search(r'value="postgres"[^>]* checked', editor)
    assert not re.search(r'value="redis"[^>]* checked', editor)
    assert "orders-db" in editor
    form = sent(way="chosen", resources="  Orders-DB \n\norders-db\n", version="2")
    assert alice_client.post(url("rule-edit", role, rule), form).status_code == 302
    rule.refresh_from_db()
    assert (rule.way, rule.cluster, rule.kinds.count(), rule.chosen.count()) == ("chosen", None, 0, 1)
    assert "orders-db</textarea>" in text(alice_client.get(url("rule-edit", role, rule)))


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (sent(), "Choose a kind, a tag or a proxy cluster"),
        (sent(way="chosen"), "Name one resource at least"),
        (sent(way=""), "Choose how resources are found"),
        (sent(way="both"), "both is not one of the available choices"),
        (sent(kinds=["oracle"]), "“oracle” is no kind of resource here"),
        (sent(cluster="keen-cofee"), "Did you mean keen-coffee?"),
        (sent(tags_key=["a=b"], tags_value=["x"]), "a key cannot contain"),
        (sent(way="chosen", resources="orders\nx\0"), "Null characters"),
        (sent(way="chosen", resources="order"), "There is no resource “order”. Did you mean orders-db?"),
        (sent(way="chosen", resources="\n".join(f"none-{n}" for n in range(9))), "And 4 more lines"),
        (
            sent(way="chosen", resources="\n".join(map(str, range(MAX_RULE_RESOURCES + 1)))),
            "these are 2,001",
        ),
        (sent(way="chosen", resources="x" * 900_000), "at most"),
    ],
)
def test_a_rule_that_cannot_be(alice_client, role, orders, form, words):
    response = alice_client.post(url("rule-create", role), form)
    assert response.status_code == 422
    assert words in text(response)
    assert not Rule.objects.exists()
    preview = alice_client.post(url("rule-create-preview", role), form, headers={"HX-Request": "true"})
    assert preview.status_code == 200
    assert words in text(preview)


def test_only_the_fields_of_the_way_that_is_chosen_count(alice_client, role, orders):
    form = sent(way="chosen", resources="orders-db", cluster="nowhere", kinds=["oracle"])
    assert alice_client.post(url("rule-create", role), form).status_code == 302
    form = sent(kinds=["redis"], resources="no such resource")
    assert alice_client.post(url("rule-create", role), form).status_code == 302


def test_the_preview_says_how_many_and_names_the_first(alice, alice_client, role, orders):
    for number in range(14):
        make_resource(alice, f"reports-{number:02}", kind="redis")
    form = sent(kinds=["redis", "postgres"])
    part = text(alice_client.post(url("rule-create-preview", role), form, headers={"HX-Request": "true"}))
    assert "<html" not in part
    assert "<strong>15 resources</strong>" in part
    assert "reports-08" in part and "reports-09" not in part
    assert "and 5 more" in part
    assert "attached to no proxy cluster: unreachable" in part
    assert not Rule.objects.exists()


def test_without_scripts_the_preview_is_the_page_with_what_was_typed(alice_client, role, orders):
    form = sent(tags_key=["Environment"], tags_value=["sandbox"])
    page = text(alice_client.post(url("rule-create-preview", role), form))
    assert "<html" in page and "orders-db" in page and 'value="sandbox"' in page
    nothing = text(alice_client.post(url("rule-create-preview", role), sent(kinds=["redis"])))
    assert "Opens nothing now." in nothing


def test_a_preview_writes_nothing_and_is_for_those_who_may_change(bob_client, alice_client, role, orders):
    count = Activity.objects.count()
    alice_client.post(url("rule-create-preview", role), sent(kinds=["postgres"]))
    assert Activity.objects.count() == count
    assert bob_client.post(url("rule-create-preview", role), sent()).status_code == 403


def test_who_changes_a_rule_late_is_told(alice_client, role, orders):
    rule = match(role, kinds=["postgres"])
    alice_client.post(url("rule-create", role), sent(kinds=["redis"]))
    late = alice_client.post(url("rule-edit", role, rule), sent(kinds=["mysql"], version="1"))
    assert late.status_code == 409
    assert "This role was changed while you were editing" in text(late)
    assert [row.kind for row in rule.kinds.all()] == ["postgres"]
    again = sent(kinds=["mysql"], version="2")
    assert alice_client.post(url("rule-edit", role, rule), again).status_code == 302


def test_a_rule_of_another_role_is_not_found(alice, alice_client, role):
    rule = match(make_role(alice), kinds=["postgres"])
    for name in ("rule-edit", "rule-edit-preview", "rule-remove"):
        assert alice_client.post(url(name, role, rule), sent()).status_code == 404
    assert Rule.objects.exists()


def test_a_rule_is_removed(alice_client, role):
    rule = match(role, kinds=["postgres"])
    page = text(alice_client.post(url("rule-remove", role, rule), follow=True))
    assert "The rule is removed." in page
    assert not Rule.objects.exists()


# --- Members ------------------------------------------------------------------------------------


def test_a_member_is_added_removed_and_put_back(alice_client, charlie, role):
    sent = {"person": "Charlie@Example.com"}
    page = text(alice_client.post(url("role-members", role), sent, follow=True))
    assert "Charlie has the role developers now." in page
    attachment = Attachment.objects.get()
    page = text(alice_client.post(url("member-remove", role, attachment), follow=True))
    assert "no longer" in page and 'value="charlie@example.com"' in page and "Undo" in page
    assert not Attachment.objects.exists()
    alice_client.post(url("role-members", role), {"person": "charlie@example.com"})
    assert Attachment.objects.get().account == charlie


@pytest.mark.parametrize(
    ("person", "words"),
    [
        ("", "Enter the e-mail address"),
        ("charly@example.com", "There is no person of this name. Did you mean charlie@example.com?"),
        ("a\0b", "Null characters"),
    ],
)
def test_somebody_who_is_not_there(alice_client, charlie, role, person, words):
    response = alice_client.post(url("role-members", role), {"person": person})
    assert response.status_code == 422
    assert words in text(response)


def test_who_is_a_member_already_and_who_is_suspended(alice, alice_client, charlie, role):
    attach(alice, charlie, role)
    again = alice_client.post(url("role-members", role), {"person": charlie.email})
    assert "Charlie has the role developers already." in text(again)
    dora = make_account("Dora", Level.USER)
    dora.is_active = False
    dora.save()
    assert alice_client.post(url("role-members", role), {"person": dora.email}).status_code == 422


def test_a_member_of_another_role_is_not_found(alice, alice_client, charlie, role):
    attachment = attach(alice, charlie, make_role(alice))
    assert alice_client.post(url("member-remove", role, attachment)).status_code == 404


# --- Temporary access ---------------------------------------------------------------------------


def given(**changed):
    end = timezone.now() + 3 * HOUR
    return {
        "person": "charlie@example.com",
        "resource": "orders-db",
        "role": "",
        "starts_at": "",
        "ends_at": f"{end:%Y-%m-%dT%H:%M}",
        "reason": "Incident 4711",
        **changed,
    }


def test_temporary_access_is_given_and_ended(alice_client, charlie, orders):
    page = text(alice_client.post(url("grant-create"), given(), follow=True))
    assert "Charlie has temporary access to orders-db." in page
    assert "Incident 4711" in page and "Open now" in page
    made = Grant.objects.get()
    page = text(alice_client.post(url("grant-end", made), follow=True))
    assert "is ended" in page and "Nobody has temporary access" in page
    assert "ended by Alice" in text(alice_client.get(url("grant-past")))
    assert "had ended already" in text(alice_client.post(url("grant-end", made), follow=True))


def test_ending_leads_back_to_where_the_button_was(alice, alice_client, charlie, role, orders):
    places = {
        charlie.pk: url("person-access", charlie),
        role.pk: url("role-members", role),
        "//evil.example": url("grant-list"),
        "": url("grant-list"),
    }
    for back, expected in places.items():
        response = alice_client.post(url("grant-end", grant(alice, charlie, orders)), {"back": back})
        assert response.headers["Location"] == expected


def test_a_role_for_a_while_from_later_on(alice_client, charlie, role):
    start = timezone.now() + HOUR
    form = given(resource="", role="Developers", starts_at=f"{start:%Y-%m-%dT%H:%M}")
    assert alice_client.post(url("grant-create"), form).status_code == 302
    made = Grant.objects.get()
    assert (made.role, made.resource) == (role, None)
    assert "Not begun" in text(alice_client.get(url("role-members", role)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"person": ""}, "Enter the e-mail address"),
        ({"resource": ""}, "Enter a resource here, or a role below."),
        ({"role": "developers"}, "Either a resource or a role."),
        ({"resource": "orders"}, "There is no resource of this name. Did you mean orders-db?"),
        ({"ends_at": ""}, "Enter when it ends."),
        ({"ends_at": "tomorrow"}, "“tomorrow” is no time"),
        ({"ends_at": "2020-01-01T00:00"}, "The end must be after the start."),
        ({"starts_at": "2020-01-01T00:00", "ends_at": "2020-01-02T00:00"}, "The end is over already."),
        ({"ends_at": "9999-12-31T23:59"}, "366 days at most"),
        ({"starts_at": "0001-01-01T00:00"}, "366 days at most"),
        ({"reason": ""}, "Say why"),
        ({"reason": "x" * 501}, "at most 500 characters"),
    ],
)
def test_temporary_access_that_cannot_be(alice_client, charlie, role, orders, changed, words):
    response = alice_client.post(url("grant-create"), given(**changed))
    assert response.status_code == 422
    assert words in text(response)
    assert not Grant.objects.exists()


def test_the_form_comes_filled_in_from_the_page_before(alice_client, charlie, role, orders):
    query = {"person": charlie.pk, "resource": orders.pk, "role": role.pk}
    page = text(alice_client.get(url("grant-create"), query))
    for value in (charlie.email, orders.name, role.name):
        assert re.search(f'<input[^>]* value="{value}"', page)
    page = text(alice_client.get(url("grant-create"), dict.fromkeys(query, "a\0b")))
    assert not re.search(f'<input[^>]* value="{charlie.email}"', page)


# --- Who reaches what, and why ------------------------------------------------------------------


def test_a_resource_says_who_reaches_it_and_why(alice, alice_client, charlie, role, orders):
    assert "Nobody can reach it" in text(alice_client.get(url("resource-access", orders)))
    attach(alice, charlie, role)
    choose(role, orders)
    match(role, kinds=["postgres"])
    dora = make_account("Dora", Level.USER)
    grant(alice, dora, orders)
    page = text(alice_client.get(url("resource-access", orders)))
    assert "charlie@example.com" in page and "dora@example.com" in page and "alice@example.com" not in page
    assert page.count(f'href="{url("role-rules", role)}"') == 1  # one reason, though two rules say so
    assert "On call" in page and "2 people" in page


def test_a_resource_of_no_cluster_says_that_nobody_reaches_it(alice, alice_client, charlie, role):
    resource = make_resource(alice, "orphan")
    choose(role, resource)
    attach(alice, charlie, role)
    assert "It is attached to no proxy cluster." in text(alice_client.get(url("resource-access", resource)))


def test_a_person_s_page_says_what_they_reach_and_why(alice, alice_client, charlie, role, orders):
    make_resource(alice, "secret-db", cluster=orders.cluster, kind="redis")
    attach(alice, charlie, role)
    match(role, kinds=["postgres"])
    page = text(alice_client.get(url("person-access", charlie)))
    assert "orders-db" in page and "secret-db" not in page and "developers" in page
    part = alice_client.get(url("person-access", charlie), {"q": "x"}, headers={"HX-Request": "true"})
    assert "No resources match" in text(part) and "<html" not in text(part)


def test_a_person_who_reaches_nothing_is_told_apart(alice, alice_client, bob, charlie, role, orders):
    choose(role, orders)
    for account in (bob, charlie):
        attach(alice, account, role)
    charlie.is_active = False
    charlie.save()
    assert "Charlie is suspended" in text(alice_client.get(url("person-access", charlie)))
    assert "Auditors reach no resources" in text(alice_client.get(url("person-access", bob)))
    assert "Nothing" in text(alice_client.get(url("person-access", bob)))


def test_the_explanations_take_as_many_queries_for_many(
    alice, alice_client, charlie, orders, django_assert_max_num_queries
):
    for number in range(20):
        role = make_role(alice, f"role-{number}", charlie)
        match(role, kinds=["postgres"])
        choose(role, orders)
        attach(alice, make_account(f"person-{number}", Level.USER), role)
        make_resource(alice, cluster=orders.cluster)
    with django_assert_max_num_queries(16):
        assert "21 people" in text(alice_client.get(url("resource-access", orders)))
    with django_assert_max_num_queries(22):
        assert "21 resources" in text(alice_client.get(url("person-access", charlie)))


def test_markup_in_names_is_text(alice, alice_client, charlie):
    role = make_role(alice, "<script>alert(1)</script>", charlie)
    resource = make_resource(alice, "<img src=x>", cluster=make_cluster())
    choose(role, resource)
    made = grant(alice, charlie, resource, ends=timezone.now() + dt.timedelta(hours=1))
    Grant.objects.filter(pk=made.pk).update(reason="<b>why</b>")
    for address in (
        url("role-list"),
        url("role-rules", role),
        url("role-members", role),
        url("grant-list"),
        url("resource-access", resource),
        url("person-access", charlie),
    ):
        page = text(alice_client.get(address))
        assert "<script>alert" not in page and "<img src=x>" not in page and "<b>why" not in page


@pytest.mark.parametrize("kind", ["person", "resource", "role"])
def test_names_are_suggested_from_their_beginning_then_from_anywhere(
    alice, alice_client, charlie_client, kind
):
    for name in ("beta-alpha", "alpha", "gamma"):
        make_account(name, Level.USER)
        make_resource(alice, name)
        make_role(alice, name)
    page = text(alice_client.get(url(f"{kind}-suggestions"), {"q": "ALPHA"}))
    assert page.index('data-text="alpha') < page.index('data-text="beta-alpha')
    assert "gamma" not in page
    for hostile in ("", "\0", "*%_?[", "😀", "x" * 5_000):
        assert alice_client.get(url(f"{kind}-suggestions"), {"q": hostile}).status_code == 200
    assert charlie_client.get(url(f"{kind}-suggestions")).status_code == 403
