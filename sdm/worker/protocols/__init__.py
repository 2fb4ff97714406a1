"""The kinds of resource that a worker speaks to, one module each, which know nothing of one another.

`open` is given a session with a lease, speaks the protocol's start-up with both sides, and gives both away to the
relay; or it runs the whole session and says how it went. `check` connects, signs in and asks for something trivial.
"""

from collections.abc import Mapping
from typing import Protocol

from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.worker.protocols import http, postgres, raw_tcp
from sdm.worker.sessions.lease import Target
from sdm.worker.sessions.session import Session


class Kind(Protocol):
    async def open(self, session: Session) -> HandOff | Outcome:
        """Before `session.accept()`: Refused, or upstream's Unreachable, is answered in HTTP.

        Afterwards all failures are told in the resource's own protocol, and returned as an Outcome. What it has
        opened it closes, unless it gives it away.
        """

    async def check(self, target: Target) -> None:
        """Unreachable, with a sentence, when the resource is not healthy. The deadline is the caller's."""


# By the slugs of the console's resources/kinds/.
KINDS: Mapping[str, Kind] = {
    "httpAuth": http,
    "httpBasicAuth": http,
    "httpNoAuth": http,
    "postgres": postgres,
    "rawTCP": raw_tcp,
}
