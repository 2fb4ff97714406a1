"""What to offer where a search finds nothing: what was probably meant, and the one change that finds most."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db.models import QuerySet

from search.counting import RowCount
from search.filters import M, Reading
from search.grammar import Search, Term, parse
from search.lookups import can_be_stored

# What looking for a better search may cost: so many are tried, some of them always with another meaning and not with
# one term less, each counted so far, and all in one query.
MAX_CHANGES = 8
_MIN_MEANT = 3
COUNT_LIMIT = 1000
# Of so many terms it is asked what else they could mean, which can take a query for each.
_MAX_REREAD = 3
# As lists and quotations are written elsewhere.
_COMMAS = re.compile(r"[,;]")
_QUOTES = re.compile(r"[\"'`‘’“”]")


@dataclass(frozen=True)
class Change:
    """Another search and how much it finds, where `COUNT_LIMIT` stands for that many or more."""

    text: str
    count: int


def best_changes(reading: Reading[M], rows: QuerySet[M], *, narrow: bool = False) -> list[Change]:
    """Of the changes that are tried, the one that finds most, after the best of those that leave no term out.

    `narrow` says that `rows` are few of their table.
    """
    unchanged = {"", str(reading.search)}
    otherwise = (text for text in dict.fromkeys(_read_otherwise(reading)) if text not in unchanged)
    remaining = dict.fromkeys(chip.remaining for chip in reading.chips if chip.remaining)
    # One term alone is not left out, as that would show all.
    less = list(remaining or _saying_less(reading))[: MAX_CHANGES - _MIN_MEANT]
    meant = list(islice(otherwise, MAX_CHANGES - len(less)))
    texts = list(dict.fromkeys(meant + less))
    readings = [reading.filters.read(text, reading.matching) for text in texts]
    counts = _counts([read.apply_row_by_row(rows) if narrow else read.apply(rows) for read in readings])
    found = [Change(text, count) for text, count in zip(texts, counts, strict=False) if count]
    best = [_best(change for change in found if change.text in meant)]
    if remaining or best == [None]:
        best.append(_best(found))
    return list(dict.fromkeys(change for change in best if change))


def _best(changes: Iterable[Change]) -> Change | None:
    """Of two that find the same, the likelier one, which stands first."""
    return max(changes, key=lambda change: change.count, default=None)


def _counts(found: Sequence[QuerySet[M]]) -> Sequence[int]:
    """How many rows each of them has, to the limit; none where the table is empty."""
    if not found:
        return ()
    counts = [RowCount(rows, COUNT_LIMIT) for rows in found]
    # Any one row carries all the answers.
    return next(iter(found[0].model._default_manager.order_by().values_list(*counts)[:1]), ())


def _read_otherwise(reading: Reading[M]) -> Iterator[str]:
    """Searches that were perhaps meant, the likelier ones first."""
    terms = reading.search.terms
    yield from (notice.suggestion for notice in reading.notices)
    listed = _COMMAS.sub(" ", " ".join(term.source for term in terms))
    yield from (str(parse(text)) for text in (listed, _QUOTES.sub("", listed)))
    for index, term in enumerate(terms[:_MAX_REREAD]):
        if can_be_stored(term.value):
            yield from (str(reading.search.replaced(index, meant)) for meant in _other_terms(reading, term))
            yield from _held_together(reading, index)


def _other_terms(reading: Reading[M], term: Term) -> Iterator[Term]:
    """The same value in another case, or as the value of a filter."""
    filters, value = reading.filters, term.as_free_text()
    if field := filters.field(term.word):
        yield from (Term(term.word, other) for other in field.respelled(filters.model, term.value))
        return
    if value.is_empty:
        return
    word, rest = value.partition(":")
    if rest and filters.field(word.text):
        yield Term(word.text, rest)  # it stood in quotes
    for field in filters.fields:
        if not field.free_text and field.could_have(value, reading.matching):
            yield Term(field.name, value)
            yield from (Term(field.name, other) for other in field.respelled(filters.model, value))


def _saying_less(reading: Reading[M]) -> Iterator[str]:
    """A part of a filter's value instead of all of it."""
    for term in reading.search.terms:
        if field := reading.filters.field(term.word):
            yield from (str(Search((Term(term.word, wider),))) for wider in field.wider(term.value))


def _held_together(reading: Reading[M], index: int) -> Iterator[str]:
    """A filter's value with the words that follow it: it has spaces and should have been quoted."""
    filters, search = reading.filters, reading.search
    term, *following = search.terms[index:]
    if not filters.field(term.word):
        return
    for count, word in enumerate(following, 2):
        if filters.field(word.word):
            return
        more = word.as_free_text()
        term = Term(term.word, more if term.value.is_empty else term.value.beside(more))
        yield str(search.replaced(index, term, count))
