"""Cancel keys: what a client gets is the server's own, with its secret masked.

A CancelRequest comes on a connection of its own, which may end up at any worker of the cluster. Nobody there knows the
session, and nobody has to: the process id is the server's, as tools show it, and the mask is made of what every worker
of the cluster is told with the lease. It differs by account, resource and process, so that a key is of no use to
anybody else, and through no other resource.
"""

import asyncio
import hmac
import logging

from sdm.wire.postgres.cancel import CancelKey
from sdm.worker import upstream
from sdm.worker.protocols.postgres import server
from sdm.worker.sessions.lease import Lease, Target
from sdm.worker.upstream import Address, Unreachable

log = logging.getLogger(__name__)

TIMEOUT = 10.0
# The digest's length: no server that is spoken to in version 3.0 has more.
_LONGEST = 32
# The event loop itself does not hold on to them.
_running: set[asyncio.Task[None]] = set()


def masked(key: CancelKey, lease: Lease) -> CancelKey:
    """For the client; and of a client's key, the server's."""
    words = (lease.person.account_id, lease.target.resource_id, str(key.process_id))
    mask = hmac.digest(lease.cancel_secret, "\0".join(words).encode(), "sha256")
    secret = key.secret[:_LONGEST]
    return CancelKey(key.process_id, bytes(one ^ other for one, other in zip(secret, mask, strict=False)))


def cancel_soon(target: Target, key: CancelKey) -> None:
    """The same, without waiting for it."""
    task = asyncio.create_task(cancel(target, key))
    _running.add(task)
    task.add_done_callback(_running.discard)


async def cancel(target: Target, key: CancelKey) -> None:
    """Tell the server. A name may stand for several, and only the one with the process knows the key."""
    try:
        found = await upstream.addresses(target)
    except Unreachable as error:
        log.info("A query could not be canceled: %s", error)
        return
    async with asyncio.TaskGroup() as tasks:
        for address in found:
            tasks.create_task(_cancel_at(address, target, key))


async def _cancel_at(address: Address, target: Target, key: CancelKey) -> None:
    try:
        async with asyncio.timeout(TIMEOUT):
            stream = await server.secure(await upstream.connect_to(address), target)
            try:
                await stream.send(key.request())
                # The server closes when it has seen to it.
                await stream.receive(1)
            finally:
                stream.close()
    except (OSError, TimeoutError, Unreachable) as error:
        log.info("A query could not be canceled at %s:%d: %s", *address, error)
