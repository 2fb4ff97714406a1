"""What the control plane gives for a ticket: whom it is for, and what they reach, with its credentials."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from sdm.contract.v1 import workers_pb2 as pb


@dataclass(frozen=True, slots=True)
class Person:
    account_id: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Target:
    """A resource as a worker speaks to it. `config` and `credentials` are the fields of its kind's form, by name."""

    resource_id: str
    name: str
    kind: str
    hostname: str
    port: int
    username: str
    config: Mapping[str, Any]
    credentials: Mapping[str, bytes] = field(repr=False)

    def flag(self, name: str, *, default: bool = False) -> bool:
        return bool(self.config.get(name, default))

    def text(self, name: str) -> str:
        return str(self.config.get(name) or "")

    def secret(self, name: str) -> str | None:
        """A credential that is text; None when there is none."""
        found = self.credentials.get(name)
        return None if found is None else found.decode()

    @classmethod
    def read(cls, target: pb.Target) -> "Target":
        return cls(
            target.resource_id,
            target.name,
            target.kind,
            target.hostname,
            target.port,
            target.username,
            json.loads(target.config) if target.config else {},
            dict(target.credentials),
        )


@dataclass(frozen=True, slots=True)
class Lease:
    person: Person
    target: Target
    # When the access is over; None when no end is set.
    ends_at: dt.datetime | None
    # By which the workers of the cluster know each other's cancel keys.
    cancel_secret: bytes = field(repr=False, default=b"")

    @classmethod
    def read(cls, response: pb.GetLeaseResponse) -> "Lease":
        person = Person(response.person.account_id, response.person.email, response.person.name)
        return cls(
            person,
            Target.read(response.target),
            moment(response.ends_at) if response.HasField("ends_at") else None,
            response.cancel_secret,
        )


def moment(stamp: Timestamp) -> dt.datetime:
    return stamp.ToDatetime(dt.UTC)
