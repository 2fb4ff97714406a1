"""The service of `sdm` on people's machines (proto/sdm/contract/v1/clients.proto).

Calls become acts, and acts become answers.
"""

import asyncio
import datetime as dt
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account
from api import callers, client_messages, messages
from api.calls import Context, Threads, address_of, answering, decodable, from_source, refusing
from api.limits import ClientLimits
from api.streams import Closing, first_to_end
from clusters.workers import Refused
from connections.catalog import entries
from connections.tickets import ticket_issue
from events.hub import Hub, Subscription
from events.topics import ACCESS, HEALTH
from logins import services as logins
from logins.models import ClientLogin, PendingLogin
from logins.selectors import LoginOver, check_standing
from sdm.contract import proof
from sdm.contract.reasons import Reason
from sdm.contract.v1 import clients_pb2 as pb
from sdm.contract.v1 import workers_pb2 as v1
from sdm.contract.v1.clients_pb2_grpc import ClientsServicer
from sdm.pki import chain

POLL_SECONDS = 2
# A stream looks for itself as often, should no event have told it to.
LOOK_AFTER = 60.0
# Changes come in bursts, and thousands of clients hear of one: they do not all ask in the same moment.
SETTLE, SPREAD = 0.2, 0.4
# One agent has one; a few more while connections are replaced.
STREAMS_OF_A_LOGIN = 5


class Clients(ClientsServicer):
    def __init__(self, *, threads: Threads, hub: Hub, closing: Closing) -> None:
        self._threads = threads
        self._hub = hub
        self._closing = closing
        self._limits = ClientLimits()
        service = pb.DESCRIPTOR.services_by_name["Clients"].full_name
        self._proofs = callers.Proofs(service, proof.CLIENT_METADATA)
        self._streams: Counter[str] = Counter()

    # --- Signing in ---

    @answering
    async def BeginLogin(self, request: pb.BeginLoginRequest, context: Context) -> pb.BeginLoginResponse:
        self._limits.begin(logins.network_of(address_of(context) or None))
        begun = await self._threads.run(logins.login_begin, _machine(request, context))
        path = reverse("logins:approval", args=[begun.pending.pk])
        return pb.BeginLoginResponse(
            login_id=begun.pending.pk,
            secret=begun.secret,
            code=begun.pending.code,
            url=f"{settings.CONSOLE_URL}{path}",
            expires_at=messages.timestamp(begun.pending.expires_at),
            poll_seconds=POLL_SECONDS,
        )

    @answering
    async def FinishLogin(self, request: pb.FinishLoginRequest, context: Context) -> pb.FinishLoginResponse:
        network = logins.network_of(address_of(context) or None)
        self._limits.poll(network, request.login_id)
        try:
            found = await self._threads.run(
                logins.login_finish,
                login_id=client_messages.checked_id("lg", request.login_id),
                secret=request.secret,
                csr_pem=request.certificate_request,
            )
        except logins.UnknownLogin:
            self._limits.wrong(network)
            return pb.FinishLoginResponse(state=pb.LOGIN_STATE_EXPIRED)
        if isinstance(found, PendingLogin):
            denied = found.state == PendingLogin.State.DENIED
            return pb.FinishLoginResponse(state=pb.LOGIN_STATE_DENIED if denied else pb.LOGIN_STATE_PENDING)
        return client_messages.logged_in(found)

    @answering
    async def LoginWithToken(
        self, request: pb.LoginWithTokenRequest, context: Context
    ) -> pb.FinishLoginResponse:
        network = logins.network_of(address_of(context) or None)
        self._limits.poll(network)
        machine = _machine(request, context)
        log_in = from_source(context, machine.version, logins.login_with_token)
        try:
            logged_in = await self._threads.run(
                log_in, token=request.token, csr_pem=request.certificate_request, machine=machine
            )
        except logins.WrongToken:
            self._limits.wrong(network)
            raise
        return client_messages.logged_in(logged_in)

    # --- Afterwards ---

    @answering
    async def Renew(self, request: v1.RenewRequest, context: Context) -> v1.RenewResponse:
        given = self._proofs.of(context, "Renew", request)
        login = await self._threads.run(callers.login_renewing, given)
        self._limits.renew(login.pk)
        issued = await self._threads.run(logins.login_renew, login, csr_pem=request.certificate_request)
        return v1.RenewResponse(certificate=messages.certificate(issued))

    @answering
    async def Logout(self, request: pb.LogoutRequest, context: Context) -> pb.LogoutResponse:
        given = self._proofs.of(context, "Logout", request)
        login = await self._threads.run(callers.login_renewing, given)
        end = from_source(context, login.version, logins.login_end)
        await self._threads.run(end, actor=login.account, login=login)
        return pb.LogoutResponse()

    @answering
    async def GetTicket(self, request: pb.GetTicketRequest, context: Context) -> pb.GetTicketResponse:
        given = self._proofs.of(context, "GetTicket", request)
        login = await self._threads.run(_seen, given)
        self._limits.ticket(login.pk)
        issue = from_source(context, login.version, ticket_issue)
        issued = await self._threads.run(
            issue,
            login=login,
            resource_id=client_messages.checked_id("rs", request.resource_id),
            thumbprint=chain.fingerprint(given.certificate),
        )
        return client_messages.ticket(issued)

    # --- The catalog ---

    # Written through the context, as the workers' stream is. The published types know the other way.
    async def WatchCatalog(  # type: ignore[override]
        self, request: pb.WatchCatalogRequest, context: Context
    ) -> None:
        async with refusing(context):
            given = self._proofs.of(context, "WatchCatalog", decodable(request))
            login = await self._threads.run(_seen, given)
            with self._one_stream_of(login):
                async with self._hub.subscribe(ACCESS, HEALTH) as news:
                    await first_to_end(self._tell(login, news, context), self._closing.end())

    @contextmanager
    def _one_stream_of(self, login: ClientLogin) -> Iterator[None]:
        if self._streams[login.pk] >= STREAMS_OF_A_LOGIN:
            raise Refused(Reason.TOO_MANY)
        self._streams[login.pk] += 1
        try:
            yield
        finally:
            self._streams[login.pk] -= 1
            if not self._streams[login.pk]:
                del self._streams[login.pk]

    async def _tell(self, login: ClientLogin, news: Subscription, context: Context) -> None:
        """Until the login is over."""
        told = None
        while True:
            catalog = await self._threads.run(_catalog, login.pk)
            if catalog != told:
                await context.write(catalog)
            told = catalog
            await _something_new(news, login.account_id, told)


