import pytest

from audit.models import Activity
from clusters.models import Cluster
from tests.clusters.factories import make_cluster

NEW = "/networking/proxy-clusters/new/"
VALID = {"name": "keen-coffee", "address": "111.111.111.111:443"}


def test_a_cluster_is_added_and_its_keys_come_next(alice_client, alice):
    response = alice_client.post(
        NEW, {**VALID, "tags_key": ["Environment", ""], "tags_value": ["sandbox", ""]}
    )
    cluster = Cluster.objects.get()
    assert response.headers["Location"] == f"/networking/proxy-clusters/{cluster.pk}/keys/"
    assert cluster.pk.startswith("n-")
    assert (cluster.name, cluster.address, cluster.host) == (
        "keen-coffee",
        "111.111.111.111:443",
        "111.111.111.111",
    )
    assert [str(tag) for tag in cluster.tags.all()] == ["Environment=sandbox"]
    activity = Activity.objects.get(verb="proxy cluster created")
    assert (activity.actor, activity.entity_id) == (alice, cluster.pk)
    assert activity.after == {
        "name": "keen-coffee",
        "address": "111.111.111.111:443",
        "tags": {"Environment": "sandbox"},
    }


def test_an_empty_name_becomes_a_readable_pair(alice_client):
    alice_client.post(NEW, {**VALID, "name": ""})
    assert "-" in Cluster.objects.get().name


def test_a_free_name_is_proposed(alice_client):
    form = alice_client.get(NEW).context["form"]
    assert "-" in form["name"].initial


def test_the_dialog_is_the_same_form_alone(alice_client):
    page = alice_client.get(NEW, headers={"HX-Request": "true"}).content.decode()
    assert "<form" in page
    assert "<html" not in page
    sent = alice_client.post(NEW, VALID, headers={"HX-Request": "true"})
    assert sent.headers["HX-Redirect"].endswith("/keys/")


@pytest.mark.parametrize(
    ("changed", "field", "message"),
    [
        ({"address": ""}, "address", "such as 111.111.111.111:443"),
        ({"address": "10.0.0.1"}, "address", "Did you mean 10.0.0.1:443?"),
        ({"address": "x" * 1_000_000}, "address", "at most"),
        ({"name": "Keen-Coffee"}, "name", "Another proxy cluster has this name"),
        ({"name": "two words"}, "name", "letters, digits and hyphens"),
        ({"name": "<script>"}, "name", "letters, digits and hyphens"),
        ({"name": "café"}, "name", "letters, digits and hyphens"),
        ({"name": "-x"}, "name", "letters, digits and hyphens"),
        ({"name": "x" * 64}, "name", "at most 63"),
        ({"name": "a\0b"}, "name", "Null characters"),
        ({"name": "keen-coffee\n"}, "name", None),
        ({"tags_key": ["a=b"], "tags_value": ["c"]}, "tags", "cannot contain “=”"),
        ({"tags_key": ["<b>"], "tags_value": ["c"]}, "tags", "cannot contain “<”"),
        ({"tags_key": ["a\0b"], "tags_value": ["c"]}, "tags", "U+0000"),
        ({"tags_key": ["a"], "tags_value": ["\u202e"]}, "tags", "U+202E"),
        ({"tags_key": ["", "b"], "tags_value": ["lost", "c"]}, "tags", "has no key"),
        ({"tags_key": ["a", "a"], "tags_value": ["1", "2"]}, "tags", "stands here twice"),
        ({"tags_key": ["k" * 129], "tags_value": [""]}, "tags", "at most 128"),
        ({"tags_key": [f"k{n}" for n in range(51)], "tags_value": [""] * 51}, "tags", "at most 50"),
    ],
)
def test_what_cannot_be_is_said_at_its_field_and_kept(alice_client, changed, field, message):
    make_cluster("keen-coffee")
    sent = {**VALID, "name": "other", **changed}
    response = alice_client.post(NEW, sent)
    if message is None:  # white space around a name is dropped, and what is left is taken
        assert Cluster.objects.count() == 1
        return
    assert response.status_code == 422
    form = response.context["form"]
    assert message in " ".join(form.errors[field])
    assert form["address"].value() == sent["address"]
    assert Cluster.objects.count() == 1
    assert not Activity.objects.filter(verb="proxy cluster created").exists()


def test_an_address_that_programs_read_in_two_ways_is_taken_with_a_warning(alice_client):
    response = alice_client.post(NEW, {**VALID, "address": "10.0.0.021:443"}, follow=True)
    assert Cluster.objects.get().address == "10.0.0.021:443"
    assert "leading zero" in response.content.decode()


def test_fields_that_are_not_in_the_form_change_nothing(alice_client):
    alice_client.post(NEW, {**VALID, "id": "n-0000000000000000", "workers_online": "99", "version": "7"})
    cluster = Cluster.objects.get()
    assert (cluster.workers_online, cluster.version) == (0, 1)
    assert cluster.pk != "n-0000000000000000"


def test_who_may_add(client, bob_client, charlie_client):
    assert client.post(NEW, VALID).status_code == 302
    assert bob_client.post(NEW, VALID).status_code == 403
    assert charlie_client.post(NEW, VALID).status_code == 403
    assert not Cluster.objects.exists()
    denied = Activity.objects.filter(outcome="denied")
    assert {activity.actor_name for activity in denied} == {"bob@example.com", "charlie@example.com"}
