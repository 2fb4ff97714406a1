import pytest
from django.db import connection
from django.db.models import Q

from clusters.models import Cluster
from search.fields import Choice, Matching, Tags, Text
from search.filters import Chip, Filters, Notice
from tests.search.declared import FILTERS, make_cluster


def names(text: str, matching: Matching = Matching.CONTAINS) -> set[str]:
    found = FILTERS.read(text, matching).apply(Cluster.objects.all())
    return set(found.values_list("name", flat=True))


def notices(text: str) -> list[tuple[str, str]]:
    return [(notice.message, notice.suggestion) for notice in FILTERS.read(text).notices]


@pytest.fixture
def clusters(db):
    make_cluster("keen-coffee", "10.0.0.021:443", {"Environment": "sandbox", "Empty": ""})
    make_cluster("Calm-Coffee", "10.0.0.21:443", {"Environment": "Sandbox"}, workers=1)
    make_cluster("Straße", "[2001:db8::1]:8443", {"environment": "sandbox", "K 1": "V W"}, workers=2)
    make_cluster("edge", "db.example.com:443", {"Environment": "production=eu"}, workers=9)


@pytest.mark.usefixtures("clusters")
class TestWhatIsFound:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", {"keen-coffee", "Calm-Coffee", "Straße", "edge"}),
            ("listenaddr:10.0.0.021:443", {"keen-coffee"}),
            ("name:keen-coffee", {"keen-coffee"}),
            ("coffee", {"keen-coffee", "Calm-Coffee"}),
            ("tags:Environment=sandbox", {"keen-coffee"}),
            ("coffee listenaddr:10.0.0.021:443", {"keen-coffee"}),
            ("calm listenaddr:10.0.0.021:443", set()),
            ("tags:Environment=sandbox keen name:coffee", {"keen-coffee"}),
            ("name:keen-coffee some other text", set()),
        ],
    )
    def test_the_examples_of_the_documentation(self, text, found):
        assert names(text) == found

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("COFFEE", {"keen-coffee", "Calm-Coffee"}),
            ("name:STRASSE", {"Straße"}),
            ("aß", {"Straße"}),
            ("name:c*ff", {"keen-coffee", "Calm-Coffee"}),
            ("name:n-*-x", set()),
            ("NAME:edge", {"edge"}),
            ('"n-c"', {"keen-coffee"}),
        ],
    )
    def test_names_contain_the_text_in_any_case(self, text, found):
        assert names(text) == found

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("name:coffee", set()),
            ("name:KEEN-coffee", {"keen-coffee"}),
            ("name:*coffee", {"keen-coffee", "Calm-Coffee"}),
            ("calm*", {"Calm-Coffee"}),
            ("calm", set()),
            ("size:tiny", set()),
            ("size:tinyone", {"Calm-Coffee"}),
        ],
    )
    def test_the_api_takes_names_exactly(self, text, found):
        assert names(text, Matching.EXACT) == found

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("listenaddr:10.0.0.21:443", {"Calm-Coffee"}),
            ("listenaddr:10.0.0.021", {"keen-coffee"}),
            ("listenaddr:10.0.0", set()),
            ("listenaddr:10.0.0.*", {"keen-coffee", "Calm-Coffee"}),
            ("listenaddr:10.0.0.*:443", {"keen-coffee", "Calm-Coffee"}),
            ("listenaddr:*:443", {"keen-coffee", "Calm-Coffee", "edge"}),
            ("listenaddr:*:*443", {"keen-coffee", "Calm-Coffee", "Straße", "edge"}),
            ("listenaddr:*.EXAMPLE.com", {"edge"}),
            ("listenaddr:DB.Example.com:443", {"edge"}),
            ("listenaddr:[2001:DB8:0:0:0:0:0:1]:8443", {"Straße"}),
            ("listenaddr:[2001:db8::1]", {"Straße"}),
            ("listenaddr:2001:db8::1", {"Straße"}),
            ("listenaddr:10.0.0.21:99999", set()),
            ("listenaddr:not/an/address", set()),
            ("listen_addr:10.0.0.021 address:10.0.0.021:443 Listen-Address:10.*", {"keen-coffee"}),
        ],
    )
    def test_addresses_are_equal_to_the_text(self, text, found):
        assert names(text) == names(text, Matching.EXACT) == found

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("tags:Environment", {"keen-coffee", "Calm-Coffee", "edge"}),
            ("tags:Environment=", set()),
            ("tags:Empty=", {"keen-coffee"}),
            ("tags:Environment=sand", set()),
            ("tags:Environment=*and*", {"keen-coffee", "Calm-Coffee"}),
            ("tags:*nvironment=sandbox", {"keen-coffee", "Straße"}),
            ("tags:*=*", {"keen-coffee", "Calm-Coffee", "Straße", "edge"}),
            ("tags:Environment=production=eu", {"edge"}),
            ('tag:"K 1"="V W"', {"Straße"}),
            ('tag:"K 1=V W" tags:environment=sandbox', {"Straße"}),
            ("tags:Environment=sandbox tags:Empty", {"keen-coffee"}),
            ("tags:Environment=sandbox tags:Environment=Sandbox", set()),
        ],
    )
    def test_tags_are_compared_with_their_case(self, text, found):
        assert names(text) == names(text, Matching.EXACT) == found

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("busy:no", {"keen-coffee"}),
            ("busy:YES", {"Calm-Coffee", "Straße", "edge"}),
            ("busy:*", {"keen-coffee", "Calm-Coffee", "Straße", "edge"}),
            ("busy:n", set()),
            ("size:tiny", {"Calm-Coffee", "Straße"}),
            ("size:*one", {"Calm-Coffee"}),
        ],
    )
    def test_choices_are_words(self, text, found):
        assert names(text) == found

    def test_an_id_is_exact_under_both_rules(self):
        cluster = Cluster.objects.get(name="edge")
        assert names(f"id:{cluster.id}") == names(f"id:{cluster.id[:9]}*") == {"edge"}
        assert names(f"id:{cluster.id[:9]}") == set()

    @pytest.mark.parametrize("text", ["keen nmae:coffee", "nmae:coffee", "https://keen-coffee"])
    def test_an_unknown_word_is_text(self, text):
        assert names(text) == set()
        make_cluster(f"x-{text.split()[-1]}-keen")
        assert len(names(text)) == 1

    @pytest.mark.parametrize(
        "text", ["a\0", "name:\0", "tags:a=\0*", "listenaddr:\0", "\ud800", "nmae:\0", "busy:\0", "*\0"]
    )
    def test_what_no_database_stores_is_not_found(self, text):
        assert names(text) == set()

    @pytest.mark.parametrize(
        "text",
        [
            "x" * 10_000,
            "tags:" * 2_000,
            "(a+)+$" * 9,
            "*a" * 2_000,
            "name:" + "*a" * 2_000,
            "tags:" + "*=" * 2_000,
        ],
    )
    def test_hostile_text_finds_nothing_quickly(self, text, django_assert_max_num_queries):
        with django_assert_max_num_queries(1):
            assert names(text) == set()


