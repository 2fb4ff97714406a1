"""Tickets of the control plane, each used as long as it is good."""

import asyncio
import datetime as dt
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sdm.contract.v1 import clients_pb2 as pb
from sdm.control_plane.proven import AT_ONCE
from sdm.transport.truncation import tell_truncation

# A ticket that ends on the way helps nobody.
_SPARE = dt.timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Permission:
    """What is needed to open a tunnel to one resource."""

    ticket: str = field(repr=False)
    expires_at: dt.datetime
    host: str
    port: int
    # PEM
    authorities: str
    cluster_id: str

    @classmethod
    def of(cls, message: pb.GetTicketResponse) -> "Permission":
        host, _, port = message.address.rpartition(":")
        authorities = b"".join(message.authorities).decode()
        return cls(
            message.ticket,
            message.expires_at.ToDatetime(dt.UTC),
            host.strip("[]"),
            int(port),
            authorities,
            message.cluster_id,
        )

    @property
    def where(self) -> str:
        """The cluster's address, for people and in HTTP."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def is_good(self, now: dt.datetime) -> bool:
        return now + _SPARE < self.expires_at


class Tickets:
    def __init__(self, fetch: Callable[[str], Awaitable[Permission]]) -> None:
        self._fetch = fetch
        self._held: dict[str, Permission] = {}
        # Of many connections at once, one asks.
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # A connection to each of a thousand resources is a thousand questions.
        self._limit = asyncio.Semaphore(AT_ONCE)

    async def get(self, resource_id: str) -> Permission:
        async with self._asking[resource_id]:
            held = self._held.get(resource_id)
            if held is None or not held.is_good(dt.datetime.now(dt.UTC)):
                async with self._limit:
                    held = self._held[resource_id] = await self._fetch(resource_id)
            return held

    def drop(self, resource_id: str) -> None:
        self._held.pop(resource_id, None)

    def drop_all(self) -> None:
        """They are bound to a certificate that is not used any more, or to access that has changed."""
        self._held.clear()


def trust(authorities: str) -> ssl.SSLContext:
    """The authorities of the clusters beside the public ones: a cluster may show a certificate of either."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    tell_truncation(context)
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context
