"""The calls of sdm.contract.v1.Clients, each with its proof, its deadline, and its refusal as a ControlError."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from cryptography import x509
from grpc import aio

from sdm.client.identity import Identity, Person
from sdm.contract import proof
from sdm.contract.reasons import Reason
from sdm.contract.v1 import clients_pb2 as pb
from sdm.contract.v1 import workers_pb2
from sdm.contract.v1.clients_pb2_grpc import ClientsStub
from sdm.control_plane.proven import TIMEOUT, ProvenCalls
from sdm.control_plane.refusals import ControlError, answer, refusal
from sdm.pki import csr
from sdm.version import VERSION

if TYPE_CHECKING:
    from sdm.contract.v1.clients_pb2_grpc import ClientsAsyncStub

_SERVICE = "/sdm.contract.v1.Clients"


class Calls(ProvenCalls):
    def __init__(self, channel: aio.Channel, name: str) -> None:
        super().__init__(name, service=_SERVICE, metadata=proof.CLIENT_METADATA)
        self._stub: ClientsAsyncStub = ClientsStub(channel)

    # --- Signing in ---

    async def begin_login(self, host_name: str) -> pb.BeginLoginResponse:
        request = pb.BeginLoginRequest(host_name=host_name, version=VERSION)
        return await answer(self._stub.BeginLogin(request, timeout=TIMEOUT), self.name)

    async def finish_login(self, begun: pb.BeginLoginResponse, request_pem: str) -> pb.FinishLoginResponse:
        request = pb.FinishLoginRequest(
            login_id=begun.login_id, secret=begun.secret, certificate_request=request_pem.encode()
        )
        return await answer(self._stub.FinishLogin(request, timeout=TIMEOUT), self.name)

    async def login_with_token(self, token: str, request_pem: str, host_name: str) -> pb.FinishLoginResponse:
        request = pb.LoginWithTokenRequest(
            token=token, certificate_request=request_pem.encode(), host_name=host_name, version=VERSION
        )
        return await answer(self._stub.LoginWithToken(request, timeout=TIMEOUT), self.name)

    # --- Afterwards ---

    async def renew(self, me: Identity) -> Identity:
        key = csr.new_key()
        request = workers_pb2.RenewRequest(certificate_request=csr.new_csr(key).encode())
        response = await self.ask(me, "Renew", self._stub.Renew, request)
        certificate = x509.load_pem_x509_certificate(response.certificate.chain)
        return Identity(me.control_plane, me.person, key, certificate, me.ends_at)

    async def logout(self, me: Identity) -> None:
        await self.ask(me, "Logout", self._stub.Logout, pb.LogoutRequest())

    async def catalog(self, me: Identity) -> AsyncIterator[pb.Catalog]:
        """The catalog now, and again after each change. It ends with a ControlError, never by itself."""
        request = pb.WatchCatalogRequest()
        try:
            metadata = self.proof(me, "WatchCatalog", request.SerializeToString())
            async for catalog in self._stub.WatchCatalog(request, metadata=metadata):
                yield catalog
        except aio.AioRpcError as error:
            raise refusal(error, self.name) from None
        raise ControlError(Reason.UNAVAILABLE, f"The control plane at {self.name} closed the stream.")

    async def ticket(self, me: Identity, resource_id: str) -> pb.GetTicketResponse:
        request = pb.GetTicketRequest(resource_id=resource_id)
        return await self.ask(me, "GetTicket", self._stub.GetTicket, request)


def person_of(message: workers_pb2.Person) -> Person:
    return Person(message.account_id, message.email, message.name)