@pytest.mark.django_db
@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="only on SQLite: PostgreSQL reads tables this small whole"
)
@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("listenaddr:10.0.0.21:443", "cluster_address"),
        ("listenaddr:10.0.0.21", "cluster_host"),
        ("tags:Environment=sandbox", "COVERING INDEX cluster_tag_search (key=? AND value=?)"),
        ("tags:Environment", "COVERING INDEX cluster_tag_search (key=?)"),
        ("tags:Env*", "COVERING INDEX cluster_tag_search (key>? AND key<?)"),
    ],
)
def test_an_index_finds_it(text, index):
    page = FILTERS.read(text).apply(Cluster.objects.order_by("name_folded", "id"))[:51]
    assert index in page.explain()


class TestWhatIsSaid:
    @pytest.mark.parametrize(
        "text", ["", "coffee", "name:keen tags:a=b listen-addr:10.0.0.21:443 busy:no", '""']
    )
    def test_nothing_about_a_search_that_is_understood(self, text):
        assert notices(text) == []

    @pytest.mark.parametrize(
        ("text", "suggestion"),
        [
            ("nmae:coffee", "name:coffee"),
            ('keen nmae:"a b" tags:x', 'keen name:"a b" tags:x'),
            ("adress:10.0.0.21", "listenaddr:10.0.0.21"),
            ("listen_adr:10.0.0.21:443", "listenaddr:10.0.0.21:443"),
            ("localhost:443", "listenaddr:localhost:443"),
            ("zzzzz:coffee", ""),
        ],
    )
    def test_an_unknown_word_with_the_filter_that_was_meant(self, text, suggestion):
        [(message, suggested)] = notices(text)
        assert suggested == suggestion
        assert (
            "is taken as text: the filters here are name:, listenaddr:, tags:, id:, busy:, size:." in message
        )

    @pytest.mark.parametrize(
        "text", ["10.0.0.21:443", "[::1]:443", "[2001:db8::1]:443", "db.example.com:5432", "10.0.0.*:443"]
    )
    def test_a_bare_address_with_its_filter(self, text):
        assert notices(f"keen {text}") == [
            (f"“{text}” is taken as text: listenaddr: takes it as a value.", f"keen listenaddr:{text}")
        ]

    @pytest.mark.parametrize("text", ["10.0.0.21", "12:30:15", "10.0.0.21:443/path", "a:b"])
    def test_what_is_no_address_without(self, text):
        assert all(not suggestion for _, suggestion in notices(text))

    def test_a_filter_without_a_value_leaves_nothing_out(self, clusters):
        assert notices("name:") == [("name: has no value yet, so it leaves nothing out.", "")]
        assert len(names("tag: name:")) == 4

    def test_a_wrong_choice_with_those_there_are(self):
        assert notices("busy:perhaps") == [("busy: can be yes, no.", "")]

    def test_a_character_that_cannot_be_stored(self):
        assert notices("name:a\0") == [("“name:a\0” has a character that nothing here can have.", "")]

    def test_long_text_is_shortened_in_messages(self):
        [notice] = FILTERS.read("zz:" + "x" * 4000).notices
        assert len(notice.message) < 200

    def test_a_problem_and_then_nothing_else(self):
        reading = FILTERS.read("x" * 10_000)
        assert reading.problem == "A search has at most 4,096 characters; this one has 10,000."
        assert (reading.chips, reading.notices) == ([], ())

    def test_each_term_is_a_chip(self):
        assert FILTERS.read('name:"a b"  zz:c').chips == [
            Chip('name:"a b"', "zz:c"),
            Chip("zz:c", 'name:"a b"'),
        ]

    def test_a_chip_and_a_message_show_what_was_typed(self):
        reading = FILTERS.read('tags:"Team=a zz:"b c')
        assert [chip.label for chip in reading.chips] == ['tags:"Team=a zz:"b', "c"]
        reading = FILTERS.read('tags:"Team=a zz:b')
        assert [chip.label for chip in reading.chips] == ['tags:"Team=a', "zz:b"]
        [notice] = FILTERS.read('zz:"b').notices
        assert notice.message.startswith('“zz:"b” is taken as text')


