"""Attaching, detaching and undoing either."""

import html
import re

import pytest
from django.test import Client

from audit.models import Activity
from resources import services
from resources.models import Resource
from resources.services import Move
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource, recorded

MOVES = "/resources/moves/"


@pytest.fixture
def clusters(db):
    return make_cluster("here"), make_cluster("there")


def where(*resources):
    return [Resource.objects.get(pk=resource.pk).cluster_id for resource in resources]


def move(resource, source, destination):
    return f"{resource.pk}:{source.pk if source else ''}:{destination.pk if destination else ''}"


def undo(client: Client, response):
    """Press the button of the message that the response shows."""
    (form,) = re.findall(r'class="message message--success">.*?</form>', response.content.decode(), re.DOTALL)
    assert f'action="{MOVES}"' in form
    found = re.findall(r'name="(move|back|query)" value="([^"]*)"', form)
    fields = {name: html.unescape(value) for name, value in found}
    return client.post(MOVES, fields, follow=True)


def test_several_are_attached_at_once_and_back_again(alice, alice_client, clusters):
    here, there = clusters
    one, two = make_resource(alice, "one", cluster=there), make_resource(alice, "two")
    page = alice_client.get(f"/networking/proxy-clusters/{here.pk}/attachments/").content.decode()
    assert (
        "there" in page
        and f'value="{move(one, there, here)}"' in page
        and f'value="{move(two, None, here)}"' in page
    )
    data = {"move": [move(one, there, here), move(two, None, here)], "back": here.pk}
    response = alice_client.post(MOVES, data, follow=True)
    assert "2 resources are attached to here." in response.content.decode()
    assert response.redirect_chain[-1][0] == f"/networking/proxy-clusters/{here.pk}/"
    assert where(one, two) == [here.pk, here.pk]
    assert Activity.objects.filter(verb="resource attached").count() == 2
    response = undo(alice_client, response)
    assert "back where they were" in response.content.decode()
    assert where(one, two) == [there.pk, None]


def test_detaching_can_be_undone(alice, alice_client, clusters):
    here, _ = clusters
    one = make_resource(alice, "one", cluster=here)
    response = alice_client.post(MOVES, {"move": move(one, here, None), "back": one.pk}, follow=True)
    assert "one is detached. Nobody can reach it now." in response.content.decode()
    assert response.redirect_chain[-1][0] == f"/resources/{one.pk}/"
    before, after = recorded("resource detached")
    assert (before["proxy cluster"], after["proxy cluster"]) == ("here", None)
    response = undo(alice_client, response)
    assert "one is attached to here." in response.content.decode()
    assert where(one) == [here.pk]
    assert Resource.objects.get().version == 3


def test_what_somebody_else_moved_meanwhile_stays(alice, alice_client, clusters):
    here, there = clusters
    one, two = make_resource(alice, "one", cluster=there), make_resource(alice, "two")
    data = {"move": [move(one, None, here), move(two, None, here)], "back": here.pk}
    response = alice_client.post(MOVES, data, follow=True)
    page = response.content.decode()
    assert "1 of 2 had been moved or deleted" in page and "two is attached to here." in page
    assert where(one, two) == [there.pk, here.pk]


def test_undoing_takes_nothing_from_where_it_was_put_since(alice, alice_client, clusters):
    here, there = clusters
    one = make_resource(alice, "one", cluster=here)
    response = alice_client.post(MOVES, {"move": move(one, here, None)}, follow=True)
    Resource.objects.update(cluster=there)
    undo(alice_client, response)
    assert where(one) == [there.pk]


def test_a_cluster_that_is_gone_moves_nothing(alice, alice_client, clusters):
    here, there = clusters
    one = make_resource(alice, "one", cluster=here)
    text = move(one, here, there)
    there.delete()
    response = alice_client.post(MOVES, {"move": text, "back": here.pk}, follow=True)
    assert "deleted meanwhile. Nothing was changed." in response.content.decode()
    assert where(one) == [here.pk]


def test_choosing_nothing_says_so(alice_client, clusters):
    response = alice_client.post(MOVES, {"back": clusters[0].pk}, follow=True)
    assert "Nothing was chosen" in response.content.decode()


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "rs-1:n-1:n-2",
        ":::",
        "rs-0000000000000000:\0:",
        "😀",
        "rs-0000000000000000::n-0000000000000000:x",
    ],
)
def test_moves_that_are_none_are_refused(alice_client, clusters, text):
    assert alice_client.post(MOVES, {"move": text}).status_code == 400
    assert not Activity.objects.filter(verb__startswith="resource").exists()


@pytest.mark.parametrize("back", ["", "//evil.example", "https://evil.example", "rs-x", "../..", "\0"])
def test_the_way_back_is_always_one_of_ours(alice, alice_client, clusters, back):
    one = make_resource(alice, "one", cluster=clusters[0])
    response = alice_client.post(MOVES, {"move": move(one, clusters[0], None), "back": back})
    assert response.headers["Location"] == "/resources/"


def test_detaching_and_undoing_lead_back_to_the_list_as_it_was(alice, alice_client, clusters):
    here, _ = clusters
    one = make_resource(alice, "one & two", cluster=here, tags={"Team": "a b"})
    shown = {"q": 'tags:"Team=a b" &', "sort": "-created"}
    page = alice_client.get(f"/networking/proxy-clusters/{here.pk}/", shown)
    assert [row.resource.pk for row in page.context["rows"]] == [one.pk]
    (query,) = re.findall(r'name="query" value="([^"]*)"', page.content.decode())
    data = {"move": move(one, here, None), "back": here.pk, "query": html.unescape(query)}
    response = alice_client.post(MOVES, data, follow=True)
    assert response.context["listing"].text == shown["q"]
    assert response.context["sort"].column == "created"
    response = undo(alice_client, response)
    assert response.context["listing"].text == shown["q"]
    assert where(one) == [here.pk]


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("", ""),
        ("q=&sort=", ""),
        ("next=//evil.example&q=a", "?q=a"),
        ("q=%0d%0aX:%20y", "?q=%0D%0AX%3A+y"),
        ("//evil.example", ""),
        ("#q=a", ""),
        ("q=\0", "?q=%00"),
        ("q=%ff", "?q=%EF%BF%BD"),
        ("a&" * 1_999 + "q=a", ""),
    ],
)
def test_the_way_back_takes_a_search_and_nothing_else(alice, alice_client, clusters, query, there):
    here, _ = clusters
    one = make_resource(alice, "one", cluster=here)
    data = {"move": move(one, here, None), "back": here.pk, "query": query}
    response = alice_client.post(MOVES, data)
    assert response.headers["Location"] == f"/networking/proxy-clusters/{here.pk}/{there}"


def test_a_resource_that_does_not_exist_is_not_moved(alice, alice_client, clusters):
    text = f"rs-0000000000000000::{clusters[0].pk}"
    assert (
        "1 of 1 had been moved or deleted"
        in alice_client.post(MOVES, {"move": text}, follow=True).content.decode()
    )


def test_a_move_prints_as_it_is_read():
    text = "rs-0123456789abcdef::n-0123456789abcdef"
    assert str(Move.parse(text)) == text
    assert str(Move.parse(text).back()) == "rs-0123456789abcdef:n-0123456789abcdef:"


def test_the_service_returns_what_was_done(alice, clusters):
    here, there = clusters
    one, two = make_resource(alice, cluster=here), make_resource(alice)
    moves = [Move(one.pk, here.pk, there.pk), Move(two.pk, here.pk, there.pk), Move(two.pk, "", "")]
    assert services.resources_move(actor=alice, moves=moves) == moves[:1]
