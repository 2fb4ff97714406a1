"""The kinds of filter a model can declare. Each turns a value into a condition on the model's rows."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum, auto
from functools import partial, reduce
from itertools import compress, product
from operator import ne, or_

from django.db.models import Exists, ManyToOneRel, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.lookups import IsNull

from sdm.contract import address
from search.grammar import Pattern

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.*]+\]|[\w.*-]+):[0-9]{1,5}")


class Matching(Enum):
    """What a value without `*` means for a text. Addresses, tags and ids are compared whole under both."""

    CONTAINS = auto()  # the console: part of the text
    EXACT = auto()  # the API: the whole text


class WrongValue(Exception):
    """The value can match nothing; the message says what could."""


@dataclass(frozen=True)
class Field(ABC):
    name: str
    _: KW_ONLY
    aliases: tuple[str, ...] = ()
    # Bare words are looked for in the fields that say so.
    free_text: bool = False
    # Names of filters that other lists have in its place.
    mistaken_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    @property
    def only_column(self) -> str:
        """The one column that the conditions are about, if it is one."""
        return ""

    @abstractmethod
    def condition(self, model: type[Model], value: Pattern, matching: Matching) -> Q:
        """The rows whose field fits a value that is not empty; WrongValue when there can be none."""

    def row_condition(self, model: type[Model], value: Pattern, matching: Matching) -> Q:
        """The same, to be asked of one row after the other: quick where a page full of them fits soon."""
        return self.condition(model, value, matching)

    def recognises(self, text: str) -> bool:
        """Whether a bare word looks so much like a value of this field that it was probably meant."""
        return False

    def could_have(self, value: Pattern, matching: Matching) -> bool:
        """Whether a bare word that finds nothing is worth looking for as a value of this field."""
        return True

    def respelled(self, model: type[Model], value: Pattern) -> Iterator[Pattern]:
        """Existing values that differ from this one in case alone, where case counts, the most alike first; one
        query at most."""
        return iter(())

    def wider(self, value: Pattern) -> Iterator[Pattern]:
        """Values that say less, the likelier ones first: what they find need not be what this one would find."""
        return iter(())

    def completions(self, model: type[Model], typed: str) -> Iterator[str]:
        """Existing values that go on from what was typed, best first, without an end; or none."""
        return iter(())


@dataclass(frozen=True)
class Text(Field):
    """A text column. With `folded`, the column holds `str.casefold()` of the text, and any case is found."""

    _: KW_ONLY
    column: str = ""
    folded: bool = False
    # Exact under both rules: an id is never looked for by a part of it.
    whole: bool = False

    @property
    def only_column(self) -> str:
        return self.column or self.name

    def condition(self, model: type[Model], value: Pattern, matching: Matching) -> Q:
        if self.folded:
            value = value.casefold()
        if matching is Matching.CONTAINS and not self.whole:
            value = value.anywhere()
        return fits(self.column or self.name, value)


@dataclass(frozen=True)
class Choice(Field):
    """A field with few values: each word that can be typed, in any case, and the rows it stands for."""

    words: Mapping[str, Q]
    _: KW_ONLY
    # What people see in place of a word; it can be typed as well.
    labels: Mapping[str, str] = field(default_factory=dict)
    # Part of a word is enough where the rule is `CONTAINS`: `type:ssh` finds every kind of SSH server.
    partial: bool = False

    def condition(self, model: type[Model], value: Pattern, matching: Matching) -> Q:
        found = self._found(value, matching)
        if not found:
            raise WrongValue(f"{self.name}: can be {', '.join(map(self._label, self.words))}.")
        return reduce(or_, found)

    def could_have(self, value: Pattern, matching: Matching) -> bool:
        return bool(self._found(value, matching))

    def completions(self, model: type[Model], typed: str) -> Iterator[str]:
        begins = Pattern((typed.casefold(), ""))
        return (word for word in self.words if self._fits(word, begins))

    def _found(self, value: Pattern, matching: Matching) -> list[Q]:
        wanted = value.casefold()
        if self.partial and matching is Matching.CONTAINS:
            wanted = wanted.anywhere()
        return [rows for word, rows in self.words.items() if self._fits(word, wanted)]

    def _fits(self, word: str, wanted: Pattern) -> bool:
        return any(wanted.matches(name.casefold()) for name in (word, self._label(word)))

    def _label(self, word: str) -> str:
        return self.labels.get(word, word)


@dataclass(frozen=True)
class Host(Text):
    """The host that a resource has in one column, its port in another: `host:port` is both, each whole."""

    _: KW_ONLY
    port: str = "port"

    @property
    def only_column(self) -> str:
        return ""

    def condition(self, model: type[Model], value: Pattern, matching: Matching) -> Q:
        host, port = _divided(value)
        if port is None:
            return super().condition(model, value, matching)
        host = _canonical(host) if host.is_literal else host.lower()
        return fits(self.column or self.name, host) & Q(**{self.port: port})

    def recognises(self, text: str) -> bool:
        return _HOST_AND_PORT.fullmatch(text) is not None

    def could_have(self, value: Pattern, matching: Matching) -> bool:
        # A part of it is looked for in every host there is.
        return "." in value.text or ":" in value.text


@dataclass(frozen=True)
class Address(Field):
    """An advertised address: `host:port` in one column and its host in another, both in canonical form.

    Nothing is made of a number: `10.0.0.021` and `10.0.0.21` are different hosts.
    """

    _: KW_ONLY
    address: str = "address"
    host: str = "host"

    def condition(self, model: type[Model], value: Pattern, matching: Matching) -> Q:
        value = _canonical(value) if value.is_literal else value.lower()
        if re.search(r":[0-9]+\Z", value.parts[-1]):
            return fits(self.address, value)
        in_host = fits(self.host, value)
        return in_host if value.is_literal else in_host | fits(self.address, value)

    def recognises(self, text: str) -> bool:
        return _HOST_AND_PORT.fullmatch(text) is not None


@dataclass(frozen=True)
class Tags(Field):
    """Tags in a table of their own with `key` and `value`, the relation named as the filter if not otherwise.

    `Key=Value` is that tag with that value, `Key=` with an empty value, `Key` the tag at all. Case counts.
    """

    _: KW_ONLY
    relation: str = ""

    def could_have(self, value: Pattern, matching: Matching) -> bool:
        # A bare word as a key is looked for in each row there is, and people who mean a tag write its `=`.
        return "=" in value.text

    def condition(self, model: type[Model], value: Pattern, matching: Matching) -> Q:
        relation = self._relation(model)
        if value.partition("=")[0].is_literal:
            # An owner has a key once, so a join doubles nothing, and costs half of what a subquery does.
            return _fitting(value, prefix=f"{relation.name}__")
        return Q(pk__in=_rows(relation).filter(_fitting(value)).values(relation.field.attname))

    def row_condition(self, model: type[Model], value: Pattern, matching: Matching) -> Q:
        # For a rare tag this is the slower way: at 100,000 clusters SQLite looks for 400 ms, and collects all
        # that have it in half of one. For a tag that 40,000 have it is the other way round: 1 ms against 60.
        relation = self._relation(model)
        owner, row = relation.field.attname, OuterRef("pk")
        key, wanted = value.partition("=")
        if wanted is not None and key.is_literal and wanted.is_literal:
            # Said so, SQLite takes the index that has the value, and not the one of the keys, which has not.
            its = Q(**{f"{owner}__gte": row, f"{owner}__lte": row})
        else:
            its = Q(**{owner: row})
        tags = _rows(relation).filter(its, _fitting(value)).order_by()
        # Not EXISTS, of which PostgreSQL makes a join with all that have it.
        return Q(IsNull(Subquery(tags.values("key")[:1]), False))

    def respelled(self, model: type[Model], value: Pattern) -> Iterator[Pattern]:
        if not value.is_literal:
            return
        key, equals, wanted = value.text.partition("=")
        spelled = (f"{k}{equals}{v}" for k, v in product(_spellings(key), _spellings(wanted)))
        others = [Pattern((text,)) for text in spelled if text != value.text]
        if not others:
            return
        others.sort(key=partial(_differences, value))
        # Each is looked for in the index by itself, and any one row carries all the answers: none of the many tags
        # that have the same spelling is gone through to find the others.
        tags = _rows(self._relation(model)).order_by()
        exist = tags.values_list(*(Exists(tags.filter(_fitting(other))) for other in others))[:1]
        for answers in exist:
            yield from compress(others, answers)

    def wider(self, value: Pattern) -> Iterator[Pattern]:
        key, wanted = value.partition("=")
        if wanted is None or key.is_empty:
            return
        yield from (Pattern((other,)) for other in _spellings(key.text)) if key.is_literal else (key,)

    def completions(self, model: type[Model], typed: str) -> Iterator[str]:
        tags = _rows(self._relation(model))
        key, has_value, value = typed.partition("=")
        if has_value:
            return (f"{key}={found}" for found in _distinct(tags.filter(key=key), "value", value))
        return (f"{found}=" for found in _distinct(tags, "key", key))

    def _relation(self, model: type[Model]) -> ManyToOneRel:
        relation = model._meta.get_field(self.relation or self.name)
        if not isinstance(relation, ManyToOneRel):
            raise TypeError(f"{model.__name__}.{relation.name} is not a table of tags.")
        return relation


def _fitting(value: Pattern, prefix: str = "") -> Q:
    """The tags that are meant by `Key=Value`, `Key=` or `Key`."""
    key, wanted = value.partition("=")
    condition = fits(f"{prefix}key", key)
    return condition if wanted is None else condition & fits(f"{prefix}value", wanted)


def fits(column: str, pattern: Pattern) -> Q:
    """Plain equality wherever it says the same: every database serves it from an ordinary index."""
    if pattern.is_literal:
        return Q(**{column: pattern.parts[0]})
    return Q(**{f"{column}__wildcard": pattern})


def _divided(value: Pattern) -> tuple[Pattern, int | None]:
    """Host and port. The colons of an IPv6 address without brackets divide nothing."""
    found = re.fullmatch(r"(.*):([0-9]{1,5})", value.parts[-1], re.DOTALL)
    host = Pattern((*value.parts[:-1], found[1])) if found else value
    if not found or host.is_empty or (":" in host.text and not host.text.endswith("]")):
        return value, None
    return host, int(found[2])


def _canonical(value: Pattern) -> Pattern:
    """A literal as an address or a host is stored; what is neither is nobody's, and stays as it is."""
    for canonical in (address.Address.parse, address.canonical_host):
        try:
            return Pattern((str(canonical(value.text)),))
        except ValueError:
            continue
    return value.lower()


