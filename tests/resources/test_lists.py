"""All resources, and the Resources tab of a cluster."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from resources.models import Resource
from tests.clusters.factories import make_cluster
from tests.resources.factories import make_resource, store_secret

LIST = "/resources/"


def tab(cluster):
    return f"/networking/proxy-clusters/{cluster.pk}/"


def names(response):
    return [row.resource.name for row in response.context["rows"]]


def test_rows_say_what_and_where(alice, alice_client):
    cluster = make_cluster("keen-coffee")
    make_resource(alice, "orders", cluster=cluster, healthy=True, tags={"Team": "data"})
    make_resource(alice, "lonely", kind="redis", hostname="[::1]", port=6379)
    page = alice_client.get(LIST).content.decode()
    for text in (
        "orders",
        "PostgreSQL",
        "db.internal:5432",
        "keen-coffee",
        "Healthy",
        "[::1]:6379",
        "2 resources",
    ):
        assert text in page
    assert "Team%3Ddata" in page, "a tag is a link that filters by it"


def test_nothing_there_says_what_a_resource_is(alice_client, bob_client):
    assert "No resource yet" in alice_client.get(LIST).content.decode()
    page = bob_client.get(LIST).content.decode()
    assert "No resource yet" in page and "Add resource" not in page


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ORD", ["orders"]),
        ("name:ord*s", ["orders"]),
        ("type:postgres", ["orders"]),
        ("type:ssh", ["jump", "jump-key"]),
        ("type:SSHPassword", ["jump"]),
        ("hostname:10.0.0.8", ["jump"]),
        ("hostname:DB.int", ["orders"]),
        ("hostname:DB.internal:5432", ["orders"]),
        ("hostname:db.internal:5433", []),
        ("hostname:internal:5432", []),
        ("host:10.0.*:5432", ["jump"]),
        ("hostname:*:5432", ["jump", "jump-key", "orders"]),
        ("hostname:[2001:DB8:0::9]:5432", ["jump-key"]),
        ("hostname:2001:db8::9", ["jump-key"]),
        ("hostname:[2001:db8::9]", ["jump-key"]),
        ("hostname::5432", []),
        ("hostname:db.internal:99999", []),
        ("type:PostgreSQL", ["orders"]),
        ("type:postgresQL", ["orders"]),
        ('type:"SSH (password)"', ["jump"]),
        ("tags:Team=data", ["orders"]),
        ("tag:Team", ["jump", "orders"]),
        ("healthy:false", ["jump"]),
        ("healthy:true", ["orders"]),
        ("healthy:unknown", ["jump-key"]),
        ("type:ssh tags:Team", ["jump"]),
        ("kind:redis", []),
    ],
)
def test_searching(alice, alice_client, search, found):
    make_resource(alice, "orders", healthy=True, tags={"Team": "data"})
    make_resource(alice, "jump", kind="sshPassword", hostname="10.0.0.8", healthy=False, tags={"Team": "ops"})
    make_resource(alice, "jump-key", kind="sshCustomerKey", hostname="[2001:db8::9]")
    assert names(alice_client.get(LIST, {"q": search})) == found


@pytest.mark.parametrize(
    "search",
    [
        "healthy:perhaps",
        "type:nothing",
        "\0",
        "name:\0",
        "x" * 10_000,
        '"',
        "tags:=",
        "*",
        "😀",
        "<script>",
        "hostname:[",
    ],
)
@pytest.mark.parametrize("sort", ["name", "-created", "nonsense", "\0"])
def test_hostile_searches_are_answered(alice, alice_client, search, sort):
    cluster = make_cluster()
    make_resource(alice, "orders", cluster=cluster)
    for url in (LIST, tab(cluster), f"{tab(cluster)}attachments/"):
        response = alice_client.get(url, {"q": search, "sort": sort, "after": search})
        assert response.status_code == 200
        assert "<script>" not in response.content.decode().replace('<script src="', "")


def test_markup_in_names_and_tags_is_text(alice, alice_client):
    cluster = make_cluster()
    make_resource(alice, "<img src=x onerror=alert(1)>", cluster=cluster, tags={"a": "<b>\"'"})
    for url in (LIST, tab(cluster)):
        page = alice_client.get(url).content.decode()
        assert "<img src=x" not in page and "<b>" not in page


def test_a_tab_shows_only_its_own(alice, alice_client):
    here, there = make_cluster("here"), make_cluster("there")
    make_resource(alice, "mine", cluster=here)
    make_resource(alice, "theirs", cluster=there)
    make_resource(alice, "nobodys")
    response = alice_client.get(tab(here))
    assert names(response) == ["mine"]
    assert f'?cluster={here.pk}"' in response.content.decode(), "Add resource comes with this cluster chosen"


def test_an_empty_tab_says_so(alice_client):
    assert (
        "Nothing is attached to keen-coffee yet"
        in alice_client.get(tab(make_cluster("keen-coffee"))).content.decode()
    )


def test_a_search_without_a_result_offers_the_change_that_finds_most(alice, alice_client):
    make_resource(alice, "orders")
    page = alice_client.get(LIST, {"q": "zzz type:postgres"}).content.decode()
    assert "No resources match" in page and "finds 1" in page


@pytest.mark.parametrize(
    ("search", "offered"),
    [
        ("db.internal", "hostname:db.internal"),
        ("db.internal:5432", "hostname:db.internal:5432"),
        ("listenaddr:db.internal", "hostname:db.internal"),
        ("address:db.internal:5432", "hostname:db.internal:5432"),
        ("PostgreSQL", "type:PostgreSQL"),
        ("Team=data", "tags:Team=data"),
        ("tags:team=data", "tags:Team=data"),
        ("type:Remote desktop", None),
        ("web.internal", None),
        ("listenaddr:web.internal", None),
    ],
)
def test_a_search_without_a_result_offers_what_was_meant(alice, alice_client, search, offered):
    cluster = make_cluster()
    make_resource(alice, "orders", cluster=cluster, tags={"Team": "data"})
    for url in (LIST, tab(cluster)):
        response = alice_client.get(url, {"q": search})
        changes = [(change.text, change.count) for change in response.context["listing"].changes]
        assert changes == ([(offered, 1)] if offered else [])
        assert "Did you mean" not in response.content.decode(), "what finds nothing is no offer"


def test_the_filter_of_another_list_is_told_even_if_it_finds_nothing(alice_client, db):
    page = alice_client.get(LIST, {"q": "listenaddr:10.0.0.9"}).content.decode()
    assert "is taken as text: the filters here are name:, type:, hostname:" in page
    assert "<bdi>hostname:10.0.0.9</bdi> finds nothing either." in page


def test_a_wrong_kind_is_answered_with_what_the_column_shows(alice_client, db):
    page = alice_client.get(LIST, {"q": "type:oracle"}).content.decode()
    assert "type: can be " in page and "PostgreSQL, " in page and "SSH (password)" in page
    assert "sshPassword" not in page


def test_auditors_see_and_cannot_act(alice, bob_client):
    cluster = make_cluster()
    resource = make_resource(alice, "orders", cluster=cluster)
    for url in (LIST, tab(cluster), f"/resources/{resource.pk}/"):
        page = bob_client.get(url).content.decode()
        assert "orders" in page
        for word in ("Add resource", "Attach existing", ">Detach<", ">Edit<", ">Delete<"):
            assert word not in page


def test_htmx_gets_the_results_alone(alice, alice_client):
    cluster = make_cluster()
    make_resource(alice, "orders", cluster=cluster)
    for url in (LIST, tab(cluster), f"{tab(cluster)}attachments/"):
        page = alice_client.get(url, headers={"HX-Request": "true"}).content.decode()
        assert "<html" not in page and 'id="results"' in page


def test_pages_follow_each_other_without_loss(alice, alice_client):
    cluster = make_cluster()
    for number in range(103):
        make_resource(alice, f"resource-{number:03}", cluster=cluster)
    seen, query = [], {"sort": "-name"}
    for _ in range(3):
        response = alice_client.get(tab(cluster), query)
        seen += names(response)
        query["after"] = response.context["listing"].page.next
    assert seen == sorted((f"resource-{number:03}" for number in range(103)), reverse=True)
    assert query["after"] is None


@pytest.mark.parametrize("search", ["", "resource", "tags:Team=data", "type:postgres healthy:unknown"])
def test_a_page_takes_the_same_queries_for_one_row_as_for_fifty(alice, alice_client, search):
    cluster = make_cluster()

    def queries(url):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert alice_client.get(url, {"q": search}).status_code == 200
        return len(captured)

    urls = (LIST, tab(cluster), f"{tab(make_cluster())}attachments/")
    make_resource(alice, cluster=cluster, tags={"Team": "data"})
    one = [queries(url) for url in urls]
    for _ in range(60):
        store_secret(make_resource(alice, cluster=cluster, tags={"Team": "data", "x": ""}), "secret")
    many = [queries(url) for url in urls]
    assert many == one
    assert max(many) <= 12


@pytest.mark.parametrize(
    "query",
    [
        {"q": "tags:Team=data"},
        {"q": "tags:Team=data", "after": "WyJ6IiwgInoiXQ"},
        {"q": "a b c d tags:x 10.0.0.1 'e', hostname:db.internal:1"},
        {"q": "tags:a tags:b tags:c tags:d tags:e"},
    ],
)
def test_the_longest_list_and_the_emptiest_take_few_queries(
    alice, alice_client, monkeypatch, django_assert_max_num_queries, query
):
    # Many match, and none of them is near the first names: walked, and then collected.
    monkeypatch.setattr("ui.found.FOUND_TO", 5)
    monkeypatch.setattr("ui.found.NEAR", 5)
    here, there = make_cluster("here"), make_cluster("there")
    for number in range(70):
        make_resource(alice, f"r{number:02}", cluster=here, tags={"Team": "data"} if number > 9 else {})
    for url in (LIST, tab(here), f"{tab(there)}attachments/"):
        with django_assert_max_num_queries(12):
            assert alice_client.get(url, query).status_code == 200


def test_a_resource_that_does_not_exist_is_not_found(alice_client, db):
    for path in ("rs-0000000000000000", "rs-", "x", "rs-%00", "x" * 2000, "..%2f"):
        for end in ("", "edit/", "deletion/", "credentials/password/"):
            assert alice_client.get(f"/resources/{path}/{end}").status_code == 404, path
    assert alice_client.get("/networking/proxy-clusters/n-0000000000000000/").status_code == 404
    assert alice_client.get("/networking/proxy-clusters/n-0000000000000000/attachments/").status_code == 404
    assert Resource.objects.count() == 0


def test_completions_offer_filters_tags_and_kinds(alice, alice_client):
    make_resource(alice, tags={"Team": "data"})
    for typed, offered in (
        ("ty", "type:"),
        ("type:ht", "type:httpAuth"),
        ("tags:Te", "tags:Team="),
        ("healthy:t", "healthy:true"),
    ):
        assert offered in alice_client.get("/resources/completions/", {"q": typed}).content.decode()


def test_clusters_are_suggested_by_any_part_of_their_name(alice_client, db):
    for name in ("keen-coffee", "calm-coffee", "coffee-house", "tea"):
        make_cluster(name)
    page = alice_client.get("/resources/clusters/", {"q": "COFFEE"}).content.decode()
    assert page.index("coffee-house") < page.index("calm-coffee") < page.index("keen-coffee")
    assert "tea" not in page
    assert page.count('role="option"') == 3
    for hostile in ("\0", "*", "%", "'", "x" * 10_000, ""):
        assert alice_client.get("/resources/clusters/", {"q": hostile}).status_code == 200
