import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.grammar import MAX_LENGTH, MAX_TERMS, Pattern, Search, Term, parse

ANYTHING = st.text(st.characters(exclude_categories=()))
# Text in which the grammar's own characters are frequent.
TRICKY = st.text(st.sampled_from('ab:*"\\ =_-é\u2003\n'), max_size=40)
PARTS = st.lists(ANYTHING | TRICKY, min_size=1, max_size=4).map(tuple)


def read(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(term.word, term.value.parts) for term in parse(text).terms]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        (" \t\u2003\n ", []),
        ("coffee", [("", ("coffee",))]),
        ("keen  coffee", [("", ("keen",)), ("", ("coffee",))]),
        ("name:keen-coffee", [("name", ("keen-coffee",))]),
        ("listenaddr:10.0.0.021:443", [("listenaddr", ("10.0.0.021:443",))]),
        ("tags:Environment=sandbox", [("tags", ("Environment=sandbox",))]),
        ("listen_addr:x listen-addr:y", [("listen_addr", ("x",)), ("listen-addr", ("y",))]),
        ("name:", [("name", ("",))]),
        ("name: coffee", [("name", ("",)), ("", ("coffee",))]),
        ("name:a:b", [("name", ("a:b",))]),
    ],
)
def test_terms_stand_between_spaces(text, terms):
    assert read(text) == terms


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.21:443",
        "[::1]:443",
        "db.example.com:5432",
        ":x",
        "1a:x",
        "-a:x",
        "é:x",
        "a b".replace(" ", "."),
        "a.b:c",
    ],
)
def test_what_no_word_begins_is_free_text(text):
    assert read(text) == [("", (text,))]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("*", ("", "")),
        ("a*", ("a", "")),
        ("*a*b*", ("", "a", "b", "")),
        ("a***b", ("a", "b")),
        ("***", ("", "")),
        ('"a*b c"', ("a", "b c")),
        (r'"a\*b"', ("a*b",)),
        (r"a\*b", ("a\\", "b")),
    ],
)
def test_a_star_is_a_wildcard_in_quotes_too(text, parts):
    assert read(text) == [("", parts)]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ('name:"Foo Bar"', [("name", ("Foo Bar",))]),
        ('"foo bar" baz', [("", ("foo bar",)), ("", ("baz",))]),
        ('tag:"K"="V W"', [("tag", ("K=V W",))]),
        ('a"b c"d', [("", ("ab cd",))]),
        ('"name:x"', [("", ("name:x",))]),
        ('""', [("", ("",))]),
        (r'"\"\\\n"', [("", ('"\\\\n',))]),
    ],
)
def test_quotes_hold_together(text, terms):
    assert read(text) == terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ('"', ['"']),
        ('5"', ['5"']),
        ('"foo bar', ['"foo', "bar"]),
        ('name "', ["name", '"']),
        ('"a b" "c', ["a b", '"c']),
        ('"a\\"', ['"a\\"']),
        ('"""', ['"']),
        ("it's", ["it's"]),
    ],
)
def test_a_quote_that_nothing_closes_is_a_character(text, terms):
    assert read(text) == [("", (term,)) for term in terms]


@pytest.mark.parametrize(
    "text",
    [
        "a\0b",
        "\u202eabc\u202c",
        "👩‍👩‍👧",
        "\ud800",
        "'; DROP TABLE--",
        "(a+)+$",
        "[^x]{9}",
        "<b>&amp;",
        "%s%n",
        "\\",
    ],
)
def test_hostile_text_is_text(text):
    assert "".join(parse(text).terms[0].value.parts) == text.split()[0]


def test_terms_know_where_they_stood():
    text = '  name:"a b"\tcoffee '
    terms = parse(text).terms
    assert [text[term.start : term.end] for term in terms] == ['name:"a b"', "coffee"]
    assert [term.source for term in terms] == ['name:"a b"', "coffee"]


@given(ANYTHING | TRICKY)
def test_any_text_is_a_search(text):
    assert isinstance(parse(text), Search)


@given(ANYTHING | TRICKY)
def test_nothing_but_spaces_is_lost(text):
    terms = parse(text).terms
    spans = [(term.start, term.end) for term in terms]
    covered = [*(edge for span in spans for edge in span)]
    gaps = zip([0, *covered[1::2]], [*covered[::2], len(text)], strict=True)
    assert all(not text[start:end].strip() for start, end in gaps)
    assert all(start < end for start, end in spans)


@given(ANYTHING | TRICKY)
def test_a_printed_search_reads_the_same(text):
    search = parse(text)
    assert parse(str(search)) == search


