"""What every call of a worker that has joined begins with: its proof."""

from google.protobuf.message import Message

from api import callers
from api.calls import Context, Threads
from clusters.models import Worker
from sdm.contract import proof
from sdm.contract.proof import Proof
from sdm.contract.v1 import workers_pb2 as v1
from sdm.contract.v1.workers_pb2_grpc import WorkersServicer


class ProvedCalls(WorkersServicer):
    def __init__(self, *, threads: Threads) -> None:
        self._threads = threads
        service = v1.DESCRIPTOR.services_by_name["Workers"].full_name
        self._proofs = callers.Proofs(service, proof.METADATA)

    async def _caller(
        self, context: Context, method: str, request: Message | None = None
    ) -> tuple[Worker, Proof]:
        """Who calls; Refused when that is not proved, or it may not go on."""
        given = self._proofs.of(context, method, request)
        return await self._threads.run(callers.worker_of, given), given
