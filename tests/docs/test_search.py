"""The page about searching is true: its filters are those that are declared, and its examples find what they say."""

import re
from typing import Any

import pytest

from access.selectors import ROLE_FILTERS
from clusters.models import Cluster
from clusters.selectors import CLUSTER_FILTERS
from resources.kinds import KINDS
from resources.selectors import RESOURCE_FILTERS
from search import grammar
from search.filters import Filters
from tests.clusters.factories import make_cluster
from tests.docs.pages import code_spans, prose, section, table
from tests.house.checkout import ROOT

SEARCH = ROOT / "docs" / "search.md"
EXAMPLES = table(section(SEARCH, "Proxy clusters"), "search")


@pytest.mark.parametrize(
    ("heading", "filters"),
    [("Proxy clusters", CLUSTER_FILTERS), ("Resources", RESOURCE_FILTERS), ("Roles", ROLE_FILTERS)],
    ids=["clusters", "resources", "roles"],
)
def test_the_filters_are_those_that_are_declared(heading: str, filters: Filters[Any]):
    rows = table(section(SEARCH, heading), "filter")
    named = {row["filter"]: set(code_spans(row["also written"])) for row in rows}
    declared = {f"`{field.name}:`": {f"{name}:" for name in field.aliases} for field in filters.fields}
    assert named == declared
    free = {row["filter"] for row in rows if "a bare word" in row["also written"]}
    assert free == {f"`{field.name}:`" for field in filters.fields if field.free_text}


def test_the_words_of_type_are_the_kinds():
    found = re.search(r"The words of `type:` are (.*?)\n\n", prose(SEARCH), re.DOTALL)
    assert found
    words, labels = found[1].split(", in any case")
    assert set(code_spans(words)) == set(KINDS)
    for span in code_spans(labels):
        assert not RESOURCE_FILTERS.read(span).notices


@pytest.mark.parametrize(
    ("templates", "filters"),
    [("clusters", CLUSTER_FILTERS), ("resources", RESOURCE_FILTERS)],
    ids=["clusters", "resources"],
)
def test_the_example_in_a_search_field_is_a_search(templates: str, filters: Filters[Any]):
    pages = (ROOT / "templates" / templates).glob("*.html")
    found = re.compile(r'components/search\.html" .*placeholder="([^"]*)"')
    examples = [text for page in pages for text in found.findall(page.read_text())]
    assert examples
    for example in examples:
        assert "," not in example
        assert not filters.read(example).notices


@pytest.fixture
def clusters(db: None) -> None:
    for row in table(section(SEARCH, "Proxy clusters"), "name"):
        tags = dict(tag.split("=") for tag in code_spans(row["tags"]))
        make_cluster(row["name"], row["advertised address"].strip("`"), **tags)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda row: row["search"])
def test_an_example_finds_what_it_says_and_needs_no_advice(clusters: None, example: dict[str, str]):
    reading = CLUSTER_FILTERS.read(example["search"].strip("`"))
    found = reading.apply(Cluster.objects.order_by("pk")).values_list("name", flat=True)
    wanted = set() if example["finds"] == "nothing" else set(example["finds"].split(", "))
    assert set(found) == wanted
    assert not reading.notices


def test_what_was_perhaps_meant_is_offered_as_the_page_says():
    offers = {
        text: CLUSTER_FILTERS.read(text).notices[0].suggestion for text in ("nmae:coffee", "10.0.0.21:8443")
    }
    assert offers == {"nmae:coffee": "name:coffee", "10.0.0.21:8443": "listenaddr:10.0.0.21:8443"}
    assert not CLUSTER_FILTERS.read("Listen_Addr:10.0.0.21").notices
    assert "`listenaddr:10.0.0.21:8443`" in prose(SEARCH)


def test_the_limits_are_those_of_the_grammar():
    assert f"{grammar.MAX_LENGTH:,} characters and {grammar.MAX_TERMS} terms" in prose(SEARCH)
