"""The agent: a session with the control plane, listeners for what is connected, and answers to commands."""

import asyncio
import contextlib
import fcntl
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from typing import IO

from sdm.client import control, identity, status, tunnel
from sdm.client.catalog import Entry, NotFound
from sdm.client.control import Message
from sdm.client.home import Home, UnusableHome, read_json, write_json, writing
from sdm.client.listener import Listener, PortTaken
from sdm.client.session import NOT_LOGGED_IN, Session
from sdm.client.status import Lost
from sdm.client.tickets import Permission
from sdm.client.tunnel import TunnelFailed
from sdm.contract.endings import Ending
from sdm.control_plane.refusals import ControlError
from sdm.transport.relay.loop import Relay
from sdm.transport.streams import Stream

log = logging.getLogger(__name__)

# How long a command waits for the first catalog.
_PATIENCE = 8.0
# How long connections without access are left to those who end or refuse them in words; and at a logout.
_LAST_WORDS, _LOGOUT_WORDS = 5.0, 2.0
# Clusters of which `sdm connect` says whether they answer, and for how long it waits.
_TRIED_OUT, _TRY_OUT_TIMEOUT = 10, 3.0
# A worker's refusals that a new ticket can mend.
_STALE = (401, 403)


class AlreadyRunning(Exception):
    """Another agent has this directory."""


@contextmanager
def only_one(home: Home) -> Iterator[None]:
    with writing(home.lock):
        lock = open(home.lock, "w")  # noqa: SIM115  # closed below: what else fails is no matter of the directory
    with lock:
        _lock(lock)
        yield


