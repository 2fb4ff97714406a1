import pytest
from django.db import connection
from django.urls import reverse

from clusters.models import Cluster, Worker
from tests.clusters.factories import make_cluster, make_worker

LIST = "/networking/proxy-clusters/"


def names(response):
    return [row.cluster.name for row in response.context["rows"]]


@pytest.fixture
def three(db):
    return [
        make_cluster("keen-coffee", "10.0.0.021:443", Environment="sandbox", Team="blue"),
        make_cluster("stale-coffee", "10.0.0.21:443", Environment="production"),
        make_cluster("calm-tea", "proxy.example.com:8443", Environment="sandbox", Empty=""),
    ]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("listenaddr:10.0.0.021:443", ["keen-coffee"]),
        ("listenaddr:10.0.0.021", ["keen-coffee"]),
        ("listenaddr:10.0.0.21:443", ["stale-coffee"]),
        ("listenaddr:10.0.0.*", ["keen-coffee", "stale-coffee"]),
        ("address:PROXY.example.com", ["calm-tea"]),
        ("name:keen-coffee", ["keen-coffee"]),
        ("coffee", ["keen-coffee", "stale-coffee"]),
        ("COFFEE", ["keen-coffee", "stale-coffee"]),
        ("tags:Environment=sandbox", ["calm-tea", "keen-coffee"]),
        ("tag:Environment=sandbox", ["calm-tea", "keen-coffee"]),
        ("tags:environment=sandbox", []),
        ("tags:Empty=", ["calm-tea"]),
        ("tags:Team", ["keen-coffee"]),
        ("tags:Environment=sandbox coffee", ["keen-coffee"]),
        ("coffee tags:Environment=sandbox listenaddr:10.0.0.021:443 keen", ["keen-coffee"]),
    ],
)
def test_the_search_finds_what_the_filters_say(bob_client, three, search, found):
    assert names(bob_client.get(LIST, {"q": search})) == found


def test_the_list_shows_each_cluster_with_its_workers_and_tags(bob_client, three):
    make_worker(three[0])
    make_worker(three[0], Worker.State.DEAD)
    page = bob_client.get(LIST).content.decode()
    assert "1 of 2 online" in page
    assert "tags%3AEnvironment%3Dsandbox" in page
    assert "3 proxy clusters" in page


@pytest.mark.parametrize("sort", ["name", "-name", "workers", "-workers", "created", "-created"])
def test_pages_follow_each_other_without_gap_or_repetition(bob_client, db, sort):
    clusters = [make_cluster(f"c-{number:03}") for number in range(120)]
    for cluster in clusters[::7]:
        make_worker(cluster)
    seen, url = [], f"{LIST}?sort={sort}"
    for size in (50, 50, 20):
        response = bob_client.get(url)
        assert len(names(response)) == size
        seen += names(response)
        page = response.context["listing"].page
        url = f"{LIST}?sort={sort}&after={page.next}"
    assert sorted(seen) == [cluster.name for cluster in clusters]
    assert page.next is None
    back = bob_client.get(f"{LIST}?sort={sort}&before={page.previous}")
    assert names(back) == seen[50:100]
    first = bob_client.get(f"{LIST}?sort={sort}&before={back.context['listing'].page.previous}")
    assert names(first) == seen[:50]
    assert first.context["listing"].page.previous is None


def test_those_with_as_many_workers_stand_by_name(bob_client, db):
    for name in ("delta", "Bravo", "charlie", "alpha"):
        make_cluster(name)
    make_worker(make_cluster("zulu"))
    by_workers = names(bob_client.get(LIST, {"sort": "workers"}))
    assert by_workers == ["alpha", "Bravo", "charlie", "delta", "zulu"]
    assert names(bob_client.get(LIST, {"sort": "-workers"})) == ["zulu", *by_workers[:-1]]


@pytest.mark.django_db
@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="only on SQLite: PostgreSQL reads tables this small whole"
)
def test_an_index_has_them_in_that_order():
    plan = Cluster.objects.order_by("workers_online", "name_folded")[:51].explain()
    assert "cluster_by_workers" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("cursor", ["x", "====", "W10", "bnVsbA", "WzEsMl0", "\0", "é", "A" * 5000])
def test_a_cursor_that_makes_no_sense_gives_the_first_page(bob_client, three, cursor):
    for sort in ("name", "workers", "created"):
        assert len(names(bob_client.get(LIST, {"after": cursor, "sort": sort}))) == 3