class TestDeclaration:
    def test_two_filters_cannot_answer_to_one_name(self):
        with pytest.raises(ValueError, match="Two filters of Cluster answer to listenaddr:"):
            Filters(Cluster, Text("listenaddr"), Text("name", aliases=("listen_addr",)))

    def test_a_filter_may_repeat_its_own_name(self):
        assert Filters(Cluster, Text("name", aliases=("NAME",))).field("n_ame")

    def test_tags_need_a_table_of_tags(self):
        with pytest.raises(TypeError, match=r"Cluster\.name is not a table of tags"):
            Filters(Cluster, Tags("tags", relation="name")).read("tags:a")

    def test_free_text_finds_nothing_where_no_filter_takes_it(self, clusters):
        assert not Filters(Cluster, Text("name")).read("edge").apply(Cluster.objects.all())

    def test_free_text_is_looked_for_in_all_that_take_it(self, db):
        make_cluster("keen", "coffee.example.com:443")
        both = Filters(Cluster, Text("name", free_text=True), Text("host", free_text=True))
        assert both.read("keen coffee").apply(Cluster.objects.all()).count() == 1

    def test_a_choice_can_be_any_condition(self, db):
        make_cluster("keen", tags={"a": "b"})
        tagged = Filters(
            Cluster, Choice("tagged", {"yes": Q(tags__isnull=False), "no": Q(tags__isnull=True)})
        )
        assert tagged.read("tagged:yes").apply(Cluster.objects.all()).count() == 1
        assert tagged.read("tagged:no").apply(Cluster.objects.all()).count() == 0

    def test_notices_are_values(self):
        assert FILTERS.read("busy:x").notices == (Notice("busy: can be yes, no."),)
