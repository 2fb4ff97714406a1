"""A search means the same on every database: what it finds is compared with an evaluation in plain Python.

The evaluation shares nothing with the code under test. A search is drawn as conditions, whose values are
lists of characters and wildcards; they are written down as text for the one side and become regular
expressions for the other. The suite runs on SQLite and on PostgreSQL, each compared with the same evaluation.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from clusters.models import Cluster
from search.changes import best_changes
from search.fields import Matching
from tests.search.declared import FILTERS, make_cluster

STAR = None  # a wildcard, in a list of characters
Value = list[str | None]

# Letters that change their number or their partner when case is folded, the characters that GLOB, LIKE and
# regular expressions reserve, and those of the search grammar.
CHARACTERS = list("aAsSßẞſ\u212akKiIİıΣσςǅéE\u0301👩*?[]%_\\^-!.$(+'\"=:, \t\u202e")
HOSTS = [
    "10.0.0.021",
    "10.0.0.21",
    "10.0.0.210",
    "db.example.com",
    "b.example.com",
    "a_b",
    "[::1]",
    "[2001:db8::1]",
]
PORTS = [1, 44, 443, 4430]

texts = st.text(st.sampled_from(CHARACTERS), max_size=5)
some_text = st.text(st.sampled_from(CHARACTERS), min_size=1, max_size=5)


@dataclass(frozen=True)
class Stored:
    name: str
    host: str
    port: int
    tags: dict[str, str]


@dataclass(frozen=True)
class Condition:
    text: str
    holds: Callable[[Stored, Matching], bool]


@dataclass(frozen=True)
class World:
    stored: list[Stored]
    conditions: list[Condition]


some_clusters = st.lists(
    st.builds(
        Stored,
        some_text,
        st.sampled_from(HOSTS),
        st.sampled_from(PORTS),
        st.dictionaries(some_text, texts, max_size=3),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda cluster: cluster.name.casefold(),
)


def expression(value: Value, fold: Callable[[str], str]) -> str:
    return "".join(".*" if piece is STAR else re.escape(fold(piece)) for piece in value)


def is_whole(value: Value, text: str, fold: Callable[[str], str] = str) -> bool:
    return re.fullmatch(expression(value, fold), fold(text), re.DOTALL) is not None


def is_within(value: Value, text: str, fold: Callable[[str], str] = str) -> bool:
    return re.search(expression(value, fold), fold(text), re.DOTALL) is not None


def written(value: Value, quoted: bool) -> str:
    """The value as text: in quotes where it must be, or where the draw says so."""
    literal = "".join(filter(None, value))
    if not quoted and not re.search(r'[\s"*]', literal):
        return "".join(piece or "*" for piece in value)
    return '"' + "".join(re.sub(r'(["*\\])', r"\\\1", piece) if piece else "*" for piece in value) + '"'


@st.composite
def values(draw: st.DrawFn, texts: list[str]) -> Value:
    """A piece of one of these texts, with here and there another case, another character, or a wildcard."""
    text = draw(st.sampled_from(["", *texts]))
    start, end = sorted((draw(st.integers(0, len(text))), draw(st.sampled_from([0, len(text)]))))
    value: Value = list(text[start:end])
    for place in draw(st.lists(st.integers(0, max(0, len(value) - 1)), max_size=3)):
        there = (value[place] if value else None) or ""
        change = st.sampled_from([STAR, STAR, there.swapcase() or STAR, draw(st.sampled_from(CHARACTERS))])
        value[place : place + 1] = [draw(change)]
    return value


@st.composite
def name_conditions(draw: st.DrawFn, stored: list[Stored]) -> Condition:
    value = draw(values([cluster.name for cluster in stored]))
    text = written(value, draw(st.booleans()))
    if draw(st.booleans()):
        text = f"{draw(st.sampled_from(['name', 'NAME', 'na_me']))}:{text}"
    elif not text or re.match(r"[A-Za-z_][A-Za-z_-]*:", text):
        text = written(value, quoted=True)

    def holds(cluster: Stored, matching: Matching) -> bool:
        fits = is_within if matching is Matching.CONTAINS or not value else is_whole
        return fits(value, cluster.name, str.casefold)

    return Condition(text, holds)


@st.composite
def address_conditions(draw: st.DrawFn) -> Condition:
    host, port = draw(st.sampled_from(HOSTS)), draw(st.sampled_from([None, *PORTS]))
    value: Value = list(host if port is None else f"{host}:{port}")
    for place in draw(st.lists(st.integers(0, len(value) - 1), max_size=2)):
        value[place] = STAR
    text = written(value, draw(st.booleans()))

    def holds(cluster: Stored, matching: Matching) -> bool:
        return is_whole(value, cluster.host) or is_whole(value, f"{cluster.host}:{cluster.port}")

    return Condition(f"listenaddr:{text.upper() if draw(st.booleans()) else text}", holds)


@st.composite
def tag_conditions(draw: st.DrawFn, stored: list[Stored]) -> Condition:
    tags = [tag for cluster in stored for tag in cluster.tags.items()]
    key: Value = [piece for piece in draw(values([key for key, _ in tags])) if piece != "="]
    value: Value | None = draw(st.none() | values([value for _, value in tags]))
    quoted = draw(st.booleans())
    text = written(key, quoted) + ("" if value is None else "=" + written(value, quoted))

    def holds(cluster: Stored, matching: Matching) -> bool:
        return (not key and value is None) or any(
            is_whole(key, stored_key) and (value is None or is_whole(value, stored_value))
            for stored_key, stored_value in cluster.tags.items()
        )

    return Condition(f"{draw(st.sampled_from(['tags', 'tag']))}:{text}", holds)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    stored = draw(some_clusters)
    condition = name_conditions(stored) | address_conditions() | tag_conditions(stored)
    return World(stored, draw(st.lists(condition, max_size=3)))


def found(stored: list[Stored], text: str, matching: Matching) -> set[str]:
    """What the database finds, of these clusters alone."""
    with transaction.atomic():
        for cluster in stored:
            make_cluster(cluster.name, f"{cluster.host}:{cluster.port}", cluster.tags)
        names = set(FILTERS.read(text, matching).apply(Cluster.objects.all()).values_list("name", flat=True))
        transaction.set_rollback(True)
    return names


@pytest.mark.django_db
@given(worlds(), st.sampled_from(Matching))
def test_a_search_finds_what_plain_python_finds(world, matching):
    expected = {
        cluster.name
        for cluster in world.stored
        if all(condition.holds(cluster, matching) for condition in world.conditions)
    }
    assert found(world.stored, " ".join(term.text for term in world.conditions), matching) == expected


@pytest.mark.django_db
@given(some_clusters, st.data())
def test_each_cluster_is_found_by_what_it_is(stored, data):
    cluster = data.draw(st.sampled_from(stored))
    terms = [f"name:{written(list(cluster.name), True)}", f"listenaddr:{cluster.host}:{cluster.port}"]
    terms += [
        f"tags:{written([*key, '=', *value], True)}" for key, value in cluster.tags.items() if "=" not in key
    ]
    assert found(stored, " ".join(terms), Matching.EXACT) == {cluster.name}


@pytest.mark.django_db
@given(st.text(), st.sampled_from(Matching))
def test_no_text_is_an_error(text, matching):
    reading = FILTERS.read(text, matching)
    assert list(reading.apply(Cluster.objects.all())) == []
    assert best_changes(reading, Cluster.objects.all()) == []