def _rows(relation: ManyToOneRel) -> QuerySet[Model]:
    return relation.related_model._default_manager.all()


def _distinct(rows: QuerySet[Model], column: str, typed: str) -> Iterator[str]:
    """The column's different values that begin with what was typed, in the usual spellings of its case.

    Each is asked for by itself, as the first after the last one: a look into the index, where DISTINCT reads
    every row that has the value, be it a hundred thousand.
    """
    values = rows.order_by(column).values_list(column, flat=True)
    seen = set()
    for prefix in _spellings(typed):
        found = values.filter(**{f"{column}__gte": prefix}).first()
        # A database may sort by more than code points, so other spellings can stand between.
        while found is not None and found.casefold().startswith(prefix.casefold()):
            if found not in seen:
                seen.add(found)
                yield found
            found = values.filter(**{f"{column}__gt": found}).first()


def _spellings(text: str) -> list[str]:
    """The text as it is, and in the other usual cases."""
    first, rest = text[:1], text[1:]
    inside_kept = (first.upper() + rest, first.lower() + rest)
    return list(
        dict.fromkeys((text, text.capitalize(), text.upper(), text.lower(), text.title(), *inside_kept))
    )


def _differences(value: Pattern, spelling: Pattern) -> int:
    """In how many characters two spellings differ."""
    return sum(map(ne, value.text, spelling.text))
