"""All sessions of one process: opened here, looked after, cut, and ended in the log."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.transport.relay.loop import Relay
from sdm.transport.streams import Stream
from sdm.worker import metrics
from sdm.worker.channel import Trusted
from sdm.worker.config import ClientAuth, Config
from sdm.worker.desk.client import DeskClient
from sdm.worker.desk.messages import Ask, Cut, Live, Until
from sdm.worker.desk.place import Where
from sdm.worker.protocols import KINDS, Kind
from sdm.worker.records import RequestLog
from sdm.worker.sessions.addresses import client_address
from sdm.worker.sessions.attempts import Attempt, Attempts
from sdm.worker.sessions.gate import Caller, Gate, Trust
from sdm.worker.sessions.lease import Lease
from sdm.worker.sessions.refusals import Refused, ended_meanwhile, unavailable, unreachable
from sdm.worker.sessions.request import TunnelRequest
from sdm.worker.sessions.session import Client, Session, new_session_id
from sdm.worker.spool import SpoolUnavailable
from sdm.worker.upstream import Unreachable

log = logging.getLogger(__name__)

# A kind that runs its session itself has so long to say why it ends.
FAREWELL = 1.0
_FLUSH_EVERY, _REST = 0.05, 1.0
# Timers of an event loop do not reach further.
_LONGEST_TIMER = 24 * 3600.0


class _Live:
    """A session that is there, or about to be."""

    __slots__ = ("caller", "ends", "handed_over", "patience", "session")

    def __init__(self, session: Session, caller: Caller) -> None:
        self.session = session
        self.caller = caller
        self.handed_over = False
        self.patience: asyncio.Timeout | None = None
        self.ends: asyncio.TimerHandle | None = None


class Sessions:
    def __init__(
        self, relay: Relay, request_log: RequestLog, counts: Counter[str], desk: Where, config: Config
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._relay = relay
        self._log = request_log
        self._counts = counts
        self._direct = config.client_auth is ClientAuth.DIRECT
        self._balancers = config.forwarded_for_trusted
        self._gate: Gate | None = None
        self._worker_id = ""
        self._live: dict[str, _Live] = {}
        self._attempts = Attempts()
        self._leaving = False
        self._none_left = asyncio.Event()
        self.desk = DeskClient(desk, live=self._said, cut=self._obey, until=self._extend)

    def __len__(self) -> int:
        return len(self._live)

    def trust(self, trusted: Trusted) -> None:
        """From now on callers are judged like this."""
        self._worker_id = trusted.worker_id
        self._gate = Gate(
            Trust.of(
                trusted.cluster_id,
                trusted.ticket_keys,
                trusted.client_authorities,
                trusted.revoked_clients,
            )
        )

    async def serve(
        self,
        request: TunnelRequest,
        client: Client,
        stream: Stream,
        address: str,
        *,
        admitted: Callable[[], None],
    ) -> Refused | None:
        """A session, until it is over or the relay's; or why there is none, for the client to be told."""
        address = client_address(address, request.forwarded_for, self._balancers)
        try:
            caller = self._admit(request, stream)
            admitted()
            await self._open(request, caller, client, stream, address)
        except Refused as refused:
            self._counts[metrics.SESSION_REFUSED + refused.reason] += 1
            if refused.is_own:
                self._note(Attempt(refused, request, stream.certificate(), address))
            return refused
        return None

    async def work(self) -> None:
        """Beside the sessions, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.desk.stay())
            tasks.create_task(self._flush())

    async def _flush(self) -> None:
        """What sessions that are coroutines have added to the log; the relay does it for its own."""
        while True:
            await asyncio.sleep(_FLUSH_EVERY if self._live else _REST)
            self._say_what_was_left_out()
            self._log.flush()

    async def leave(self, seconds: float) -> None:
        """No new ones; those that are there have so long, and are told then."""
        self._leaving = True
        await self._wait(seconds)
        for live in list(self._live.values()):
            self._cut(live, Ending.WORKER_STOPPED, Ending.WORKER_STOPPED.sentence)
        await self._wait(FAREWELL + 0.5)
        self._say_what_was_left_out(so_far=True)

    # --- Who was refused ---

    def _note(self, attempt: Attempt) -> None:
        if self._attempts.take(attempt):
            self._log_attempt(attempt, 0)

    def _say_what_was_left_out(self, *, so_far: bool = False) -> None:
        for attempt, others in self._attempts.left_out(so_far=so_far):
            self._log_attempt(attempt, others)

    def _log_attempt(self, attempt: Attempt, others: int) -> None:
        if self._gate is None:
            return
        refused, request = attempt.refused, attempt.request
        self._log.session(new_session_id()).refused(
            refused.reason,
            str(refused),
            account_id=self._gate.proven(request, attempt.shown, direct=self._direct),
            resource_id=request.resource_id,
            worker_id=self._worker_id,
            client_address=attempt.client_address,
            left_out=others,
        )

    # --- One session ---

    def _admit(self, request: TunnelRequest, stream: Stream) -> Caller:
        if self._leaving or self._gate is None:
            raise unavailable(Ending.WORKER_STOPPED, Ending.WORKER_STOPPED.sentence)
        return self._gate.admit(request, stream.certificate(), direct=self._direct)

    async def _open(
        self, request: TunnelRequest, caller: Caller, client: Client, stream: Stream, address: str
    ) -> None:
        session_id = new_session_id()
        lease, kind = await self._lease(session_id, caller, address)

        async def accept(session: Session) -> None:
            self._begin(session)
            session.accepted = True
            await stream.send(request.welcome)

        session = Session(
            session_id,
            lease,
            client=client,
            client_address=address,
            log=self._log.session(session_id),
            accept=accept,
        )
        live = self._live[session_id] = _Live(session, caller)
        if lease.ends_at is not None:
            self._end_at(live, lease.ends_at.timestamp())
        try:
            found = await self._run(kind, live)
        except (Refused, asyncio.CancelledError):
            self._gone(live)
            raise
        except Exception:
            log.exception("Session %s ends by a fault of this worker's.", session_id)
            found = Outcome(Ending.PROTOCOL, "The worker could not go on with this session.")
        if isinstance(found, HandOff):
            self._hand_over(live, found, stream)
        else:
            self._ended(live, found)

    async def _lease(self, session_id: str, caller: Caller, address: str) -> tuple[Lease, Kind]:
        ticket = caller.ticket
        ask = Ask(
            session_id,
            ticket.account_id,
            ticket.resource_id,
            caller.thumbprint,
            caller.token,
            address,
            caller.proved,
        )
        lease = Lease.read(await self.desk.lease(ask))
        kind = KINDS.get(lease.target.kind)
        if kind is None:
            self.desk.ended(session_id)
            raise unavailable(
                Reason.UNAVAILABLE, f"This worker does not know resources of the kind {lease.target.kind}."
            )
        return lease, kind

    async def _run(self, kind: Kind, live: _Live) -> HandOff | Outcome:
        """What became of it; Refused when that has to be said in HTTP."""
        session = live.session
        try:
            async with asyncio.timeout(None) as live.patience:
                found = await kind.open(session)
        except Unreachable as error:
            return self._failed(
                session, Outcome(Ending.RESOURCE_UNREACHABLE, str(error)), unreachable(str(error))
            )
        except SpoolUnavailable:
            raise unavailable(Ending.LOG_UNAVAILABLE, Ending.LOG_UNAVAILABLE.sentence) from None
        except TimeoutError:
            if session.ending is None:
                raise
            return self._failed(
                session,
                Outcome(session.ending, session.farewell),
                ended_meanwhile(session.ending, session.farewell),
            )
        except OSError:
            return Outcome(Ending.CLIENT_LOST, Ending.CLIENT_LOST.sentence)
        finally:
            live.patience = None
        return found

    def _begin(self, session: Session) -> None:
        session.log.started(
            account_id=session.person.account_id,
            resource_id=session.target.resource_id,
            kind=session.target.kind,
            worker_id=self._worker_id,
            client_address=session.client_address,
            account_name=session.person.email,
            resource_name=session.target.name,
        )
        self.desk.begun(session.id)
        self._counts[metrics.SESSION_OPENED] += 1

    def _failed(self, session: Session, outcome: Outcome, refused: Refused) -> Outcome:
        """`refused` when it is still HTTP that the client hears. That somebody tried belongs into the log as well."""
        if session.accepted:
            return outcome
        with contextlib.suppress(SpoolUnavailable):
            self._begin(session)
            session.log.ended(outcome.ending, outcome.message)
        raise refused from None

    def _hand_over(self, live: _Live, handoff: HandOff, stream: Stream) -> None:
        session = live.session
        live.handed_over = True

        def ended(outcome: Outcome) -> None:
            """In the relay's thread."""
            session.log.ended(
                outcome.ending, outcome.message, bytes_sent=outcome.sent, bytes_received=outcome.received
            )
            self._loop.call_soon_threadsafe(self._gone, live, outcome)

        self._relay.begin(session.id, stream.detach(), handoff, ended)
        if session.ending is not None:  # meanwhile
            self._relay.cut(session.id, session.ending, session.farewell)

    def _ended(self, live: _Live, outcome: Outcome) -> None:
        live.session.log.ended(
            outcome.ending, outcome.message, bytes_sent=outcome.sent, bytes_received=outcome.received
        )
        self._gone(live, outcome)

    def _gone(self, live: _Live, outcome: Outcome | None = None) -> None:
        if self._live.pop(live.session.id, None) is None:
            return
        if live.ends is not None:
            live.ends.cancel()
        if outcome is not None:
            self._counts[metrics.SESSION_ENDED + outcome.ending] += 1
        self.desk.ended(live.session.id)
        if not self._live:
            self._none_left.set()

    # --- Cuts ---

    def _cut(self, live: _Live, ending: Ending, message: str) -> None:
        session = live.session
        if session.ending is not None:
            return
        session.cut(ending, message)
        if live.handed_over:
            self._relay.cut(session.id, ending, session.farewell)
        elif live.patience is not None:
            live.patience.reschedule(self._loop.time() + (FAREWELL if session.accepted else 0))

    def _obey(self, cut: Cut) -> None:
        live = self._live.get(cut.session_id)
        if live is None:
            self.desk.ended(cut.session_id)
            return
        try:
            ending = Ending(cut.reason)
        except ValueError:  # of a later version than ours
            ending = Ending.ACCESS_REMOVED
        self._cut(live, ending, cut.message)

    def _extend(self, until: Until) -> None:
        live = self._live.get(until.session_id)
        if live is not None:
            self._end_at(live, until.ends_at)

    def _end_at(self, live: _Live, ends_at: float | None) -> None:
        if live.ends is not None:
            live.ends.cancel()
            live.ends = None
        if ends_at is None:
            return
        left = ends_at - time.time()
        if left <= 0:
            self._cut(live, Ending.ACCESS_OVER, Ending.ACCESS_OVER.sentence)
        else:
            live.ends = self._loop.call_later(min(left, _LONGEST_TIMER), self._end_at, live, ends_at)

    # --- All of them ---

    def _said(self) -> Iterable[Live]:
        for session_id, live in self._live.items():
            ticket = live.caller.ticket
            yield Live(
                session_id,
                ticket.account_id,
                ticket.resource_id,
                live.caller.thumbprint,
                live.session.accepted,
            )

    async def _wait(self, seconds: float) -> None:
        if self._live:
            self._none_left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._none_left.wait()
