"""A worker that has joined, and the leases that it asks for."""

from typing import Any

from sdm.contract.v1 import workers_pb2 as v1
from tests.api.client import SimulatedClient
from tests.api.conftest import Ground
from tests.api.worker import SimulatedWorker


async def joined(ground: Ground, **fields: Any) -> SimulatedWorker:
    worker = ground.worker(**fields)
    await worker.register()
    return worker


async def lease(
    worker: SimulatedWorker, ticket: str, client: SimulatedClient, **changes: Any
) -> v1.GetLeaseResponse:
    fields: dict[str, Any] = {
        "ticket": ticket,
        "client_address": "192.0.2.7",
        "client_thumbprint": client.thumbprint,
    }
    request = v1.GetLeaseRequest(**fields | changes)
    return await worker.stub.GetLease(request, metadata=worker.metadata("GetLease", request))
