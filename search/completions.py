"""What can follow while a search is being typed: the names of filters, then a filter's existing values."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from search.filters import Filters, M
from search.grammar import Pattern, Term, parse
from search.lookups import can_be_stored

MAX_COMPLETIONS = 8


@dataclass(frozen=True)
class Completion:
    """The whole text with one term completed, that term alone, and where the cursor stands then."""

    text: str
    label: str
    cursor: int


def complete(filters: Filters[M], text: str, cursor: int) -> list[Completion]:
    """Completions of the term that ends at the cursor, where one does or none has begun."""
    head, tail = text[:cursor], text[cursor:]
    if parse(text).problem or (tail and not tail[0].isspace()):
        return []
    typed = _last_term(head)
    before = head[: typed.start]
    completed = (str(term) for term in _completed(filters, typed))
    offered = (term for term in completed if term != head[typed.start :])
    return [
        Completion(before + term + tail, term, len(before + term))
        for term in islice(offered, MAX_COMPLETIONS)
    ]


def _completed(filters: Filters[M], typed: Term) -> Iterator[Term]:
    if not typed.value.is_literal or not can_be_stored(typed.value):
        return
    field = filters.field(typed.word)
    if field:
        values = field.completions(filters.model, typed.value.text)
        yield from (Term(typed.word, Pattern((value,))) for value in values)
    elif not typed.word:
        yield from (Term(field.name, Pattern(("",))) for field in filters.beginning_with(typed.value.text))


def _last_term(head: str) -> Term:
    """The term that reaches to the end, or an empty one where the next will begin."""
    # A quote may still be open. Where one more quote does not close it, it is a character of its own.
    closed = parse(head + '"').terms[-1:]
    if closed and not closed[0].value.parts[-1].endswith('"'):
        return closed[0]
    last = parse(head).terms[-1:]
    return last[0] if last and last[0].end == len(head) else Term("", Pattern(("",)), len(head))
