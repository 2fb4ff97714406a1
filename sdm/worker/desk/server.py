"""The desk in the link process: leases and live sessions of all fronts.

Leases are kept in memory for as long as the control plane allows, and forgotten at once when it says that something
changed. Every live session is looked at again when it says so, every minute, and when it was away; while it is away
they go on until SDM_OFFLINE_GRACE is over.
"""

import asyncio
import base64
import contextlib
import hmac
import logging
import time
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from typing import Protocol

from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from sdm.contract.v1 import workers_pb2 as pb
from sdm.control_plane.refusals import ControlError
from sdm.worker.desk.leases import Leases, OwnRefusal
from sdm.worker.desk.messages import (
    MAX_LINE,
    Ask,
    BadMessage,
    Begun,
    Cut,
    Denied,
    Ended,
    Granted,
    Hello,
    Live,
    Message,
    Until,
    decode,
    encode,
)
from sdm.worker.desk.place import Place, is_ours

log = logging.getLogger(__name__)

CHECK_EVERY = 60.0
# As many as the control plane takes in one call.
BATCH = 500
_RETRY_AFTER = 1.0
_HELLO_TIMEOUT = 5.0
# A front that has only lost the way is back by then, with its sessions.
_BACK_WITHIN = 2.0
# When it is said how long sessions go on without the control plane: with so much left, in seconds.
_SAY_AT = (1800.0, 600.0, 60.0)

_TOO_MANY = (
    "{} of your sessions run through this worker, and nobody may have more at a time. Close some, and connect "
    "again."
)


class Control(Protocol):
    """What is asked of the control plane, where it cannot be had with a ControlError, and told to the request log."""

    async def get_lease(self, request: pb.GetLeaseRequest) -> pb.GetLeaseResponse: ...
    async def check_sessions(self, request: pb.CheckSessionsRequest) -> pb.CheckSessionsResponse: ...
    def lost(self, session_ids: Sequence[str]) -> None: ...


class _Front:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    @property
    def is_gone(self) -> bool:
        return self._writer.is_closing()

    def say(self, message: Message) -> None:
        self._writer.write(encode(message))


class _LiveSession:
    __slots__ = ("ends_at", "front", "has_begun", "session")

    def __init__(self, session: Live, front: _Front, ends_at: float | None) -> None:
        self.session = session
        self.front = front
        self.ends_at = ends_at
        self.has_begun = session.has_begun


