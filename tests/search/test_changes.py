"""What a search that finds nothing is told."""

import pytest

from clusters.models import Cluster
from search.changes import COUNT_LIMIT, MAX_CHANGES, Change, best_changes
from tests.search.declared import FILTERS, make_cluster

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clusters(db: None):
    make_cluster("keen-coffee", "10.0.0.21:443", {"Environment": "sandbox", "sp ace": "x y"}, workers=1)
    make_cluster("calm-coffee", "10.0.0.21:8443", {"Environment": "production", "costCenter": "R&D"})
    make_cluster("harbor", "[2001:db8::1]:443", {"Environment": "sandbox", "Team": "blue sky"})


def changes(text: str, *, narrow: bool = False) -> list[Change]:
    return best_changes(FILTERS.read(text), Cluster.objects.order_by("name"), narrow=narrow)


class TestOneTermLess:
    def test_the_one_that_leaves_most(self):
        assert changes("coffee tags:Environment=production keen") == [Change("coffee keen", 1)]
        assert changes("coffee tags:Environment=none") == [Change("coffee", 2)]
        assert changes("harbor tags:Team=red") == [Change("harbor", 1)]

    @pytest.mark.parametrize(
        ("text", "less"),
        [
            ("tags:Environment=", "tags:Environment"),
            ("tags:Environment=prod", "tags:Environment"),
            ("tag:environment=prod*", "tag:Environment"),
            ("tags:Env*=none", "tags:Env*"),
        ],
    )
    def test_of_one_tag_alone_its_value(self, text: str, less: str):
        assert changes(text) == [Change(less, 3)]

    def test_what_leaves_none_out_is_told_before_it(self):
        assert changes("coffee Environment=sandbox") == [
            Change("coffee tags:Environment=sandbox", 1),
            Change("coffee", 2),
        ]

    def test_a_word_alone_stays(self):
        assert changes("nothing") == []
        assert changes("x" * 10_000) == []