def _lock(lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning("An agent runs already for this directory.") from None


class Agent:
    def __init__(self, home: Home, relay: Relay) -> None:
        self._home = home
        self._relay = relay
        self._session: Session | None = None
        self._listeners: dict[str, Listener] = {}
        # What the person wants connected, over restarts too.
        self._wanted: set[str] = set(_saved(home))
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self._reload = asyncio.Event()
        self._changes = asyncio.Condition()
        self._version = 0
        self._pending: set[asyncio.Task[None]] = set()
        self._is_logged_out = False
        # What was connected until it was taken away.
        self._lost: dict[str, Lost] = {}
        # Whether the control plane was, when something changed last.
        self._was_heard = False

    async def run(self, listening: Callable[[], None] = lambda: None) -> None:
        """Until cancelled, or logged out. `listening` is called as soon as commands are answered."""
        async with control.serving(self._home.socket, self.answer):
            listening()
            try:
                while not self._is_logged_out:
                    await self._live()
            finally:
                await self._close_all()

    async def _live(self) -> None:
        """With one identity, or without any, until another is given."""
        self._reload.clear()
        me = await asyncio.to_thread(identity.load, self._home)
        self._session = Session(self._home, me, self.changed) if me else None
        self._contexts.clear()
        self._lost.clear()
        self.changed()
        running = asyncio.create_task(self._session.run()) if self._session else None
        try:
            await self._reload.wait()
        finally:
            if running is not None:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running

    def changed(self) -> None:
        """Something that `status` shows is another than before."""
        self._begin(self._settle())

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _settle(self) -> None:
        is_heard = self._session is not None and not self._session.problem
        if is_heard and not self._was_heard:
            for listener in self._listeners.values():
                listener.forget_outage()
        self._was_heard = is_heard
        async with self._changes:
            await self._fit_listeners()
            self._version += 1
            self._changes.notify_all()

    # --- Listeners ---

    async def _fit_listeners(self) -> None:
        """Those that are wanted and can be had, and no others."""
        session = self._session
        reachable = {entry.resource_id: entry for entry in session.catalog} if session else {}
        for resource_id, listener in list(self._listeners.items()):
            entry = reachable.get(resource_id)
            if entry is not None and resource_id in self._wanted:
                listener.update(entry)
                continue
            del self._listeners[resource_id]
            listener.stop()
            if resource_id in self._wanted:
                self._begin(listener.close(self._lose(listener), within=_LAST_WORDS))
            else:
                self._begin(listener.close())  # who disconnects wants it now
        for resource_id in self._wanted - self._listening():
            if entry := reachable.get(resource_id):
                self._lost.pop(resource_id, None)
                self._open(entry)

    def _lose(self, listener: Listener) -> str:
        """Why, as far as it is known here."""
        if self._session is None or self._session.over:
            return NOT_LOGGED_IN
        self._lost[listener.entry.resource_id] = lost = Lost(listener.entry)
        log.warning("%s: %s", listener.entry.name, lost.problem)
        return lost.problem

    def _listening(self) -> set[str]:
        return {key for key, listener in self._listeners.items() if listener.is_listening}

    def _open(self, entry: Entry) -> None:
        # One whose port has changed keeps what is open.
        listener = self._listeners.get(entry.resource_id)
        listener = listener or Listener(entry, self._dial, self._relay, self.changed)
        try:
            listener.open()
        except PortTaken as error:
            log.warning("%s: %s", entry.name, error)
            return
        self._listeners[entry.resource_id] = listener

    async def _close_all(self, reason: str = "", *, within: float = 0) -> None:
        listeners, self._listeners = self._listeners, {}
        await asyncio.gather(*(listener.close(reason, within=within) for listener in listeners.values()))

    async def _dial(self, resource_id: str) -> tuple[Stream, bytes]:
        session = self._session
        if session is None or session.over:
            raise TunnelFailed(NOT_LOGGED_IN)
        try:
            return await self._dial_with(session, resource_id)
        except TunnelFailed as error:
            if error.status not in _STALE:
                raise
        # The ticket may be from before a change; the control plane says what is so now.
        session.tickets.drop(resource_id)
        return await self._dial_with(session, resource_id)

    async def _dial_with(self, session: Session, resource_id: str) -> tuple[Stream, bytes]:
        permission = await session.tickets.get(resource_id)
        return await tunnel.dial(resource_id, permission, session.me, self._context(permission, session))

    def _context(self, permission: Permission, session: Session) -> ssl.SSLContext:
        """One for each cluster and certificate: so that TLS sessions are resumed."""
        key = (permission.authorities, session.me.thumbprint)
        if key not in self._contexts:
            self._contexts.clear()
            self._contexts[key] = tunnel.context_for(permission, session.me)
        return self._contexts[key]

    async def _try_out(self, session: Session, chosen: Collection[str]) -> None:
        """Whether the clusters answer: better said now than by some tool, in its words."""
        listeners = [each for key, each in self._listeners.items() if key in chosen]
        by_cluster = {listener.entry.cluster: listener for listener in listeners}
        first = list(by_cluster.values())[:_TRIED_OUT]
        problems = dict(await asyncio.gather(*(self._try_one(session, listener.entry) for listener in first)))
        for listener in listeners:
            if listener.entry.cluster in problems:
                listener.note(problems[listener.entry.cluster])

    async def _try_one(self, session: Session, entry: Entry) -> tuple[str, Exception | None]:
        """What is wrong with its cluster; None if it answers."""
        try:
            permission = await session.tickets.get(entry.resource_id)
            await tunnel.try_out(permission, self._context(permission, session), _TRY_OUT_TIMEOUT)
        except (TunnelFailed, ControlError) as error:
            return entry.cluster, error
        return entry.cluster, None

    # --- Commands ---

    async def answer(self, request: Message) -> AsyncIterator[Message]:
        match request:
            case {"verb": "status", "watch": True}:
                async for snapshot in self._watch():
                    yield snapshot
            case {"verb": "status"}:
                await self._settled()
                yield self._status()
            case {"verb": "connect" | "disconnect" as verb, "names": list(names), "all": bool(everything)}:
                yield await self._switch(verb, [str(name) for name in names], everything=everything)
            case {"verb": "reload"}:
                self._reload.set()
                yield {"ok": True}
            case {"verb": "logout"}:
                yield await self._logout()
            case _:
                yield {"error": "This agent does not know that command. Is it older than this sdm?"}

    async def _settled(self) -> None:
        if self._session is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._session.settled.wait()
        async with self._changes:
            await self._fit_listeners()

    async def _watch(self) -> AsyncIterator[Message]:
        await self._settled()
        while True:
            seen = self._version
            yield self._status()
            async with self._changes:
                await self._changes.wait_for(lambda seen=seen: self._version != seen)  # type: ignore[misc]

    def _status(self) -> Message:
        return status.of_agent(self._session, self._listeners, self._wanted, self._lost, os.getpid())

    async def _switch(self, verb: str, names: list[str], *, everything: bool) -> Message:
        await self._settled()
        session = self._session
        if session is None or session.over:
            return {"error": NOT_LOGGED_IN, "reason": "not-logged-in"}
        try:
            entries = list(session.catalog) if everything else [session.catalog.named(name) for name in names]
        except NotFound as error:
            return {"error": session.problem or str(error), "reason": "not-found"}
        before, open_before = set(self._wanted), self._listening()
        chosen = {entry.resource_id for entry in entries}
        wanted = before | chosen if verb == "connect" else before - chosen
        try:
            write_json(self._home.connections, {"resources": sorted(wanted)})
        except UnusableHome as error:
            return {"error": str(error), "reason": "configuration"}
        self._wanted = wanted
        async with self._changes:
            await self._fit_listeners()
            self._version += 1
            self._changes.notify_all()
        if verb == "connect":
            await self._try_out(session, chosen)
        # Whose port was taken was wanted before, and not connected.
        already = open_before if verb == "connect" else {each.resource_id for each in entries} - before
        works = {key for key, listener in self._listeners.items() if listener.works}
        shown = self._status()["resources"]
        return {
            "resources": [
                resource | {"already": resource["id"] in already, "works": resource["id"] in works}
                for resource in shown
                if resource["id"] in chosen
            ]
        }

    async def _logout(self) -> Message:
        # An agent that was started for this has to find the control plane first.
        await self._settled()
        session, problem = self._session, ""
        if session is not None and not session.over:
            try:
                await session.logout()
            except ControlError as error:  # the identity is forgotten here whatever happens over there
                problem = str(error)
            await self._close_all(Ending.LOGGED_OUT.sentence, within=0 if problem else _LOGOUT_WORDS)
        await asyncio.to_thread(identity.forget, self._home)
        self._is_logged_out = True
        self._reload.set()
        return {"ok": True, "problem": problem}


def _saved(home: Home) -> list[str]:
    content = read_json(home.connections) or {}
    resources = content.get("resources", [])
    return [each for each in resources if isinstance(each, str)] if isinstance(resources, list) else []
