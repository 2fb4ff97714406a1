"""A control plane for clients, beside that for workers: people who may log in, and what they reach, in memory."""

import asyncio
import datetime as dt
import secrets
from collections.abc import AsyncIterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from grpc import aio

from sdm.contract import proof, ticket
from sdm.contract.reasons import Reason
from sdm.contract.ticket import Ticket
from sdm.contract.v1 import clients_pb2 as pb
from sdm.contract.v1 import workers_pb2 as v1
from sdm.contract.v1.clients_pb2_grpc import ClientsServicer, add_ClientsServicer_to_server
from sdm.pki import chain, csr, profiles
from sdm.pki.names import ClientName
from tests.worker.control_plane import DOMAIN, KEY_ID, ControlPlane, now, pem, refuse

TOKEN = "service-token"
LONG = dt.timedelta(days=1)


class Clients(ClientsServicer):
    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.account_id = f"a-{secrets.token_hex(8)}"
        # What the next FinishLogin says.
        self.state: pb.LoginState.ValueType = pb.LOGIN_STATE_PENDING
        self.entries: dict[str, pb.CatalogEntry] = {}
        # Of the cluster. Nobody is there.
        self.address = "127.0.0.1:1"
        self.calls: list[str] = []
        self.refusals: dict[str, tuple[Reason, str]] = {}
        self.lasts = LONG
        self.life: dt.timedelta | None = None
        self._changed = asyncio.Event()
        # Calls of these names are not answered until they are let go.
        self._held: dict[str, asyncio.Event] = {}

    # --- For tests ---

    def hold(self, name: str) -> None:
        self._held[name] = asyncio.Event()

    def let_go(self, name: str) -> None:
        self.plane.do(self._let_go(name))

    async def _let_go(self, name: str) -> None:
        self._held.pop(name).set()

    def offer(self, entry: pb.CatalogEntry) -> None:
        self.entries[entry.resource_id] = entry
        self.change()

    def take_away(self, resource_id: str) -> None:
        del self.entries[resource_id]
        self.change()

    def certificate(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Of somebody who is logged in."""
        key = csr.new_key()
        issued = self._issue(csr.new_csr(key).encode())
        return key, x509.load_pem_x509_certificate(issued.chain)

    def ends_at(self) -> dt.datetime:
        return now() + self.lasts

    def change(self) -> None:
        self.plane.do(self._change())

    async def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # --- The service ---

    async def BeginLogin(self, request: pb.BeginLoginRequest, context: Any) -> pb.BeginLoginResponse:
        await self._begin("BeginLogin", context)
        response = pb.BeginLoginResponse(
            login_id="lg-1",
            secret="word",  # of a test
            code="KDWP-7XQM",
            url="http://console.example.com/login",
            poll_seconds=1,
        )
        response.expires_at.FromDatetime(now() + dt.timedelta(minutes=10))
        return response

    async def FinishLogin(self, request: pb.FinishLoginRequest, context: Any) -> pb.FinishLoginResponse:
        await self._begin("FinishLogin", context)
        assert request.secret == "word"
        if self.state != pb.LOGIN_STATE_APPROVED:
            return pb.FinishLoginResponse(state=self.state)
        return self._logged_in(request.certificate_request)

    async def LoginWithToken(self, request: pb.LoginWithTokenRequest, context: Any) -> pb.FinishLoginResponse:
        await self._begin("LoginWithToken", context)
        if request.token != TOKEN:
            await refuse(context, Reason.BAD_TOKEN)
        return self._logged_in(request.certificate_request)

    async def Renew(self, request: v1.RenewRequest, context: Any) -> v1.RenewResponse:
        await self._begin("Renew", context)
        self._prove("Renew", request.SerializeToString(), context)
        return v1.RenewResponse(certificate=self._issue(request.certificate_request))

    async def Logout(self, request: pb.LogoutRequest, context: Any) -> pb.LogoutResponse:
        await self._begin("Logout", context)
        self._prove("Logout", b"", context)
        return pb.LogoutResponse()

    async def WatchCatalog(self, request: pb.WatchCatalogRequest, context: Any) -> AsyncIterator[pb.Catalog]:
        await self._begin("WatchCatalog", context)
        self._prove("WatchCatalog", b"", context)
        while True:
            news = self._changed
            yield pb.Catalog(person=self._person(), entries=self.entries.values())
            await news.wait()

    async def GetTicket(self, request: pb.GetTicketRequest, context: Any) -> pb.GetTicketResponse:
        await self._begin("GetTicket", context)
        certificate = self._prove("GetTicket", request.SerializeToString(), context)
        expires_at = now() + ticket.LIFETIME
        given = Ticket(
            secrets.token_hex(8),
            self.account_id,
            request.resource_id,
            self.plane.cluster_id,
            chain.fingerprint(certificate),
            expires_at,
        )
        response = pb.GetTicketResponse(
            ticket=ticket.sign(given, key=self.plane.ticket_key, key_id=KEY_ID),
            address=self.address,
            authorities=[pem(self.plane.workers.certificate)],
            cluster_id=self.plane.cluster_id,
        )
        response.expires_at.FromDatetime(expires_at)
        return response

    async def _begin(self, name: str, context: Any) -> None:
        self.calls.append(name)
        if name in self._held:
            await self._held[name].wait()
        if name in self.refusals:
            await refuse(context, *self.refusals[name])

    def _prove(self, method: str, request: bytes, context: Any) -> x509.Certificate:
        given = proof.read(dict(context.invocation_metadata())[proof.CLIENT_METADATA])
        given.check(f"/sdm.contract.v1.Clients/{method}", request)
        return given.certificate

    def _logged_in(self, request: bytes) -> pb.FinishLoginResponse:
        response = pb.FinishLoginResponse(
            state=pb.LOGIN_STATE_APPROVED, certificate=self._issue(request), person=self._person()
        )
        response.ends_at.FromDatetime(self.ends_at())
        return response

    def _person(self) -> v1.Person:
        return v1.Person(account_id=self.account_id, email="alice@example.com", name="Alice")

    def _issue(self, request: bytes) -> v1.Certificate:
        builder = profiles.leaf(
            ClientName(DOMAIN, self.account_id),
            key=csr.read(request),
            issuer=self.plane.clients.certificate,
            at=now(),
        )
        if self.life is not None:
            builder._not_valid_after = (now() + self.life).replace(tzinfo=None)
        leaf = self.plane.clients.sign(builder)
        certificate = v1.Certificate(chain=pem(leaf))
        certificate.not_after.FromDatetime(leaf.not_valid_after_utc)
        return certificate


class Plane(ControlPlane):
    def __init__(self) -> None:
        super().__init__()
        self.people = Clients(self)

    def serve_on(self, server: aio.Server) -> None:
        super().serve_on(server)
        add_ClientsServicer_to_server(self.people, server)