@given(st.lists(st.tuples(st.sampled_from(["", "name", "x_-"]), PARTS), max_size=5))
def test_printed_terms_read_the_same(drawn):
    search = Search(tuple(Term(word, Pattern(parts)) for word, parts in drawn))
    assert parse(str(search)) == search


@pytest.mark.parametrize(
    ("term", "printed"),
    [
        (Term("name", Pattern(("coffee",))), "name:coffee"),
        (Term("name", Pattern(("",))), "name:"),
        (Term("name", Pattern(("a:b",))), "name:a:b"),
        (Term("", Pattern(("name:a", ""))), '"name:a*"'),
        (Term("", Pattern(("C:\\",))), r'"C:\\"'),
        (Term("", Pattern(("10.0.0.1:443",))), "10.0.0.1:443"),
        (Term("", Pattern(("",))), '""'),
        (Term("tags", Pattern(("K 1=", ""))), 'tags:"K 1=*"'),
        (Term("", Pattern(("*",))), r'"\*"'),
        (Term("", Pattern(('a"b\\',))), r'"a\"b\\"'),
        (Term("", Pattern(("a\\b",))), r"a\b"),
    ],
)
def test_a_term_is_printed_with_quotes_where_it_needs_them(term, printed):
    assert str(term) == printed
    assert parse(printed).terms == (term,)


def test_a_term_is_taken_out_or_replaced():
    search = parse("name:a b tags:c")
    assert str(search.without(1)) == "name:a tags:c"
    assert str(search.replaced(1, Term("name", Pattern(("b c",))))) == 'name:a name:"b c" tags:c'
    assert str(search.replaced(0, Term("name", Pattern(("b",))), 2)) == "name:b tags:c"


def test_a_pattern_goes_on_with_another():
    assert Pattern(("a", "b")).beside(Pattern(("c", "d"))) == Pattern(("a", "b c", "d"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x" * (MAX_LENGTH + 1), "A search has at most 4,096 characters; this one has 4,097."),
        ("x " * (MAX_TERMS + 1), "A search has at most 32 terms; this one has 33."),
        (" " * 10_000, "A search has at most 4,096 characters; this one has 10,000."),
        ('"' + '\\"' * (MAX_LENGTH // 2 - 1), "A search has at most 4,096 characters; this one has 8,192."),
    ],
)
def test_what_is_too_long_says_so_and_has_no_terms(text, problem):
    assert parse(text) == Search((), problem)


def test_the_limits_themselves_are_within():
    assert not parse("x" * MAX_LENGTH).problem
    assert len(parse("x " * MAX_TERMS).terms) == MAX_TERMS


@pytest.mark.parametrize(
    "text", ['"' * MAX_LENGTH, '"\\' * (MAX_LENGTH // 2), "*a" * (MAX_LENGTH // 2), ":" * MAX_LENGTH]
)
def test_no_text_takes_long(text):
    started = time.perf_counter()
    parse(text)
    assert time.perf_counter() - started < 10, "a guard against hanging, not a measurement"


def every_text(alphabet: str, longest: int) -> list[str]:
    lengths = range(longest + 1)
    return ["".join(letters) for length in lengths for letters in itertools.product(alphabet, repeat=length)]


@pytest.mark.parametrize("text", every_text("ab", 4))
def test_a_pattern_matches_what_the_same_expression_does(text):
    for pattern in every_text("ab*", 5):
        expression = ".*".join(map(re.escape, pattern.split("*")))
        assert Pattern(tuple(pattern.split("*"))).matches(text) == bool(re.fullmatch(expression, text)), (
            pattern
        )


def test_a_pattern_does_not_go_back():
    started = time.perf_counter()
    assert not Pattern((*tuple("a" * 2000), "b")).matches("a" * 100_000)
    assert time.perf_counter() - started < 10, "a guard against hanging, not a measurement"


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("K=V", ("K",), ("V",)),
        ("K=V=W", ("K",), ("V=W",)),
        ("K=", ("K",), ("",)),
        ("=V", ("",), ("V",)),
        ("K*=*V", ("K", ""), ("", "V")),
        ("*a=b*", ("", "a"), ("b", "")),
    ],
)
def test_a_pattern_is_divided_at_the_first_separator(text, key, value):
    assert parse(text).terms[0].value.partition("=") == (Pattern(key), Pattern(value))


def test_a_pattern_without_the_separator_stays_whole():
    pattern = Pattern(("K", ""))
    assert pattern.partition("=") == (pattern, None)
