"""The editor of a role's rules, and its preview."""

import re

import pytest

from access.models import MAX_RULE_RESOURCES, Rule
from audit.models import Activity
from tests.access.factories import make_role, match
from tests.access.pages import text, url
from tests.resources.factories import make_resource

pytestmark = pytest.mark.django_db


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
