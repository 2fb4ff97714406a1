"""Text to terms. Total: every text is a search, and printing a search gives text that reads the same.

Terms stand between whitespace. A term is `word:value` or a bare value. `*` stands for any run of characters.
Quotes hold spaces together, anywhere in a value, and inside them a backslash makes `"`, `*` and itself
literal. A quote that nothing closes is a character like any other, and so is a backslash outside quotes: what
was pasted is searched for, never refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# Enough for any search a person or a script writes, little enough for every database's pattern limits: SQLite
# refuses a pattern of 50,000 bytes, and folding case and escaping can make twelve bytes of one character.
MAX_LENGTH = 4096
MAX_TERMS = 32

_WORD = re.compile(r"([A-Za-z_][A-Za-z_-]*):")
_SPACE = re.compile(r"\s+")
# Both repetitions are possessive: a quote without its end is found out in one pass, without backtracking.
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_BARE = re.compile(r'[^\s"*]+')
_IN_QUOTES = re.compile(r'\\(["*\\])|(\*)|([^*\\]+|\\)')


@dataclass(frozen=True)
class Pattern:
    """Literal parts with a wildcard between each two of them: `a*b` is ("a", "b"), `*` is ("", "")."""

    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        """Two wildcards side by side say the same as one; equal patterns are equal objects."""
        first, *rest = self.parts
        inner = [part for part in rest[:-1] if part]
        object.__setattr__(self, "parts", (first, *inner, *rest[-1:]))

    @property
    def is_literal(self) -> bool:
        return len(self.parts) == 1

    @property
    def is_empty(self) -> bool:
        return self.parts == ("",)

    @property
    def text(self) -> str:
        """As typed without quotes: for messages, not for parsing."""
        return "*".join(self.parts)

    def matches(self, text: str) -> bool:
        """Whether the whole text fits. The first place for each part is always good enough: no going back."""
        if self.is_literal:
            return text == self.parts[0]
        first, *inner, last = self.parts
        position, end = len(first), len(text) - len(last)
        if position > end or not (text.startswith(first) and text.endswith(last)):
            return False
        for part in inner:
            found = text.find(part, position, end)
            if found < 0:
                return False
            position = found + len(part)
        return True

    def anywhere(self) -> "Pattern":
        """The pattern of every text that contains a match of this one."""
        return Pattern(("", *self.parts, ""))

    def casefold(self) -> "Pattern":
        return Pattern(tuple(part.casefold() for part in self.parts))

    def lower(self) -> "Pattern":
        return Pattern(tuple(part.lower() for part in self.parts))

    def partition(self, separator: str) -> "tuple[Pattern, Pattern | None]":
        """What stands before and after the first literal separator; None after it when there is none."""
        for index, part in enumerate(self.parts):
            before, found, after = part.partition(separator)
            if found:
                return Pattern((*self.parts[:index], before)), Pattern((after, *self.parts[index + 1 :]))
        return self, None

    def beside(self, other: "Pattern") -> "Pattern":
        """Both, with a space between them."""
        return Pattern((*self.parts[:-1], f"{self.parts[-1]} {other.parts[0]}", *other.parts[1:]))

    def __str__(self) -> str:
        """Text that reads as this pattern when it follows `word:`."""
        if not any(re.search(r'[\s"*]', part) for part in self.parts):
            return self.text
        return self.quoted

    @property
    def quoted(self) -> str:
        return '"' + "*".join(re.sub(r'(["*\\])', r"\\\1", part) for part in self.parts) + '"'


@dataclass(frozen=True)
class Term:
    """One condition: `word:value`, or free text when the word is empty. And how and where it was typed."""

    word: str
    value: Pattern
    start: int = field(default=0, compare=False)
    source: str = field(default="", compare=False)

    @property
    def end(self) -> int:
        return self.start + len(self.source)

    def as_free_text(self) -> Pattern:
        """The whole term as a value, for a word that names no filter."""
        if not self.word:
            return self.value
        first, *rest = self.value.parts
        return Pattern((f"{self.word}:{first}", *rest))

    def __str__(self) -> str:
        value = str(self.value)
        if self.word:
            return f"{self.word}:{value}"
        return self.value.quoted if not value or _WORD.match(value) else value


@dataclass(frozen=True)
class Search:
    """Terms that must all hold. With a problem there are none, and the search finds nothing."""

    terms: tuple[Term, ...] = ()
    problem: str = ""

    def without(self, index: int) -> "Search":
        return Search(self.terms[:index] + self.terms[index + 1 :])

    def replaced(self, index: int, term: Term, count: int = 1) -> "Search":
        """With this term in the place of one, or of so many."""
        return Search((*self.terms[:index], term, *self.terms[index + count :]))

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))


def parse(text: str) -> Search:
    if len(text) > MAX_LENGTH:
        return Search(problem=_too_long(len(text)))
    search = Search(tuple(_terms(text)))
    if len(search.terms) > MAX_TERMS:
        return Search(problem=f"A search has at most {MAX_TERMS} terms; this one has {len(search.terms):,}.")
    # Quoting can make the printed search longer than the typed one, and links are made of the printed one.
    if (printed := len(str(search))) > MAX_LENGTH:
        return Search(problem=_too_long(printed))
    return search


def _too_long(length: int) -> str:
    return f"A search has at most {MAX_LENGTH:,} characters; this one has {length:,}."


def _terms(text: str) -> Iterator[Term]:
    position = _skip(_SPACE, text, 0)
    while position < len(text):
        start = position
        word = _WORD.match(text, start)
        value, position = _value(text, word.end() if word else start)
        yield Term(word[1] if word else "", value, start, text[start:position])
        position = _skip(_SPACE, text, position)


def _value(text: str, position: int) -> tuple[Pattern, int]:
    """The value that starts here, and where it ends: at whitespace outside quotes."""
    parts = [""]
    while position < len(text) and not text[position].isspace():
        if quoted := _QUOTED.match(text, position):
            _add_quoted(parts, quoted[1])
            position = quoted.end()
        elif text[position] == "*":
            parts.append("")
            position += 1
        else:
            bare = _BARE.match(text, position)
            parts[-1] += bare[0] if bare else text[position]
            position = bare.end() if bare else position + 1
    return Pattern(tuple(parts)), position


def _add_quoted(parts: list[str], quoted: str) -> None:
    for escaped, wildcard, literal in _IN_QUOTES.findall(quoted):
        if wildcard:
            parts.append("")
        else:
            parts[-1] += escaped or literal


def _skip(what: re.Pattern[str], text: str, position: int) -> int:
    found = what.match(text, position)
    return found.end() if found else position
