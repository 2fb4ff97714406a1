"""The agent's link to the control plane: the catalog as it is now, tickets, and a certificate that stays good."""

import asyncio
import contextlib
import datetime as dt
import logging
import secrets
import time
from collections.abc import Callable

from sdm.client import identity as identities
from sdm.client.calls import Calls
from sdm.client.catalog import Catalog
from sdm.client.home import Home, UnusableHome
from sdm.client.identity import Identity
from sdm.client.tickets import Permission, Tickets
from sdm.contract.reasons import Reason, Then
from sdm.control_plane.connection import connect
from sdm.control_plane.pauses import Pauses
from sdm.control_plane.refusals import ControlError, NoAnswer
from sdm.control_plane.together import together
from sdm.pki import profiles

log = logging.getLogger(__name__)

NOT_LOGGED_IN = "You are not authenticated. Please login again."
# A laptop that slept is noticed this soon.
_LONGEST_SLEEP = 30.0
# Who wants something when the control plane was heard so recently waits until it is again: a machine that has just
# woken hears it a moment later. A longer outage is told at once.
_PATIENCE = 5.0
# A call that fails may be the first sign that the link is lost, and is so by little.
_SIGN = 1.0
_chance = secrets.SystemRandom()


class Session:
    """For one identity, from signing in to signing out."""

    def __init__(self, home: Home, me: Identity, changed: Callable[[], None]) -> None:
        self._home = home
        self.me = me
        self._changed = changed
        self._calls: Calls | None = None
        # The same from its first catalog on: it is known to work. And since when it is, or is not.
        self._link: Calls | None = None
        self._link_since = time.monotonic()
        self._link_changed = asyncio.Event()
        self.tickets = Tickets(self._fetch_ticket)
        self.catalog = Catalog()
        # Set when the first catalog is there, or when it is known that none will come.
        self.settled = asyncio.Event()
        # Why the control plane is not heard; empty when it is.
        self.problem = ""
        self.over = False

    async def run(self) -> None:
        """Until the control plane will not have this identity any more, or it has come to its end."""
        pauses = Pauses()
        while not self.over:
            try:
                await self._connected(pauses)
            except ControlError as error:
                self.over = error.reason.then is not Then.RETRY or self.me.is_over(_now())
                self._note(NOT_LOGGED_IN if self.over else str(error))
                self.settled.set()
                log.warning("%s", error)
                if not self.over:
                    await asyncio.sleep(pauses.take())

    async def logout(self) -> None:
        if self._calls is None:
            raise ControlError(Reason.UNAVAILABLE, self.problem)
        await self._calls.logout(self.me)

    async def _connected(self, pauses: Pauses) -> None:
        async with connect(self.me.control_plane) as channel:
            self._calls = Calls(channel, str(self.me.control_plane))
            try:
                if _now() >= self.me.expires_at:  # this machine slept
                    await self._renew_once(self._calls)
                await together(self._watch(self._calls, pauses), self._renew(self._calls))
            except ExceptionGroup as group:
                errors = [error for error in group.exceptions if isinstance(error, ControlError)]
                if len(errors) < len(group.exceptions):
                    raise  # a fault of ours
                raise errors[0] from None
            finally:
                # Before the channel is closed: nobody may begin a call on it any more.
                self._calls = None
                self._set_link(None)

    async def _watch(self, calls: Calls, pauses: Pauses) -> None:
        async for message in calls.catalog(self.me):
            pauses.reset()
            self.catalog = Catalog.of(message)
            self.tickets.drop_all()
            self._set_link(calls)
            self.settled.set()
            self._note("")
            self._changed()

    async def _renew(self, calls: Calls) -> None:
        while True:
            due = min(profiles.renew_at(self.me.certificate, chance=_chance.random()), self.me.ends_at)
            await _until(due)
            if self.me.is_over(_now()):
                await _until(self.me.expires_at)
                raise ControlError(Reason.NOT_LOGGED_IN)
            await self._renew_once(calls)

    async def _renew_once(self, calls: Calls) -> None:
        self.me = await calls.renew(self.me)
        self.tickets.drop_all()
        try:
            await asyncio.to_thread(identities.save, self._home, self.me)
        except UnusableHome as error:  # it is good as long as this agent runs
            log.warning("The renewed certificate is not kept: %s", error)
        log.info("The certificate is renewed, until %s.", self.me.expires_at.isoformat())

    async def _fetch_ticket(self, resource_id: str) -> Permission:
        calls = await self._linked()
        try:
            return Permission.of(await calls.ticket(self.me, resource_id))
        except NoAnswer:
            if not await self._is_lost(calls):
                raise
        calls = await self._linked()
        return Permission.of(await calls.ticket(self.me, resource_id))

    async def _linked(self) -> Calls:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._link_since + _PATIENCE - time.monotonic()):
                while self._link is None:
                    await self._link_changed.wait()
        calls = self._link or self._calls
        if calls is None:
            raise ControlError(Reason.UNAVAILABLE, self.problem)
        return calls

    async def _is_lost(self, link: Calls) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SIGN):
                while self._link is link:
                    await self._link_changed.wait()
        return self._link is not link

    def _set_link(self, link: Calls | None) -> None:
        if link is not self._link:
            self._link, self._link_since = link, time.monotonic()
            self._link_changed.set()
            self._link_changed = asyncio.Event()

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._changed()


async def _until(moment: dt.datetime) -> None:
    while (left := (moment - _now()).total_seconds()) > 0:  # noqa: ASYNC110  # it waits for a time
        await asyncio.sleep(min(left, _LONGEST_SLEEP))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
