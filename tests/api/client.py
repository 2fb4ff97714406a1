"""`sdm` on somebody's machine as the control plane sees it: it logs in, signs its calls, and does nothing else."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import Message

from accounts.models import Account
from logins.models import PendingLogin
from logins.services import login_decide
from sdm.contract import proof
from sdm.contract.v1 import clients_pb2 as pb
from sdm.contract.v1 import workers_pb2 as v1
from sdm.contract.v1.clients_pb2_grpc import ClientsStub
from sdm.pki import chain, csr
from tests.api.worker import Stream, with_database_closed

if TYPE_CHECKING:  # it exists for type checkers alone
    from sdm.contract.v1.clients_pb2_grpc import ClientsAsyncStub


@dataclass
class SimulatedClient:
    stub: "ClientsAsyncStub"
    host_name: str = "notebook-7"
    key: ec.EllipticCurvePrivateKey = field(default_factory=csr.new_key)
    certificate: x509.Certificate | None = None

    @classmethod
    def at(cls, port: int, **fields: Any) -> "SimulatedClient":
        channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        return cls(ClientsStub(channel), **fields)

    @property
    def thumbprint(self) -> str:
        assert self.certificate is not None
        return chain.fingerprint(self.certificate)

    def request(self) -> bytes:
        return csr.new_csr(self.key).encode()

    async def begin(self) -> pb.BeginLoginResponse:
        return await self.stub.BeginLogin(pb.BeginLoginRequest(host_name=self.host_name, version="1.2.3"))

    async def finish(self, begun: pb.BeginLoginResponse, **changes: Any) -> pb.FinishLoginResponse:
        fields: dict[str, Any] = {
            "login_id": begun.login_id,
            "secret": begun.secret,
            "certificate_request": self.request(),
        }
        return self._keep(await self.stub.FinishLogin(pb.FinishLoginRequest(**fields | changes)))

    async def log_in(self, account: Account) -> pb.FinishLoginResponse:
        """As `account`, who approves."""
        begun = await self.begin()
        await asyncio.to_thread(with_database_closed, lambda: decide(account, begun.login_id))
        return await self.finish(begun)

    async def with_token(self, token: str, **changes: Any) -> pb.FinishLoginResponse:
        fields: dict[str, Any] = {"token": token, "certificate_request": self.request(), "host_name": "ci-1"}
        return self._keep(await self.stub.LoginWithToken(pb.LoginWithTokenRequest(**fields | changes)))

    def _keep(self, answer: pb.FinishLoginResponse) -> pb.FinishLoginResponse:
        if answer.state == pb.LOGIN_STATE_APPROVED:
            self.certificate = x509.load_pem_x509_certificate(answer.certificate.chain)
        return answer

    def metadata(self, method: str, request: Message) -> tuple[tuple[str, str], ...]:
        assert self.certificate is not None
        value = proof.of_call(
            self.key,
            self.certificate,
            method=f"/sdm.contract.v1.Clients/{method}",
            request=request.SerializeToString(deterministic=True),
            at=dt.datetime.now(dt.UTC),
        )
        return ((proof.CLIENT_METADATA, value),)

    async def ticket(self, resource_id: str) -> pb.GetTicketResponse:
        request = pb.GetTicketRequest(resource_id=resource_id)
        return await self.stub.GetTicket(request, metadata=self.metadata("GetTicket", request))

    async def renew(self) -> v1.RenewResponse:
        request = v1.RenewRequest(certificate_request=self.request())
        answer = await self.stub.Renew(request, metadata=self.metadata("Renew", request))
        self.certificate = x509.load_pem_x509_certificate(answer.certificate.chain)
        return answer

    async def log_out(self) -> pb.LogoutResponse:
        request = pb.LogoutRequest()
        return await self.stub.Logout(request, metadata=self.metadata("Logout", request))

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["Stream"]:
        request = pb.WatchCatalogRequest()
        call = self.stub.WatchCatalog(request, metadata=self.metadata("WatchCatalog", request))
        try:
            yield Stream(call)
        finally:
            call.cancel()


def decide(account: Account, login_id: str, *, approve: bool = True) -> bool:
    return login_decide(actor=account, pending=PendingLogin.objects.get(pk=login_id), approve=approve)
