"""What can be done to roles, members and grants: permitted, recorded, announced, and not done by halves."""

import pytest
from django.utils import timezone

from access import giving, services
from access.decisions import decide
from access.matching import Conditions, Selection
from access.models import MAX_ROLES, MAX_RULES, Attachment, Grant, Role, Rule
from accounts import services as accounts
from accounts.policy import Level
from audit.models import Activity
from audit.services import PermissionRequired
from clusters import services as clusters
from clusters.conflicts import Conflict, NameTaken
from events import topics
from resources import services as resources
from resources.kinds import KINDS
from resources.kinds.base import Target
from resources.services import Details, Move
from tests.access.factories import HOUR, attach, choose, grant, make_role, match
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource

pytestmark = pytest.mark.django_db

POSTGRES = Selection(conditions=Conditions(kinds=["postgres"]))


@pytest.fixture
def announced(monkeypatch):
    """Where access may have changed, as it was announced."""
    heard = []
    monkeypatch.setattr(topics, "publish", lambda topic, where: heard.append((topic, where)))
    return heard


@pytest.fixture
def orders(alice):
    return make_resource(alice, "orders-db", cluster=make_cluster("keen-coffee"))


def last():
    """The last activity: verb, entity, before, after."""
    activity = Activity.objects.latest("pk")
    return activity.verb, activity.entity_name, activity.before, activity.after


def test_a_role_is_made_changed_and_deleted(alice, charlie, orders, announced):
    role = services.role_create(actor=alice, name="Developers", tags={"Team": "blue"})
    assert last() == ("role created", "Developers", None, {"name": "Developers", "tags": {"Team": "blue"}})
    assert not announced
    assert services.role_update(actor=alice, role=role, version=1, name="Builders", tags={"Team": "blue"})
    assert last() == ("role updated", "Builders", {"name": "Developers"}, {"name": "Builders"})
    assert not services.role_update(actor=alice, role=role, version=2, name="Builders", tags={"Team": "blue"})
    choose(role, orders)
    attach(alice, charlie, role)
    grant(alice, charlie, role)
    announced.clear()
    services.role_delete(actor=alice, role=role)
    verb, name, before, _ = last()
    assert (verb, name, before["members"]) == ("role deleted", "Builders", [charlie.email])
    assert before["rules"][0]["resources"] == ["orders-db"]
    assert before["temporary access"] == 1
    assert announced == [("access", {"role": role.pk})]
    assert not Grant.objects.exists() and not Attachment.objects.exists() and not Rule.objects.exists()
    with pytest.raises(Role.DoesNotExist):
        services.role_delete(actor=alice, role=role)


def test_names_are_unique_whatever_their_case(alice):
    services.role_create(actor=alice, name="Straße", tags={})
    with pytest.raises(NameTaken):
        services.role_create(actor=alice, name="STRASSE", tags={})
    other = services.role_create(actor=alice, name="Other", tags={})
    with pytest.raises(NameTaken):
        services.role_update(actor=alice, role=other, version=1, name="straße", tags={})


def test_of_two_who_change_a_role_the_later_one_is_told(alice):
    role = services.role_create(actor=alice, name="Developers", tags={})
    services.rule_add(actor=alice, role=role, selection=POSTGRES)
    with pytest.raises(Conflict):
        services.role_update(actor=alice, role=role, version=1, name="Builders", tags={})
    role.refresh_from_db()
    assert (role.name, role.version) == ("Developers", 2)


# --- Rules --------------------------------------------------------------------------------------


def test_a_rule_is_added_changed_and_removed(alice, orders, announced):
    role, cluster = make_role(alice, "developers"), orders.cluster
    conditions = Conditions(["postgres"], {"Environment": "sandbox"}, cluster.pk)
    rule = services.rule_add(actor=alice, role=role, selection=Selection(conditions=conditions))
    said = {
        "way": "All that match",
        "kinds": ["postgres"],
        "resource tags": {"Environment": "sandbox"},
        "proxy cluster": "keen-coffee",
    }
    assert last() == ("access rule added", "developers", None, {"rule": rule.pk, **said})

    rule = Rule.objects.get()
    assert services.rule_change(actor=alice, rule=rule, version=2, selection=Selection(chosen=[orders]))
    verb, name, before, after = last()
    assert (verb, name) == ("access rule changed", "developers")
    assert before == {**said, "resources": []}
    assert after == {**dict.fromkeys(said), "way": "These resources", "resources": ["orders-db"]}

    rule = Rule.objects.get()
    assert services.rule_remove(actor=alice, rule=rule)
    assert last()[0:2] == ("access rule removed", "developers")
    assert not services.rule_remove(actor=alice, rule=rule)
    assert announced == [("access", {"role": role.pk})] * 3
    assert Role.objects.get().version == 4


