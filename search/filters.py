"""A model's declaration of filters, and what a text says when it is read with them."""

import difflib
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Generic, NamedTuple, TypeVar

from django.db.models import Model, Q, QuerySet

from search.fields import Field, Matching, WrongValue
from search.grammar import Search, Term, parse
from search.lookups import can_be_stored

M = TypeVar("M", bound=Model)

EVERYTHING = Q()
NOTHING = Q(pk__in=[])  # Django answers without asking the database


@dataclass(frozen=True)
class Notice:
    """What the person should know about a term, and the whole search that was perhaps meant."""

    message: str
    suggestion: str = ""


@dataclass(frozen=True)
class Chip:
    """An active term, and the search without it."""

    label: str
    remaining: str


@dataclass(frozen=True)
class Reading(Generic[M]):
    """A text as a model's filters understand it."""

    filters: "Filters[M]"
    search: Search
    matching: Matching
    # One for each term.
    conditions: tuple[Q, ...]
    row_conditions: tuple[Q, ...]
    notices: tuple[Notice, ...]
    # What the terms are about, where a term is about one column: otherwise empty.
    columns: tuple[str, ...]

    @property
    def problem(self) -> str:
        """Why the text was not searched for at all. It then finds nothing."""
        return self.search.problem

    @property
    def chips(self) -> list[Chip]:
        terms = self.search.terms
        return [Chip(term.source, str(self.search.without(index))) for index, term in enumerate(terms)]

    def is_only_about(self, column: str) -> bool:
        """Whether nothing but this column decides which rows fit."""
        return set(self.columns) == {column}

    def apply(self, rows: QuerySet[M]) -> QuerySet[M]:
        return reduce(QuerySet.filter, self.conditions, rows)

    def apply_row_by_row(self, rows: QuerySet[M]) -> QuerySet[M]:
        """The same rows, for a database that goes through them in order until it has a page of them."""
        return reduce(QuerySet.filter, self.row_conditions, rows)


class _TermReading(NamedTuple):
    condition: Q
    row_condition: Q
    notice: Notice | None = None
    column: str = ""


class Filters(Generic[M]):
    """The filters of a model, declared once, beside its selectors."""

    def __init__(self, model: type[M], *fields: Field) -> None:
        self.model = model
        self.fields = fields
        self._free_text = [field for field in fields if field.free_text]
        self._by_name: dict[str, Field] = {}
        for field in fields:
            for name in map(_plain, field.names):
                if self._by_name.setdefault(name, field) is not field:
                    raise ValueError(f"Two filters of {model.__name__} answer to {name}:")

    def field(self, word: str) -> Field | None:
        return self._by_name.get(_plain(word))

    def beginning_with(self, typed: str) -> list[Field]:
        """The fields with a name that begins so."""
        beginning = _plain(typed)
        return [
            field for field in self.fields if any(_plain(name).startswith(beginning) for name in field.names)
        ]

    def read(self, text: str, matching: Matching = Matching.CONTAINS) -> Reading[M]:
        """Never fails: what is wrong with the text is in the reading's problem and notices."""
        search = parse(text)
        terms = [self._read_term(search, index, matching) for index in range(len(search.terms))]
        if search.problem:
            terms = [_TermReading(NOTHING, NOTHING)]
        return Reading(
            self,
            search,
            matching,
            conditions=tuple(term.condition for term in terms),
            row_conditions=tuple(term.row_condition for term in terms),
            notices=tuple(term.notice for term in terms if term.notice),
            columns=tuple(term.column for term in terms),
        )

    def _read_term(self, search: Search, index: int, matching: Matching) -> _TermReading:
        term = search.terms[index]
        if not can_be_stored(term.value):
            return _TermReading(
                NOTHING, NOTHING, Notice(f"{_shown(term)} has a character that nothing here can have.")
            )
        field = self.field(term.word)
        if field is None:
            anywhere = self._anywhere(term, matching)
            column = self._free_text[0].only_column if len(self._free_text) == 1 else ""
            return _TermReading(anywhere, anywhere, self._about_free_text(search, index), column)
        if term.value.is_empty:
            return _TermReading(
                EVERYTHING, EVERYTHING, Notice(f"{field.name}: has no value yet, so it leaves nothing out.")
            )
        question = (self.model, term.value, matching)
        try:
            return _TermReading(
                field.condition(*question), field.row_condition(*question), column=field.only_column
            )
        except WrongValue as wrong:
            return _TermReading(NOTHING, NOTHING, Notice(str(wrong)))

    def _anywhere(self, term: Term, matching: Matching) -> Q:
        """Free text: in any of the fields that take it. Empty quotes leave nothing out."""
        value = term.as_free_text()
        if value.is_empty:
            return EVERYTHING
        conditions = (field.condition(self.model, value, matching) for field in self._free_text)
        return reduce(or_, conditions, NOTHING)

    def _about_free_text(self, search: Search, index: int) -> Notice | None:
        term = search.terms[index]
        meant = self._meant(term)
        suggestion = str(search.replaced(index, meant)) if meant else ""
        if term.word:
            known = ", ".join(f"{field.name}:" for field in self.fields)
            return Notice(f"{_shown(term)} is taken as text: the filters here are {known}.", suggestion)
        if meant:
            return Notice(f"{_shown(term)} is taken as text: {meant.word}: takes it as a value.", suggestion)
        return None

    def _meant(self, term: Term) -> Term | None:
        """The filter that was perhaps meant: the one with the nearest name, or one that knows such values."""
        word = _plain(term.word)
        for field in self.fields:
            if word and word in map(_plain, field.mistaken_names):
                return Term(field.name, term.value)
        near = difflib.get_close_matches(word, self._by_name, n=1)
        if near:
            return Term(self._by_name[near[0]].name, term.value)
        value = term.as_free_text()
        return next((Term(field.name, value) for field in self.fields if field.recognises(value.text)), None)


def _plain(name: str) -> str:
    """`listen_addr`, `listen-addr` and `ListenAddr` are the same name."""
    return name.casefold().replace("_", "").replace("-", "")


def _shown(term: Term) -> str:
    text = term.source
    return f"“{text if len(text) <= 60 else text[:59] + '…'}”"
