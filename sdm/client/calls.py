"""The calls of sdm.contract.v1.Clients, each with its proof, its deadline, and its refusal as a ControlError."""

import datetime as dt
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
from sdm.control_plane.refusals import ControlError, answer, refusal
from sdm.pki import csr
from sdm.version import VERSION

if TYPE_CHECKING:
    from sdm.contract.v1.clients_pb2_grpc import ClientsAsyncStub

TIMEOUT = 10.0
_SERVICE = "/sdm.contract.v1.Clients"


class Calls:
    def __init__(self, channel: aio.Channel, name: str) -> None:
        self._stub: ClientsAsyncStub = ClientsStub(channel)
        self._name = name

    # --- Signing in ---

    async def begin_login(self, host_name: str) -> pb.BeginLoginResponse:
        request = pb.BeginLoginRequest(host_name=host_name, version=VERSION)
        return await answer(self._stub.BeginLogin(request, timeout=TIMEOUT), self._name)

    async def finish_login(self, begun: pb.BeginLoginResponse, request_pem: str) -> pb.FinishLoginResponse:
        request = pb.FinishLoginRequest(
            login_id=begun.login_id, secret=begun.secret, certificate_request=request_pem.encode()
        )
        return await answer(self._stub.FinishLogin(request, timeout=TIMEOUT), self._name)

    async def login_with_token(self, token: str, request_pem: str, host_name: str) -> pb.FinishLoginResponse:
        request = pb.LoginWithTokenRequest(
            token=token, certificate_request=request_pem.encode(), host_name=host_name, version=VERSION
        )
        return await answer(self._stub.LoginWithToken(request, timeout=TIMEOUT), self._name)

    # --- Afterwards ---

    async def renew(self, me: Identity) -> Identity:
        key = csr.new_key()
        request = workers_pb2.RenewRequest(certificate_request=csr.new_csr(key).encode())
        call = self._stub.Renew(
            request, timeout=TIMEOUT, metadata=_proof(me, "Renew", request.SerializeToString())
        )
        response = await answer(call, self._name)
        certificate = x509.load_pem_x509_certificate(response.certificate.chain)
        return Identity(me.control_plane, me.person, key, certificate, me.ends_at)

    async def logout(self, me: Identity) -> None:
        request = pb.LogoutRequest()
        metadata = _proof(me, "Logout", request.SerializeToString())
        await answer(self._stub.Logout(request, timeout=TIMEOUT, metadata=metadata), self._name)

    async def catalog(self, me: Identity) -> AsyncIterator[pb.Catalog]:
        """The catalog now, and again after each change. It ends with a ControlError, never by itself."""
        request = pb.WatchCatalogRequest()
        try:
            metadata = _proof(me, "WatchCatalog", request.SerializeToString())
            async for catalog in self._stub.WatchCatalog(request, metadata=metadata):
                yield catalog
        except aio.AioRpcError as error:
            raise refusal(error, self._name) from None
        raise ControlError(Reason.UNAVAILABLE, f"The control plane at {self._name} closed the stream.")

    async def ticket(self, me: Identity, resource_id: str) -> pb.GetTicketResponse:
        request = pb.GetTicketRequest(resource_id=resource_id)
        metadata = _proof(me, "GetTicket", request.SerializeToString())
        return await answer(self._stub.GetTicket(request, timeout=TIMEOUT, metadata=metadata), self._name)


def person_of(message: workers_pb2.Person) -> Person:
    return Person(message.account_id, message.email, message.name)


def _proof(me: Identity, method: str, request: bytes) -> tuple[tuple[str, str], ...]:
    value = proof.of_call(
        me.key, me.certificate, method=f"{_SERVICE}/{method}", request=request, at=dt.datetime.now(dt.UTC)
    )
    return ((proof.CLIENT_METADATA, value),)
