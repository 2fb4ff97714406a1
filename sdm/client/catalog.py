"""What the account reaches, as the control plane last said."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sdm.contract.v1 import clients_pb2 as pb


class NotFound(Exception):
    """No resource, or more than one, is meant by what was given; the message says which."""


@dataclass(frozen=True, slots=True)
class Entry:
    resource_id: str
    name: str
    kind: str
    category: str
    cluster: str
    local_port: int
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    healthy: bool | None = None
    ends_at: dt.datetime | None = None
    username: str = ""
    database: str = ""
    path: str = ""
    # Ended by an administrator a moment ago.
    cut_session_id: str = ""
    # What a worker found at the last check.
    health_problem: str = ""
    # Whether workers speak to its kind.
    is_served: bool = True

    @classmethod
    def of(cls, message: pb.CatalogEntry) -> "Entry":
        return cls(
            message.resource_id,
            message.name,
            message.kind,
            message.category,
            message.cluster_name,
            message.local_port,
            MappingProxyType(dict(message.tags)),
            message.healthy if message.HasField("healthy") else None,
            message.ends_at.ToDatetime(dt.UTC) if message.HasField("ends_at") else None,
            message.username,
            message.database,
            message.path,
            message.cut_session_id,
            message.health_problem,
            not message.unserved,
        )


class Catalog:
    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._by_id = {entry.resource_id: entry for entry in entries}

    @classmethod
    def of(cls, message: pb.Catalog) -> "Catalog":
        return cls(Entry.of(entry) for entry in message.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(sorted(self._by_id.values(), key=lambda entry: (entry.category, entry.name.casefold())))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, resource_id: str) -> Entry | None:
        return self._by_id.get(resource_id)

    def named(self, text: str) -> Entry:
        """The one with this id or name, or the only one whose name contains it; NotFound otherwise."""
        if entry := self._by_id.get(text):
            return entry
        wanted = text.casefold()
        exact = [entry for entry in self._by_id.values() if entry.name.casefold() == wanted]
        partly = [entry for entry in self._by_id.values() if wanted in entry.name.casefold()]
        found = exact or partly
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFound(f"Cannot find datasource: no resource that you have access to is called {text!r}.")
        names = ", ".join(sorted(entry.name for entry in found)[:5]) + (", …" if len(found) > 5 else "")
        raise NotFound(f"{text!r} is part of {len(found)} names: {names}. Give one of them in full.")