class TestAnotherMeaning:
    @pytest.mark.parametrize(
        ("text", "meant", "count"),
        [
            ("nmae:coffee", "name:coffee", 2),
            ("10.0.0.21:443", "listenaddr:10.0.0.21:443", 1),
            ("10.0.0.21", "listenaddr:10.0.0.21", 2),
            ("2001:DB8:0::1", "listenaddr:2001:DB8:0::1", 1),
            ("[2001:db8::1]", "listenaddr:[2001:db8::1]", 1),
            ("Environment=sandbox", "tags:Environment=sandbox", 2),
            ("environment=SANDBOX", "tags:Environment=sandbox", 2),
            ("no", "busy:no", 2),
        ],
    )
    def test_a_bare_word_as_the_value_of_a_filter(self, text: str, meant: str, count: int):
        assert changes(text) == [Change(meant, count)]

    def test_an_id_is_found_by_itself(self):
        cluster = Cluster.objects.get(name="harbor")
        assert changes(cluster.pk) == [Change(f"id:{cluster.pk}", 1)]

    @pytest.mark.parametrize(
        ("text", "meant", "count"),
        [
            ("tags:environment=sandbox", "tags:Environment=sandbox", 2),
            ("tags:Environment=Sandbox", "tags:Environment=sandbox", 2),
            ("tag:ENVIRONMENT", "tag:Environment", 3),
            ("tags:CostCenter=R&D", "tags:costCenter=R&D", 1),
            ('tags:"team=Blue Sky"', 'tags:"Team=blue sky"', 1),
        ],
    )
    def test_a_tag_in_the_case_it_has(self, text: str, meant: str, count: int):
        assert changes(text) == [Change(meant, count)]

    @pytest.mark.parametrize(
        "text", ["tags:environment=sandbox", "environment=sandbox", "tags:Environment=SANDBOX"]
    )
    def test_of_several_cases_the_one_that_most_have(self, text: str):
        make_cluster("alone", tags={"Environment": "Sandbox"})
        assert changes(text) == [Change("tags:Environment=sandbox", 2)]

    def test_of_cases_that_as_many_have_the_one_most_like_what_was_typed(self):
        make_cluster("first", tags={"Stage": "Beta"})
        make_cluster("second", tags={"Stage": "beta"})
        assert changes("tags:stage=beta") == [Change("tags:Stage=beta", 1)]
        assert changes("tags:stage=Beta") == [Change("tags:Stage=Beta", 1)]

    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("tags:sp ace=x y", 'tags:"sp ace=x y"'),
            ("tags:Team=blue sky", 'tags:"Team=blue sky"'),
            ("tags:Team=blue sky harbor", 'tags:"Team=blue sky" harbor'),
            ("tags:Team=blue sky listenaddr:*:443", 'tags:"Team=blue sky" listenaddr:*:443'),
            ("tags: Team listenaddr:*:443", "tags:Team listenaddr:*:443"),
        ],
    )
    def test_a_value_with_the_words_after_it(self, text: str, meant: str):
        assert changes(text)[0] == Change(meant, 1)

    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("'harbor'", "harbor"),
            ("“harbor”", "harbor"),
            ("name:'harbor'", "name:harbor"),
            ("name:harbor,", "name:harbor"),
            ("harbor, tags:Environment=sandbox", "harbor tags:Environment=sandbox"),
            ("harbor;tags:Team", "harbor tags:Team"),
            ('harbor, tags:Team="blue sky"', 'harbor tags:"Team=blue sky"'),
            ('"tags:Team=blue sky"', 'tags:"Team=blue sky"'),
            ('tags:"Team', "tags:Team"),
        ],
    )
    def test_the_text_without_needless_quotes_and_commas(self, text: str, meant: str):
        assert changes(text)[0] == Change(meant, 1)

    def test_quotes_around_a_whole_term(self):
        assert changes('"tags:Environment=sandbox"') == [Change("tags:Environment=sandbox", 2)]

    @pytest.mark.parametrize("text", ["'nothing'", "Team=none", "10.0.0.99", "tags:no=where", "'", '""', ","])
    def test_only_what_finds_something_is_offered(self, text: str):
        assert changes(text) == []


class TestWhereAndHowMuch:
    @pytest.mark.parametrize("narrow", [False, True])
    def test_among_the_rows_that_are_given(self, narrow: bool):
        few = Cluster.objects.filter(name="keen-coffee").prefetch_related("tags")
        assert best_changes(FILTERS.read("coffee tags:None"), few, narrow=narrow) == [Change("coffee", 1)]
        assert best_changes(FILTERS.read("Team=blue"), few, narrow=narrow) == []

    @pytest.mark.parametrize("narrow", [False, True])
    def test_nothing_is_found_in_an_empty_table(self, narrow: bool):
        Cluster.objects.all().delete()
        assert changes("coffee tags:a 10.0.0.21", narrow=narrow) == []

    @pytest.mark.parametrize(
        "text",
        [
            "none " * 32,
            " ".join(f"none{number}" for number in range(32)),
            " ".join(f"tags:no{number}=where" for number in range(32)),
            "tags:a " + "zz " * 31,
            ", ".join(f"'none{number}'" for number in range(32)),
            "," * 4096,
        ],
    )
    def test_it_costs_few_queries(self, text: str, django_assert_max_num_queries):
        with django_assert_max_num_queries(4):
            assert changes(text) == []

    def test_it_tries_few(self, django_assert_num_queries):
        text = " ".join(f"Environment{number}=x" for number in range(32))
        with django_assert_num_queries(4) as captured:
            assert changes(text) == []
        assert captured[-1]["sql"].count("COUNT(*)") == MAX_CHANGES

    def test_it_counts_to_a_limit(self):
        Cluster.objects.bulk_create(
            Cluster(name=f"many-{number}", name_folded=f"many-{number}", address="a:1", host="a")
            for number in range(COUNT_LIMIT + 1)
        )
        assert changes("many none") == [Change("many", COUNT_LIMIT)]