async def _something_new(news: Subscription, account_id: str, told: pb.Catalog) -> None:
    """Wait for an event that may concern this account, for an end that is near, or a while."""
    try:
        async with asyncio.timeout(_until_the_next_end(told)):
            async for event in news:
                if event.payload.get("account", account_id) == account_id:
                    break
        await asyncio.sleep(SETTLE + random.uniform(0, SPREAD))  # noqa: S311  # no secret
    except TimeoutError:
        return


def _until_the_next_end(told: pb.Catalog) -> float:
    now = timezone.now()
    ends = [entry.ends_at.ToDatetime(dt.UTC) for entry in told.entries if entry.HasField("ends_at")]
    return min([LOOK_AFTER, *(max((end - now).total_seconds(), 0) + SETTLE for end in ends)])


def _seen(given: proof.Proof) -> ClientLogin:
    login = callers.login_of(given)
    logins.login_seen(login)
    return login


@transaction.atomic
def _catalog(login_id: str) -> pb.Catalog:
    login = ClientLogin.objects.select_related("account").filter(pk=login_id).first()
    if login is None:
        raise LoginOver("This machine was logged out. Log in again with sdm login.")
    now = timezone.now()
    check_standing(login, now)
    account: Account = login.account
    return client_messages.catalog(account, entries(account, now))


def _machine(request: pb.BeginLoginRequest | pb.LoginWithTokenRequest, context: Context) -> logins.Machine:
    return logins.Machine(messages.host_name(request), messages.version(request), address_of(context) or None)