@pytest.mark.parametrize(
    "search",
    [
        "<script>alert(1)</script>",
        '"',
        "'; DROP TABLE clusters_cluster; --",
        "a\0b",
        "tags:\0",
        "listenaddr:\ud7ff:443",
        "☕️ \u202e:",
        "::::",
        "name:",
        "tags:=",
        "tags:=x",
        "*" * 100,
        "x " * 5_000,
        "y" * 10_000,
        "[a-z]{3}.*(?=x)",
        "%_\\",
    ],
)
def test_any_text_can_be_searched_for(bob_client, three, search):
    response = bob_client.get(LIST, {"q": search})
    assert response.status_code == 200
    assert "<script>alert" not in response.content.decode()


def test_a_search_that_finds_nothing_offers_the_change_that_finds_most(bob_client, three):
    page = bob_client.get(LIST, {"q": "tags:Environment=sandbox nowhere"}).content.decode()
    assert "No proxy clusters match" in page
    assert "finds 2" in page


def test_a_bare_address_offers_its_filter(bob_client, three):
    page = bob_client.get(LIST, {"q": "10.0.0.21:443"}).content.decode()
    assert "listenaddr:10.0.0.21:443" in page


@pytest.mark.parametrize(
    ("search", "offered"),
    [
        ("10.0.0.21", "listenaddr:10.0.0.21"),
        ("hostname:10.0.0.21", "listenaddr:10.0.0.21"),
        ("Environment=sandbox", "tags:Environment=sandbox"),
        ("tags:environment=sandbox", "tags:Environment=sandbox"),
        ("'coffee'", "coffee"),
        ("name:keen-coffee,", "name:keen-coffee"),
        ("keen-coffee, tags:Environment=sandbox", "keen-coffee tags:Environment=sandbox"),
    ],
)
def test_the_usual_mistakes_are_answered_with_what_was_meant(bob_client, three, search, offered):
    response = bob_client.get(LIST, {"q": search})
    assert offered in [change.text for change in response.context["listing"].changes]
    assert f"<bdi>{offered}</bdi></a> finds " in response.content.decode()


def test_what_is_not_there_under_its_filter_either_is_no_offer(bob_client, three):
    response = bob_client.get(LIST, {"q": "10.0.0.99:443"})
    assert response.context["listing"].changes == []
    assert "<bdi>listenaddr:10.0.0.99:443</bdi> finds nothing either." in response.content.decode()


def test_a_chip_shows_what_was_typed(bob_client, three):
    page = bob_client.get(LIST, {"q": 'tags:"Team=a'}).content.decode()
    assert '<bdi class="chip__text">tags:&quot;Team=a</bdi>' in page


def test_htmx_gets_the_results_alone(bob_client, three):
    page = bob_client.get(LIST, {"q": "coffee"}, headers={"HX-Request": "true"}).content.decode()
    assert 'id="results"' in page
    assert "<html" not in page
    restored = bob_client.get(LIST, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert "<html" in restored.content.decode()


def test_the_completions_offer_filters_and_existing_tags(bob_client, three):
    url = reverse("clusters:cluster-completions")
    assert "tags:" in bob_client.get(url, {"q": "ta", "cursor": "2"}).content.decode()
    assert "tags:Environment=" in bob_client.get(url, {"q": "tags:E", "cursor": "6"}).content.decode()
    values = bob_client.get(url, {"q": "tags:Environment=s", "cursor": "18"}).content.decode()
    assert "tags:Environment=sandbox" in values
    for cursor in ("", "-1", "x", "99999999999", "٣", "²"):
        assert bob_client.get(url, {"q": "ta", "cursor": cursor}).status_code == 200


def test_markup_in_tags_is_text(bob_client, db):
    cluster = make_cluster("marked")
    cluster.tags.create(key="<b>bold</b>", value='"><script>alert(1)</script>')
    page = bob_client.get(LIST).content.decode()
    assert "<b>bold" not in page
    assert "<script>alert" not in page


def test_the_number_of_queries_does_not_grow_with_the_list(bob_client, db, django_assert_max_num_queries):
    for number in range(60):
        make_worker(make_cluster(f"c-{number}", Environment="sandbox"))
    with django_assert_max_num_queries(12):
        bob_client.get(LIST, {"q": "tags:Environment=sandbox c-", "sort": "-workers"})


def test_an_empty_list_says_what_a_cluster_is(alice_client, bob_client):
    assert "No proxy cluster yet" in alice_client.get(LIST).content.decode()
    assert "Add proxy cluster" in alice_client.get(LIST).content.decode()
    assert "Add proxy cluster" not in bob_client.get(LIST).content.decode()


def test_who_may_see_the_list(client, charlie_client, bob_client):
    assert client.get(LIST).status_code == 302
    assert charlie_client.get(LIST).status_code == 403
    assert bob_client.get(LIST).status_code == 200
    assert Cluster.objects.count() == 0
