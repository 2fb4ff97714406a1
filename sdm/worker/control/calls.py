"""The calls of sdm.contract.v1.Workers, each with its proof, its deadline, and its refusal as a ControlError."""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from sdm.contract import proof
from sdm.contract.keys import SecretKey
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as pb
from sdm.contract.v1.workers_pb2_grpc import WorkersStub
from sdm.control_plane.proven import TIMEOUT, ProvenCalls
from sdm.control_plane.refusals import ControlError, answer, refusal
from sdm.pki import csr, names
from sdm.pki.names import WorkerName
from sdm.worker.channel import Identity

if TYPE_CHECKING:
    from sdm.contract.v1.workers_pb2_grpc import WorkersAsyncStub

# A portion of the request log is stored while others are, too.
_DELIVERY_TIMEOUT = 30.0
_SERVICE = "/sdm.contract.v1.Workers"


@dataclass(frozen=True, slots=True)
class Me:
    """Who this worker is: its key and its certificate."""

    worker_id: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: bytes

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.chain)

    @property
    def name(self) -> WorkerName:
        """As the certificate says."""
        found = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        name = names.parse(found.get_values_for_type(x509.UniformResourceIdentifier)[0])
        if not isinstance(name, WorkerName):
            raise TypeError("a worker's certificate names a worker")
        return name

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def as_identity(self, pins: list[str]) -> Identity:
        return Identity(self.worker_id, self.chain.decode(), self.key_pem, pins)

    @classmethod
    def of(cls, identity: Identity) -> "Me":
        key = load_pem_private_key(identity.key.encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("a worker's key is of an elliptic curve")
        return cls(identity.worker_id, key, identity.chain.encode())


class Calls(ProvenCalls):
    def __init__(self, channel: aio.Channel, name: str) -> None:
        super().__init__(name, service=_SERVICE, metadata=proof.METADATA)
        self._stub: WorkersAsyncStub = WorkersStub(channel)

    async def challenge(self, access_key: str) -> pb.GetChallengeResponse:
        request = pb.GetChallengeRequest(access_key=access_key)
        return await answer(self._stub.GetChallenge(request, timeout=TIMEOUT), self.name)

    async def register(
        self, *, access_key: str, secret_key: SecretKey, host_name: str, version: str, window_start: int
    ) -> tuple[Me, pb.RegisterResponse]:
        nonce = (await self.challenge(access_key)).nonce
        key = csr.new_key()
        request = csr.new_csr(key).encode()
        now = Timestamp()
        now.FromDatetime(dt.datetime.now(dt.UTC))
        registration = pb.RegisterRequest(
            access_key=access_key,
            nonce=nonce,
            signature=secret_key.sign(proof.registration(nonce, request)),
            certificate_request=request,
            host_name=host_name,
            version=version,
            sent_at=now,
            maintenance_window_start=window_start,
        )
        response = await answer(self._stub.Register(registration, timeout=TIMEOUT), self.name)
        return Me(response.worker_id, key, response.certificate.chain), response

    async def heartbeat(self, me: Me, report: pb.WorkerReport, *, seconds: float = TIMEOUT) -> pb.Instruction:
        return (await self.ask(me, "Heartbeat", self._stub.Heartbeat, report, seconds)).instruction

    async def renew(self, me: Me) -> Me:
        key = csr.new_key()
        request = pb.RenewRequest(certificate_request=csr.new_csr(key).encode())
        response = await self.ask(me, "Renew", self._stub.Renew, request)
        return Me(me.worker_id, key, response.certificate.chain)

    async def get_lease(self, me: Me, request: pb.GetLeaseRequest) -> pb.GetLeaseResponse:
        return await self.ask(me, "GetLease", self._stub.GetLease, request)

    async def check_sessions(self, me: Me, request: pb.CheckSessionsRequest) -> pb.CheckSessionsResponse:
        return await self.ask(me, "CheckSessions", self._stub.CheckSessions, request)

    async def list_targets(self, me: Me) -> pb.ListTargetsResponse:
        return await self.ask(me, "ListTargets", self._stub.ListTargets, pb.ListTargetsRequest())

    async def get_target(self, me: Me, resource_id: str) -> pb.GetTargetResponse:
        request = pb.GetTargetRequest(resource_id=resource_id)
        return await self.ask(me, "GetTarget", self._stub.GetTarget, request)

    async def report_health(self, me: Me, request: pb.ReportHealthRequest) -> None:
        await self.ask(me, "ReportHealth", self._stub.ReportHealth, request)

    async def deliver_records(self, me: Me, request: pb.DeliverRecordsRequest) -> None:
        await self.ask(me, "DeliverRecords", self._stub.DeliverRecords, request, _DELIVERY_TIMEOUT)

    async def watch(self, me: Me, reports: AsyncIterator[pb.WorkerReport]) -> AsyncGenerator[pb.Instruction]:
        """What the control plane tells us. It ends with a ControlError, never by itself.

        `reports` are sent from the first answer on: of what is sent while a refusal is on its way, gRPC makes an error
        of its own, and forgets the refusal.
        """
        call, sending = self._stub.Watch(metadata=self.proof(me, "Watch")), None
        try:
            async for instruction in call:
                sending = sending or asyncio.create_task(_send(call, reports))
                yield instruction
        except aio.AioRpcError as error:
            raise refusal(error, self.name) from None
        finally:
            if sending is not None:
                sending.cancel()
            call.cancel()
        raise ControlError(Reason.UNAVAILABLE, f"The control plane at {self.name} closed the stream.")


async def _send(
    call: "aio.StreamStreamCall[pb.WorkerReport, pb.Instruction]", reports: AsyncIterator[pb.WorkerReport]
) -> None:
    # That the stream has ended, and why, is for its reader to say.
    with suppress(aio.AioRpcError, asyncio.InvalidStateError):
        async for report in reports:
            await call.write(report)