def test_a_rule_that_stays_the_same_is_no_change(alice, orders):
    role = make_role(alice)
    services.rule_add(actor=alice, role=role, selection=Selection(chosen=[orders]))
    rule, count = Rule.objects.get(), Activity.objects.count()
    assert not services.rule_change(actor=alice, rule=rule, version=2, selection=Selection(chosen=[orders]))
    assert Activity.objects.count() == count
    assert rule.chosen.count() == 1


def test_one_resource_for_another_among_very_many_is_a_change(alice):
    many = [make_resource(alice) for _ in range(60)]
    role = make_role(alice)
    rule = services.rule_add(actor=alice, role=role, selection=Selection(chosen=many[:59]))
    assert last()[3]["resources"][-1] == "and 9 more"
    rule = Rule.objects.get(pk=rule.pk)
    selection = Selection(chosen=[*many[:58], many[59]])
    assert services.rule_change(actor=alice, rule=rule, version=2, selection=selection)
    _, _, before, after = last()
    assert (before, after) == ({"resources": [many[58].name]}, {"resources": [many[59].name]})


def test_of_two_who_change_rules_the_later_one_is_told(alice, orders):
    role = make_role(alice)
    services.rule_add(actor=alice, role=role, selection=POSTGRES)
    rule = Rule.objects.get()
    services.rule_add(actor=alice, role=role, selection=POSTGRES)
    with pytest.raises(Conflict):
        services.rule_change(actor=alice, rule=rule, version=2, selection=Selection(chosen=[orders]))
    assert Rule.objects.get(pk=rule.pk).way == Rule.Way.MATCHING
    assert rule.kinds.count() == 1


def test_a_role_has_so_many_rules_at_most(alice):
    role = make_role(alice, "developers")
    for _ in range(MAX_RULES):
        match(role, kinds=["postgres"])
    with pytest.raises(services.Refused, match="developers has 10 rules already"):
        services.rule_add(actor=alice, role=role, selection=POSTGRES)


def test_a_chosen_resource_that_was_deleted_meanwhile_is_left_out(alice, orders):
    gone = make_resource(alice)
    type(gone).objects.filter(pk=gone.pk).delete()
    rule = services.rule_add(actor=alice, role=make_role(alice), selection=Selection(chosen=[gone, orders]))
    assert [row.resource_id for row in rule.chosen.all()] == [orders.pk]


def test_a_resource_can_be_deleted_that_rules_and_grants_name(alice, charlie, orders):
    role = make_role(alice, "", charlie)
    rule = choose(role, orders)
    grant(alice, charlie, orders)
    resources.resource_delete(actor=alice, resource=orders)
    assert not rule.chosen.exists() and not Grant.objects.exists()


# --- Members and grants -------------------------------------------------------------------------


def test_a_role_is_given_and_taken(alice, charlie, announced):
    role = make_role(alice, "developers")
    attachment = giving.account_attach(actor=alice, account=charlie, role=role)
    assert last()[0:2] == ("account attachment created", "charlie@example.com in developers")
    with pytest.raises(services.Refused, match="Charlie has the role developers already"):
        giving.account_attach(actor=alice, account=charlie, role=role)
    assert giving.account_detach(actor=alice, attachment=attachment)
    assert last()[0:2] == ("account attachment deleted", "charlie@example.com in developers")
    assert not giving.account_detach(actor=alice, attachment=attachment)
    assert announced == [("access", {"account": charlie.pk})] * 2


def test_somebody_has_so_many_roles_at_most(alice, charlie):
    for _ in range(MAX_ROLES):
        make_role(alice, "", charlie)
    with pytest.raises(services.Refused, match="Charlie has 20 roles already"):
        giving.account_attach(actor=alice, account=charlie, role=make_role(alice))


def test_a_grant_is_given_and_ended(alice, charlie, orders, announced):
    now = timezone.now()
    given = giving.grant_create(
        actor=alice, account=charlie, target=orders, starts_at=now, ends_at=now + HOUR, reason="Incident 7"
    )
    verb, name, _, after = last()
    assert (verb, name) == ("account grant created", "charlie@example.com to orders-db")
    assert after["reason"] == "Incident 7" and after["resource_id"] == orders.pk
    assert decide(account=charlie, resource=orders, at=now).allowed
    assert giving.grant_end(actor=alice, grant=given)
    assert last()[0:2] == ("account grant ended", "charlie@example.com to orders-db")
    assert not decide(account=charlie, resource=orders, at=timezone.now()).allowed
    assert not giving.grant_end(actor=alice, grant=given)
    assert Grant.objects.get().ended_by == alice
    assert announced == [("access", {"account": charlie.pk})] * 2


