"""Calls of one service that prove who makes them, as workers' and clients' do (sdm.contract.proof)."""

import asyncio
import datetime as dt
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import Message

from sdm.contract import proof
from sdm.control_plane.refusals import NotTaken, answer

# Long enough for a control plane that restarts behind a balancer, short enough to try another.
TIMEOUT = 10.0
# Of one kind that many want at once, as leases and tickets. A server takes a hundred of all kinds on one connection.
AT_ONCE = 32
_AGAIN_AFTER = 0.05, 0.25
_chance = secrets.SystemRandom()

R = TypeVar("R")


class Holder(Protocol):
    """Who calls: a key, and the certificate for it."""

    @property
    def key(self) -> ec.EllipticCurvePrivateKey: ...
    @property
    def certificate(self) -> x509.Certificate: ...


class ProvenCalls:
    """`service` as in `/sdm.contract.v1.Workers`, `metadata` where the proof stands, `name` the control plane's."""

    def __init__(self, name: str, *, service: str, metadata: str) -> None:
        self.name = name
        self._service = service
        self._metadata = metadata

    def proof(self, me: Holder, method: str, request: bytes = b"") -> tuple[tuple[str, str], ...]:
        path, now = f"{self._service}/{method}", dt.datetime.now(dt.UTC)
        value = proof.of_call(me.key, me.certificate, method=path, request=request, at=now)
        return ((self._metadata, value),)

    async def ask(
        self,
        me: Holder,
        method: str,
        call: Callable[..., Awaitable[R]],
        request: Message,
        seconds: float = TIMEOUT,
    ) -> R:
        """The answer; ControlError when it is refused or fails. What was not taken waits its turn, for as long."""
        give_up_at = time.monotonic() + seconds
        while True:
            metadata = self.proof(me, method, request.SerializeToString())
            try:
                return await answer(call(request, timeout=seconds, metadata=metadata), self.name)
            except NotTaken:
                if time.monotonic() >= give_up_at:
                    raise
            await asyncio.sleep(_chance.uniform(*_AGAIN_AFTER))
