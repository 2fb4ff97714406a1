"""One resource on one local port: each connection that comes gets a tunnel of its own."""

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable

from sdm.client import apology
from sdm.client.catalog import Entry
from sdm.client.tunnel import TunnelFailed
from sdm.contract.endings import Ending
from sdm.contract.reasons import Reason
from sdm.control_plane.refusals import ControlError
from sdm.transport.relay.ends import End
from sdm.transport.relay.handoff import HandOff, Outcome
from sdm.transport.relay.loop import Relay
from sdm.transport.streams import Stream

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_BACKLOG = 128
# Of one resource; a pool of connections has some hundred.
MAX_CONNECTIONS = 4_096

_USUAL = (Ending.CLIENT_LEFT, Ending.RESOURCE_LEFT)
_numbers = itertools.count(1)

Dial = Callable[[str], Awaitable[tuple[Stream, bytes]]]


class PortTaken(Exception):
    """Something else listens there."""


class Listener:
    def __init__(self, entry: Entry, dial: Dial, relay: Relay, changed: Callable[[], None]) -> None:
        self.entry = entry
        self._dial = dial
        self._relay = relay
        self._changed = changed
        self._socket: socket.socket | None = None
        self._out_of_breath: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        # By the relay's key.
        self._open_ones: set[str] = set()
        self._is_unused = asyncio.Event()
        # Why connections that are being opened come too late.
        self._too_late = ""
        # What went wrong with the last connection.
        self._problem = ""
        # It was that the control plane is not heard: nothing of it is left when it is.
        self._is_outage = False
        # Of the session that an administrator had ended when the last connection was made, or the port opened: what was
        # disconnected meanwhile begins without what was wrong before.
        self._known_cut = entry.cut_session_id

    @property
    def address(self) -> str:
        return f"{HOST}:{self.entry.local_port}"

    @property
    def problem(self) -> str:
        """Of the last connection; empty when it went well."""
        cut = self.entry.cut_session_id
        if cut and cut != self._known_cut and not self._problem:
            return Ending.ENDED_BY_ADMINISTRATOR.sentence
        return self._problem

    @property
    def works(self) -> bool:
        """As far as the last connection has shown, or a look at the cluster since; a cut says nothing of the next."""
        return self.is_listening and not self._problem and self.entry.is_served

    @property
    def is_listening(self) -> bool:
        """Not while the port that it moves to is taken: what is open goes on."""
        return self._socket is not None

    @property
    def connections(self) -> int:
        return len(self._open_ones)

    def open(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((HOST, self.entry.local_port))
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            raise PortTaken(f"{self.address} cannot be listened on: {error.strerror}.") from None
        sock.setblocking(False)
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock, self._accept)
        self._log_health("")

    def stop(self) -> None:
        """No new connections. Who has come already is told how it goes."""
        if self._socket is None:
            return
        self._accept()
        asyncio.get_running_loop().remove_reader(self._socket)
        if self._out_of_breath is not None:
            self._out_of_breath.cancel()
        self._socket.close()
        self._socket = None

    async def close(self, reason: str = "", *, within: float = 0) -> None:
        """So long, the control plane may refuse connections and the worker end them, in words; then they are cut.

        `reason` is for those that are still being opened then.
        """
        self.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._unused()
        self._too_late = reason
        opening = tuple(self._opening)
        for task in opening:
            task.cancel()
        for key in self._open_ones:
            self._relay.cut(key, Ending.CLIENT_LEFT, Ending.CLIENT_LEFT.sentence)
        await asyncio.gather(*opening, return_exceptions=True)

    async def _unused(self) -> None:
        while self._opening or self._open_ones:
            self._is_unused.clear()
            await self._is_unused.wait()

    def _accept(self) -> None:
        """Those who wait. At once and not by a coroutine, which could be cancelled with somebody in its hands."""
        listening, loop = self._socket, asyncio.get_running_loop()
        if listening is None:
            return
        for _ in range(_BACKLOG):
            try:
                sock, _ = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:  # out of descriptors, mostly: some will come back
                log.warning("A connection to %s could not be accepted: %s", self.entry.name, error)
                loop.remove_reader(listening)
                self._out_of_breath = loop.call_later(1, loop.add_reader, listening, self._accept)
                return
            self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        if len(self._opening) + len(self._open_ones) >= MAX_CONNECTIONS:
            sock.close()
            return
        task = asyncio.create_task(self._open(sock))
        self._opening.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._is_unused.set()

    async def _open(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        local = Stream(sock)
        try:
            tunnel, early = await self._dial(self.entry.resource_id)
        except (TunnelFailed, ControlError) as error:
            self.note(error)
            log.warning("%s: %s", self.entry.name, error)
            await self._apologise(local, str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not self._too_late:
                local.close()
                raise
            task.uncancel()  # there are last words, with a timeout of their own
            await self._apologise(local, self._too_late)
        except BaseException:
            local.close()
            raise
        else:
            self._known_cut = self.entry.cut_session_id
            self.note(None)
            self._join(local.detach(), tunnel.detach(), early)

    async def _apologise(self, local: Stream, message: str) -> None:
        try:
            with contextlib.suppress(OSError, TimeoutError):  # whoever asked may be gone
                await apology.send(local, self.entry.kind, message)
        finally:
            local.close()

    def _join(self, local: End, tunnel: End, early: bytes) -> None:
        key, loop = f"{self.entry.resource_id}/{next(_numbers)}", asyncio.get_running_loop()

        def ended(outcome: Outcome) -> None:
            """In the relay's thread."""
            with contextlib.suppress(RuntimeError):  # the agent has ended meanwhile
                loop.call_soon_threadsafe(self._forget, key, outcome)

        self._open_ones.add(key)
        self._relay.begin(key, local, HandOff(tunnel, from_upstream=early), ended)
        self._changed()

    def _forget(self, key: str, outcome: Outcome) -> None:
        self._open_ones.discard(key)
        self._is_unused.set()
        if outcome.ending not in _USUAL:
            log.info("%s: a connection ended: %s", self.entry.name, outcome.message)
        self._changed()

    def update(self, entry: Entry) -> None:
        """What the control plane says of the resource now. Who finds another port there has to `open` it."""
        before, self.entry = self.entry, entry
        if entry.local_port != before.local_port:
            log.info("%s: it moves from %s:%d to %s.", entry.name, HOST, before.local_port, self.address)
            self.stop()
        if entry.cut_session_id not in ("", before.cut_session_id):
            log.warning("%s: %s", entry.name, Ending.ENDED_BY_ADMINISTRATOR.sentence)
        self._log_health(before.health_problem)

    def _log_health(self, before: str) -> None:
        """What a worker says in the resource's own protocol is bytes of a session, and goes past here."""
        if self.entry.health_problem not in ("", before):
            log.warning("%s: at the last check: %s", self.entry.name, self.entry.health_problem)

    def forget_outage(self) -> None:
        if self._is_outage:
            self.note(None)

    def note(self, error: Exception | None) -> None:
        """What went wrong; None when nothing did."""
        self._is_outage = isinstance(error, ControlError) and error.reason is Reason.UNAVAILABLE
        problem = str(error) if error else ""
        if problem != self._problem:
            self._problem = problem
            self._changed()