def test_a_grant_that_has_not_begun_can_be_ended_once(alice, charlie, orders):
    now = timezone.now()
    given = grant(alice, charlie, orders, starts=now + HOUR, ends=now + 2 * HOUR)
    assert giving.grant_end(actor=alice, grant=given)
    assert not giving.grant_end(actor=alice, grant=given)
    stored = Grant.objects.get()
    assert stored.starts_at == stored.ends_at
    assert stored.state(now + HOUR) == Grant.State.ENDED
    assert not decide(account=charlie, resource=orders, at=now + HOUR).allowed


@pytest.mark.parametrize(
    ("starts", "ends", "problem"),
    [(1, 1, "after the start"), (2, 1, "after the start"), (-3, -1, "over already"), (0, 9_000, "366 days")],
)
def test_times_that_make_no_sense_are_refused(alice, charlie, orders, starts, ends, problem):
    now = timezone.now()
    with pytest.raises(services.Refused, match=problem):
        giving.grant_create(
            actor=alice,
            account=charlie,
            target=orders,
            starts_at=now + starts * HOUR,
            ends_at=now + ends * HOUR,
            reason="x",
        )
    assert not Grant.objects.exists()


def test_what_was_deleted_meanwhile_cannot_be_granted(alice, charlie, orders):
    type(orders).objects.filter(pk=orders.pk).delete()
    now = timezone.now()
    with pytest.raises(services.Refused, match="orders-db was deleted meanwhile"):
        giving.grant_create(
            actor=alice, account=charlie, target=orders, starts_at=now, ends_at=now + HOUR, reason="x"
        )


def test_a_refusal_is_recorded_but_not_without_end(charlie, orders):
    decision = decide(account=charlie, resource=orders, at=timezone.now())
    for _ in range(40):
        giving.refusal_record(actor=charlie, resource=orders, decision=decision)
    refusals = Activity.objects.filter(verb="access refused", outcome="denied", actor=charlie)
    assert refusals.count() == 30
    assert refusals[0].entity_id == orders.pk
    assert refusals[0].after == {"reason": "no-access", "words": decision.sentence}


# --- Who may, and who hears of it ---------------------------------------------------------------


def acts(actor, account, role, rule, attachment, resource, given):
    now = timezone.now()
    return [
        lambda: services.role_create(actor=actor, name="x", tags={}),
        lambda: services.role_update(actor=actor, role=role, version=1, name="x", tags={}),
        lambda: services.role_delete(actor=actor, role=role),
        lambda: services.rule_add(actor=actor, role=role, selection=POSTGRES),
        lambda: services.rule_change(actor=actor, rule=rule, version=1, selection=POSTGRES),
        lambda: services.rule_remove(actor=actor, rule=rule),
        lambda: giving.account_attach(actor=actor, account=account, role=role),
        lambda: giving.account_detach(actor=actor, attachment=attachment),
        lambda: giving.grant_end(actor=actor, grant=given),
        lambda: giving.grant_create(
            actor=actor, account=account, target=resource, starts_at=now, ends_at=now + HOUR, reason="x"
        ),
    ]


@pytest.mark.parametrize("who", ["bob", "charlie"])
def test_only_administrators_may(alice, orders, who, request):
    actor = request.getfixturevalue(who)
    role = make_role(alice, "developers")
    rule, attachment, given = choose(role, orders), attach(alice, actor, role), grant(alice, actor, orders)
    for act in acts(actor, alice, role, rule, attachment, orders, given):
        with pytest.raises(PermissionRequired):
            act()


def test_whatever_may_change_an_answer_is_announced(alice, bob, charlie, orders, announced):
    cluster, other, pk = orders.cluster, make_resource(alice), orders.pk
    accounts.account_suspend(actor=alice, account=charlie)
    accounts.level_change(actor=alice, account=bob, was=Level.AUDITOR, level=Level.USER)
    resources.resources_move(actor=alice, moves=[Move(orders.pk, cluster.pk, "")])
    resources.resources_move(
        actor=alice, moves=[Move(orders.pk, "", cluster.pk), Move(other.pk, "", cluster.pk)]
    )
    orders.refresh_from_db()
    target = Target(orders.hostname, orders.port, orders.username, orders.config)
    details = Details("orders-db", cluster, target, {"Environment": "sandbox"})
    resources.resource_update(actor=alice, resource=orders, version=orders.version, details=details)
    resources.resource_delete(actor=alice, resource=orders)
    again = resources.resource_create(actor=alice, kind=KINDS["postgres"], details=details, secrets={})
    clusters.cluster_delete(actor=alice, cluster=cluster)
    assert announced == [
        ("access", {"account": charlie.pk}),
        ("access", {"account": bob.pk}),
        ("access", {"resource": pk}),
        ("access", {}),
        ("access", {"resource": pk}),
        ("access", {"resource": pk}),
        ("access", {"resource": again.pk}),
        ("access", {"cluster": cluster.pk}),
    ]
