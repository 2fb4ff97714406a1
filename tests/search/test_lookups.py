import pytest
from django.db import NotSupportedError, connection

from clusters.models import Cluster
from search.grammar import Pattern
from search.lookups import Wildcard, can_be_stored, glob, like
from tests.search.declared import make_cluster


@pytest.mark.parametrize(
    ("parts", "as_glob", "as_like"),
    [
        (("", "coffee", ""), "*coffee*", "%coffee%"),
        (("a*", "b"), "a[*]*b", "a*%b"),
        (("a?[b]",), "a[?][[]b]", "a?[b]"),
        ((r"50%_\x",), r"50%_\x", r"50\%\_\\x"),
    ],
)
def test_special_characters_are_only_themselves(parts, as_glob, as_like):
    assert (glob(Pattern(parts)), like(Pattern(parts))) == (as_glob, as_like)


@pytest.mark.django_db
@pytest.mark.parametrize("special", list("*?[]%_\\^-!'\""))
def test_a_special_character_matches_itself_alone(special):
    make_cluster("axb")
    wanted = make_cluster(f"a{special}b")
    found = Cluster.objects.filter(name__wildcard=Pattern(("", f"{special}b")))
    assert list(found) == [wanted]


@pytest.mark.django_db
def test_case_counts():
    make_cluster("KEEN-COFFEE")
    assert not Cluster.objects.filter(name__wildcard=Pattern(("", "coffee", "")))


@pytest.mark.django_db
def test_the_longest_pattern_is_not_too_long_for_the_database():
    for longest in ("[" * 4094, "👩" * 4094, "ΐ" * 4094, "a*" * 2047):
        pattern = Pattern(tuple(longest.casefold().split("*"))).anywhere()
        assert not Cluster.objects.filter(name__wildcard=pattern)


def test_another_database_is_refused():
    query = Cluster.objects.filter(name__wildcard=Pattern(("a", ""))).query
    lookup = query.where.children[0]
    assert isinstance(lookup, Wildcard)
    with pytest.raises(NotSupportedError, match="SQLite and PostgreSQL"):
        lookup.as_sql(query.get_compiler(connection=connection), connection)


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "\udfff"])
def test_what_no_database_takes_is_known(text):
    assert not can_be_stored(Pattern(("a", text)))


@pytest.mark.parametrize("text", ["", "é", "👩", "\ufffd", "\x01"])
def test_all_other_text_can_be_stored(text):
    assert can_be_stored(Pattern((text,)))