class Desk:
    def __init__(self, control: Control, place: Place, *, offline_grace: float, share: int) -> None:
        """`share` is how many sessions a person may have at a time."""
        self._control = control
        self._place = place
        self._grace = offline_grace
        self._share = share
        self._leases = Leases(control.get_lease)
        self._live: dict[str, _LiveSession] = {}
        # How many of them each account has.
        self._held: Counter[str] = Counter()
        self._due = asyncio.Event()
        self._connected = False
        # Since when nobody says whether sessions may go on; None when somebody does. A link that stands is not enough:
        # who cuts it again and again would have them go on for ever.
        self._away_since: float | None = time.monotonic()
        self._said: set[float] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- For the link ---

    @property
    def session_ids(self) -> list[str]:
        return list(self._live)

    @property
    def seconds_left(self) -> float:
        """How long sessions would go on without the control plane."""
        if self._away_since is None:
            return self._grace
        return max(0.0, self._away_since + self._grace - time.monotonic())

    def recheck(self) -> None:
        """Who may reach what has changed."""
        self._leases.forget()
        self._due.set()

    def connected(self, up: bool) -> None:
        if up and not self._connected:
            self.recheck()  # what changed meanwhile was not announced to us
        self._connected = up
        if not up:
            self._is_away()

    def _is_away(self) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._welcome, sock=self._place.sock, limit=MAX_LINE)

    async def work(self) -> None:
        """Look after live sessions, for ever."""
        checked = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._due.wait()
            self._look_at_the_time()
            if not self._due.is_set() and time.monotonic() - checked < CHECK_EVERY:
                continue
            self._due.clear()
            checked = time.monotonic()
            if self._connected and not await self._check():
                await asyncio.sleep(_RETRY_AFTER)
                self._due.set()

    # --- Fronts ---

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Of a coroutine's task asyncio would have an error to tell when it is cancelled, which is how a link ends.
        self._keep(asyncio.create_task(self._meet(reader, writer)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        front = _Front(writer)
        try:
            # Before a word is read: others may say as much as they like.
            if not is_ours(writer.get_extra_info("socket")) or not await self._knows_the_word(reader):
                log.warning("Somebody else than a process of this worker has come to its desk.")
                return
            while line := await reader.readline():
                self._hear(decode(line), front)
        except (BadMessage, TimeoutError, OSError, ValueError) as error:
            log.warning("A process of this worker has left the desk: %s", error)
        finally:
            # It is gone, and its sessions with it; one that only lost the way says them again.
            held = {key: live.has_begun for key, live in self._live.items() if live.front is front}
            for session_id in held:
                self._strike(session_id)
            writer.close()
        await self._miss([session_id for session_id, has_begun in held.items() if has_begun])

    async def _miss(self, session_ids: Sequence[str]) -> None:
        """A process that was killed has told nobody how its sessions ended."""
        if session_ids:
            await asyncio.sleep(_BACK_WITHIN)
        lost = [session_id for session_id in session_ids if session_id not in self._live]
        if lost:
            log.warning("%d sessions ended with the process that held them.", len(lost))
            self._control.lost(lost)

    async def _knows_the_word(self, reader: asyncio.StreamReader) -> bool:
        async with asyncio.timeout(_HELLO_TIMEOUT):
            hello = decode(await reader.readline())
        return isinstance(hello, Hello) and hmac.compare_digest(
            str(hello.word).encode(), self._place.where.word.encode()
        )

    def _hear(self, message: Message, front: _Front) -> None:
        match message:
            case Ask():
                self._keep(asyncio.create_task(self._answer(message, front)))
            case Live():
                self._enter(_LiveSession(message, front, None))
                self._due.set()
            case Begun():
                if (live := self._live.get(message.session_id)) is not None:
                    live.has_begun = True
            case Ended():
                self._strike(message.session_id)

    def _enter(self, live: _LiveSession) -> None:
        """Of a front that has lost the way a session may be here already."""
        self._strike(live.session.session_id)
        self._live[live.session.session_id] = live
        self._held[live.session.account_id] += 1

    def _strike(self, session_id: str) -> None:
        live = self._live.pop(session_id, None)
        if live is not None:
            account_id = live.session.account_id
            self._held[account_id] -= 1
            if not self._held[account_id]:
                del self._held[account_id]

    async def _answer(self, ask: Ask, front: _Front) -> None:
        session = Live(ask.session_id, ask.account_id, ask.resource_id, ask.thumbprint)
        try:
            response = await self._leases.get(ask)
        except ControlError as error:
            front.say(denied(ask.session_id, error))
            return
        if front.is_gone:
            return
        if self._held[ask.account_id] >= self._share:
            front.say(denied(ask.session_id, OwnRefusal(Reason.TOO_MANY, _TOO_MANY.format(self._share))))
            return
        ends_at = response.ends_at.ToNanoseconds() / 1e9 if response.HasField("ends_at") else None
        # Before the front knows: what changes from now on concerns it.
        self._enter(_LiveSession(session, front, ends_at))
        front.say(Granted(ask.session_id, base64.b64encode(response.SerializeToString()).decode()))

    # --- Who may go on ---

    async def _check(self) -> bool:
        """Ask about all live sessions; False when it has to be tried again."""
        sessions, judged = [live.session for live in self._live.values()], 0
        try:
            for start in range(0, len(sessions), BATCH):
                batch = sessions[start : start + BATCH]
                request = pb.CheckSessionsRequest(sessions=[_asked(session) for session in batch])
                verdicts = (await self._control.check_sessions(request)).verdicts
                for verdict in verdicts:
                    self._obey(verdict)
                judged += len(verdicts)
        except ControlError as error:
            log.warning("Whether sessions may go on could not be asked: %s", error)
            self._is_away()
            return False
        self._away_since = None
        self._said.clear()
        if judged < len(sessions):
            log.warning(
                "The control plane could not decide whether %d sessions go on.", len(sessions) - judged
            )
        return judged >= len(sessions)

    def _obey(self, verdict: pb.SessionVerdict) -> None:
        live = self._live.get(verdict.session_id)
        if live is None:
            return
        if not verdict.may_go_on:
            live.front.say(Cut(verdict.session_id, verdict.reason, verdict.message))
            return
        ends_at = verdict.ends_at.ToNanoseconds() / 1e9 if verdict.HasField("ends_at") else None
        if ends_at != live.ends_at:
            live.ends_at = ends_at
            live.front.say(Until(verdict.session_id, ends_at))

    def _look_at_the_time(self) -> None:
        """How much longer sessions go on by themselves."""
        if self._away_since is None or not self._live:
            return
        left = self.seconds_left
        if not left:
            log.error("The control plane was out of reach for too long: %d sessions end.", len(self._live))
            for session_id, live in self._live.items():
                live.front.say(Cut(session_id, Ending.OFFLINE, Ending.OFFLINE.sentence))
            return
        passed = {mark for mark in (self._grace, *_SAY_AT) if left <= mark} - self._said
        if passed:
            self._said |= passed
            log.warning(
                "The control plane is out of reach. %d sessions go on for %d s at most (SDM_OFFLINE_GRACE).",
                len(self._live),
                left,
            )


def denied(session_id: str, error: ControlError) -> Denied:
    """A refusal of the control plane, as the client hears it."""
    if error.reason is Reason.NO_ACCESS:
        status = HTTPStatus.FORBIDDEN
    elif error.reason in (Reason.BAD_TICKET, Reason.NOT_LOGGED_IN, Reason.CLOCK):
        status = HTTPStatus.UNAUTHORIZED
    elif error.reason is Reason.TOO_MANY:
        status = HTTPStatus.TOO_MANY_REQUESTS
    else:
        status = HTTPStatus.SERVICE_UNAVAILABLE
    return Denied(session_id, int(status), str(error.reason), str(error), isinstance(error, OwnRefusal))


def _asked(session: Live) -> pb.LiveSession:
    return pb.LiveSession(
        session_id=session.session_id,
        account_id=session.account_id,
        resource_id=session.resource_id,
        client_thumbprint=session.thumbprint,
    )
