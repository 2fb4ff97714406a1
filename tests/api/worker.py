"""A worker as the control plane sees one: it joins with real keys, signs its calls, and does nothing else."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import connection
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from sdm.contract import proof, reasons
from sdm.contract.keys import SecretKey
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as v1
from sdm.contract.v1.workers_pb2_grpc import WorkersStub
from sdm.pki import csr

if TYPE_CHECKING:  # it exists for type checkers alone
    from sdm.contract.v1.workers_pb2_grpc import WorkersAsyncStub

STARTED = v1.WorkerReport(state=v1.WORKER_STATE_STARTED)


@dataclass
class SimulatedWorker:
    stub: "WorkersAsyncStub"
    access_key: str
    secret: SecretKey
    host_name: str = "host-1"
    key: ec.EllipticCurvePrivateKey = field(default_factory=csr.new_key)
    # What its clock shows beside the real time.
    ahead: dt.timedelta = dt.timedelta(0)
    id: str = ""
    certificate: x509.Certificate | None = None

    @classmethod
    def at(cls, port: int, access_key: str, secret: SecretKey, **fields: Any) -> "SimulatedWorker":
        channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        return cls(WorkersStub(channel), access_key, secret, **fields)

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead

    async def application(self, **changes: Any) -> v1.RegisterRequest:
        challenge = await self.stub.GetChallenge(v1.GetChallengeRequest(access_key=self.access_key))
        request = csr.new_csr(self.key).encode()
        sent_at = Timestamp()
        sent_at.FromDatetime(self.now())
        fields: dict[str, Any] = {
            "access_key": self.access_key,
            "nonce": challenge.nonce,
            "signature": self.secret.sign(proof.registration(challenge.nonce, request)),
            "certificate_request": request,
            "host_name": self.host_name,
            "version": "1.2.3",
            "sent_at": sent_at,
        }
        return v1.RegisterRequest(**fields | changes)

    async def try_to_register(self, **changes: Any) -> v1.RegisterResponse:
        return await self.stub.Register(await self.application(**changes))

    async def register(self) -> v1.RegisterResponse:
        answer = await self.stub.Register(await self.application())
        self.id = answer.worker_id
        self.certificate = x509.load_pem_x509_certificate(answer.certificate.chain)
        return answer

    def metadata(self, method: str, request: Message | None = None) -> tuple[tuple[str, str], ...]:
        assert self.certificate is not None
        value = proof.of_call(
            self.key,
            self.certificate,
            method=f"/sdm.contract.v1.Workers/{method}",
            request=request.SerializeToString(deterministic=True) if request is not None else b"",
            at=self.now(),
        )
        return ((proof.METADATA, value),)

    async def heartbeat(self, report: v1.WorkerReport = STARTED) -> v1.HeartbeatResponse:
        return await self.stub.Heartbeat(report, metadata=self.metadata("Heartbeat", report))

    async def renew(self) -> v1.RenewResponse:
        request = v1.RenewRequest(certificate_request=csr.new_csr(self.key).encode())
        return await self.stub.Renew(request, metadata=self.metadata("Renew", request))

    @asynccontextmanager
    async def watching(self, report: v1.WorkerReport = STARTED) -> AsyncIterator["Stream"]:
        call = self.stub.Watch(metadata=self.metadata("Watch"))
        await call.write(report)
        try:
            yield Stream(call)
        finally:
            call.cancel()


@dataclass
class Stream:
    call: Any

    async def next(self, seconds: float = 5) -> v1.Instruction:
        async with asyncio.timeout(seconds):
            instruction: v1.Instruction = await self.call.read()
            return instruction

    async def end(self, seconds: float = 5) -> Reason | None:
        """Read to the end, and give the reason for it."""
        async with asyncio.timeout(seconds):
            with suppress(grpc.aio.AioRpcError):
                while await self.call.read() is not grpc.aio.EOF:
                    pass
            return reason_in(await self.call.trailing_metadata())


def reason_in(metadata: Any) -> Reason | None:
    found = [value for name, value in metadata or () if name == reasons.METADATA]
    return Reason(found[0]) if found else None


async def refusal(call: Any) -> tuple[Reason | None, str]:
    """Why a call was refused, and in which words."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return reason_in(error.trailing_metadata()), error.details() or ""
    raise AssertionError("it was not refused")


async def eventually(look: Callable[[], Any], seconds: float = 5) -> Any:
    """What `look` gives as soon as it gives anything; it may use the database."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := await asyncio.to_thread(with_database_closed, look)):
        assert asyncio.get_running_loop().time() < deadline, "it did not happen"
        await asyncio.sleep(0.05)
    return found


async def act(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(with_database_closed, work)


def with_database_closed(look: Callable[[], Any]) -> Any:

    try:
        return look()
    finally:
        connection.close()
