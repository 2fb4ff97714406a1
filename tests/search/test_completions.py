import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.models import ClusterTag
from search.completions import MAX_COMPLETIONS, Completion, complete
from tests.search.declared import FILTERS, make_cluster


def labels(text: str) -> list[str]:
    return [completion.label for completion in complete(FILTERS, text, len(text))]


@pytest.fixture
def tags(db):
    make_cluster("a", tags={"Environment": "sandbox", "Team": "blue", "Cost Center": "12 b", "env": "old"})
    make_cluster("b", tags={"Environment": "production", "Team": "", "Ünit": "x"})
    make_cluster("c", tags={"Environment": "sandbox", "ESX": "7"})


class TestNames:
    @pytest.mark.parametrize(
        ("text", "offered"),
        [
            ("", ["name:", "listenaddr:", "tags:", "id:", "busy:", "size:"]),
            ("n", ["name:"]),
            ("NA", ["name:"]),
            ("addr", ["listenaddr:"]),
            ("listen_a", ["listenaddr:"]),
            ("ta", ["tags:"]),
            ("xyz", []),
            ("*", []),
            ("name:x", []),
            ("nmae:", []),
        ],
    )
    def test_those_that_begin_with_what_is_typed(self, text, offered):
        assert labels(text) == offered

    def test_they_take_the_place_of_the_last_term(self):
        assert complete(FILTERS, "name:x ta", 9) == [Completion("name:x tags:", "tags:", 12)]

    def test_what_follows_stays(self):
        assert complete(FILTERS, "ta name:x", 2) == [Completion("tags: name:x", "tags:", 5)]

    @pytest.mark.parametrize(("text", "cursor"), [("name:x", 2), ("name:x", 0), ("a b", 2)])
    def test_nothing_in_the_middle_of_a_term(self, text, cursor):
        assert complete(FILTERS, text, cursor) == []

    def test_nothing_for_a_text_that_is_too_long(self):
        assert labels("x " * 40) == labels("x" * 5000) == []


class TestChoices:
    @pytest.mark.parametrize(
        ("text", "offered"),
        [
            ("busy:", ["busy:yes", "busy:no"]),
            ("busy:Y", ["busy:yes"]),
            ("BUSY:n", ["BUSY:no"]),
            ("busy:no", []),
            ("size:t", ["size:tinyOne", "size:tinyTwo"]),
        ],
    )
    def test_their_words(self, text, offered):
        assert labels(text) == offered


@pytest.mark.usefixtures("tags")
class TestTags:
    def test_keys(self):
        assert set(labels("tags:")) == {
            "tags:Environment=",
            "tags:ESX=",
            "tags:Team=",
            'tags:"Cost Center="',
            "tags:env=",
            "tags:Ünit=",
        }

    @pytest.mark.parametrize(
        ("text", "offered"),
        [
            ("tags:E", {"tags:Environment=", "tags:ESX=", "tags:env="}),
            ("tag:envi", {"tag:Environment="}),
            ("tags:TEAM", {"tags:Team="}),
            ("tags:ü", {"tags:Ünit="}),
            ("tags:Cost", {'tags:"Cost Center="'}),
            ('tags:"Cost C', {'tags:"Cost Center="'}),
            ("tags:xyz", set()),
            ("tags:E*", set()),
            ("tags:\0", set()),
            ("tags:\ud800", set()),
        ],
    )
    def test_keys_that_begin_so_in_the_usual_spellings(self, text, offered):
        assert set(labels(text)) == offered

    @pytest.mark.parametrize(
        ("text", "offered"),
        [
            ("tags:Environment=", ["tags:Environment=production", "tags:Environment=sandbox"]),
            ("tags:Environment=S", ["tags:Environment=sandbox"]),
            ("tags:environment=", []),
            ("tags:Team=", ["tags:Team=blue"]),
            ('tags:"Cost Center=', ['tags:"Cost Center=12 b"']),
            ('tags:"Cost Center="1', ['tags:"Cost Center=12 b"']),
            ('tags:"Cost Center=12 ', ['tags:"Cost Center=12 b"']),
            ("tags:Environment=sandbox", []),
        ],
    )
    def test_values_of_a_key(self, text, offered):
        assert labels(text) == offered

    def test_a_completion_reads_as_the_term_it_offers(self):
        [completion] = complete(FILTERS, 'keen tags:"Cost C', 17)
        assert completion == Completion('keen tags:"Cost Center="', 'tags:"Cost Center="', 24)
        assert labels(completion.text) == ['tags:"Cost Center=12 b"']

    def test_they_are_few_and_cost_few_queries(self, django_assert_max_num_queries):
        cluster = make_cluster("many")
        ClusterTag.objects.bulk_create(
            ClusterTag(cluster=cluster, key=f"key{number:03}", value="x") for number in range(300)
        )
        with django_assert_max_num_queries(MAX_COMPLETIONS):
            assert len(labels("tags:key")) == MAX_COMPLETIONS

    def test_a_key_is_asked_for_once_however_often_it_is_used(self, django_assert_max_num_queries):
        for number in range(20):
            make_cluster(f"more-{number}", tags={"Environment": "sandbox"})
        with django_assert_max_num_queries(8):
            labels("tags:Environment=")


@pytest.mark.django_db
@given(st.text(), st.integers(-3, 50))
def test_any_text_can_be_completed(text, cursor):
    for completion in complete(FILTERS, text, cursor):
        assert completion.text[: completion.cursor].endswith(completion.label)
