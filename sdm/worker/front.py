"""A front process: takes connections from the shared listener and sees them through to their answer.

Silence costs little but a socket: a TLS object is made when the first record is there. Every step has a deadline,
and of those that are not through the oldest goes when there are too many, so that ten thousand peers that say nothing
do not keep out the one that does.
"""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import resource
import socket
import ssl
import time
from collections import Counter
from dataclasses import dataclass, replace

import uvloop

from sdm.transport.relay.loop import Relay
from sdm.transport.streams import Stream
from sdm.wire import proxy_protocol
from sdm.worker import tls
from sdm.worker.channel import Leave, Lines, Load, Settings, Trusted, encode
from sdm.worker.config import ClientAuth, Config, Network
from sdm.worker.desk.place import Where
from sdm.worker.http import Exchange
from sdm.worker.metrics import RECORDS_LOST
from sdm.worker.records import RequestLog
from sdm.worker.sessions import refusals
from sdm.worker.sessions import request as tunnel
from sdm.worker.sessions.session import Client
from sdm.worker.sessions.sessions import Sessions

log = logging.getLogger(__name__)

NOT_FOUND = (404, "Not Found", b"404 Not Found\n", "text/plain; charset=utf-8")
_ACCEPTS_AT_ONCE = 64
_CHUNK = 16 * 1024
_REPORT_EVERY = 1.0
_SWEEP_EVERY = 0.5
# Of peers that are refused for their PROXY headers the log names one in so many seconds.
_SAY_EVERY = 60.0
# Of descriptors or memory.
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# What a process needs besides its connections.
_OTHER_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True)
class Limits:
    # Connections that have not had their answer. Each holds a socket, and some 22 kB once TLS has begun.
    pending: int = 4096
    # Seconds from the first byte due to the end of the handshake; for the request; for the goodbye.
    handshake: float = 10
    request: float = 10
    goodbye: float = 2

    def within_descriptors(self) -> "Limits":
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return Limits(
            max(1, min(self.pending, soft - _OTHER_DESCRIPTORS)), self.handshake, self.request, self.goodbye
        )


class HeaderRefused(Exception):
    """The peer gets no answer: its PROXY header is missing, wrong or not wanted. The message follows its address."""


def main(
    listener: socket.socket,
    channel: socket.socket,
    config: Config,
    ticket_keys: bytes,
    request_log: RequestLog,
    desk: Where,
) -> None:
    """Until the supervisor says so, or is gone."""
    relay = Relay(request_log)
    relay.start()
    try:
        uvloop.run(_run(listener, channel, config, ticket_keys, request_log, desk, relay))
    finally:
        relay.stop()
        request_log.close()


async def _run(
    listener: socket.socket,
    channel: socket.socket,
    config: Config,
    ticket_keys: bytes,
    request_log: RequestLog,
    desk: Where,
    relay: Relay,
) -> None:
    counts: Counter[str] = Counter()
    sessions = Sessions(relay, request_log, counts, desk, config)
    front = Front(listener, config, ticket_keys, sessions, counts, Limits().within_descriptors())
    reader, writer = await asyncio.open_connection(sock=channel)
    works = (_report(front, request_log, writer), sessions.work(), _listen(reader, front, sessions))
    tasks = [asyncio.create_task(work) for work in works]
    for task in tasks:
        task.add_done_callback(_surface)
    try:
        await front.left.wait()
        writer.write(encode(front.load()))
        with contextlib.suppress(ConnectionError):  # the supervisor is gone
            await writer.drain()
    finally:
        for task in tasks:
            task.cancel()


async def _listen(reader: asyncio.StreamReader, front: "Front", sessions: Sessions) -> None:
    """What the supervisor says, also while we leave: that we may not see the rest through, for one."""
    lines = Lines()
    while data := await reader.read(1 << 16):
        for message in lines.feed(data):
            if isinstance(message, Settings):
                front.settle(message)
            elif isinstance(message, Trusted):
                sessions.trust(message)
            elif isinstance(message, Leave):
                front.leave(message.seconds)
    front.leave(0)  # the supervisor is gone, and nobody else would end us


def _surface(task: asyncio.Task[None]) -> None:
    """A fault of ours ends this process, and the supervisor starts it again."""
    if not task.cancelled() and (error := task.exception()):
        log.error("A front process failed.", exc_info=error)
        os._exit(1)


async def _report(front: "Front", request_log: RequestLog, writer: asyncio.StreamWriter) -> None:
    while True:
        load = front.load()
        load.counts[RECORDS_LOST] = request_log.lost
        writer.write(encode(replace(load, log_problem=request_log.problem)))
        await writer.drain()
        await asyncio.sleep(_REPORT_EVERY)


class Front:
    def __init__(
        self,
        listener: socket.socket,
        config: Config,
        ticket_keys: bytes,
        sessions: Sessions,
        counts: Counter[str],
        limits: Limits,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._trusted: tuple[Network, ...] = config.proxy_protocol_trusted
        self._ask_for_certificate = config.client_auth is ClientAuth.DIRECT
        self._ticket_keys = ticket_keys
        self._limits = limits
        self._context: ssl.SSLContext | None = None
        self._listening = False
        # Oldest first, each with the moment at which its patience ends: a timer of its own would cost a kilobyte.
        self._pending: dict[asyncio.Task[None], float] = {}
        # Those who may ask for what they ask for: they are no longer in a hurry.
        self._admitted: set[asyncio.Task[None]] = set()
        self._sessions = sessions
        self._counts = counts
        self._quiet_until = 0.0
        self._leaving: asyncio.Task[None] | None = None
        self.left = asyncio.Event()

    def load(self) -> Load:
        sessions = len(self._sessions)
        connections = len(self._pending) + sessions
        return Load(connections, time.process_time(), dict(self._counts), sessions=sessions)

    def settle(self, settings: Settings) -> None:
        """From now on new connections are served like this; those there are keep what they began with."""
        if settings.chain:
            self._context = tls.server_context(
                settings.chain.encode(),
                settings.key.encode(),
                ticket_keys=self._ticket_keys,
                ask_for_certificate=self._ask_for_certificate,
            )
        if not self._listening and self._leaving is None:
            self._listening = True
            self._loop.add_reader(self._listener.fileno(), self._accept)
            self._sweep()

    def leave(self, seconds: float) -> None:
        """Take no more connections, and see the rest through. What is said last holds: it may be sooner."""
        if self._leaving is not None:
            self._leaving.cancel()
        self._leaving = self._loop.create_task(self._leave(seconds))
        self._leaving.add_done_callback(_surface)

    async def _leave(self, seconds: float) -> None:
        """Take what the kernel has accepted for us, refuse what comes later, and end with the last."""
        if self._listening:
            while self._accept_one():  # closing the listener resets what is still in its queue
                pass
            self._loop.remove_reader(self._listener.fileno())
            self._listening = False
        self._listener.close()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sessions.leave(seconds))
            if self._pending:
                await asyncio.wait(list(self._pending), timeout=seconds)
        left = [*self._pending, *self._admitted]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        self.left.set()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            if not self._accept_one():
                return

    def _accept_one(self) -> bool:
        """Whether there may be more."""
        try:
            sock, address = self._listener.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True  # the peer has gone meanwhile
        except OSError as error:
            if error.errno in _SHORT:
                self._evict()  # somebody has to make room
            return False
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._pending) >= self._limits.pending:
            self._evict()
        task = self._loop.create_task(self._serve(sock, address[0]), name="connection")
        self._pending[task] = self._loop.time() + self._limits.handshake
        task.add_done_callback(self._done)
        return True

    def _evict(self) -> None:
        oldest = next(iter(self._pending), None)
        if oldest is not None:
            self._drop(oldest, "evicted")

    def _sweep(self) -> None:
        now = self._loop.time()
        for task in [task for task, end in self._pending.items() if end <= now]:
            self._drop(task, "timed_out")
        self._loop.call_later(_SWEEP_EVERY, self._sweep)

    def _drop(self, task: asyncio.Task[None], why: str) -> None:
        del self._pending[task]
        task.cancel()
        self._counts[why] += 1

    def _allow(self, seconds: float) -> None:
        """The running task has so long for what comes next."""
        task = asyncio.current_task()
        if task in self._pending:
            self._pending[task] = self._loop.time() + seconds

    def _admit(self) -> None:
        """The running task is a client's, and takes as long as its session."""
        task = asyncio.current_task()
        if task is not None and self._pending.pop(task, None) is not None:
            self._admitted.add(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._pending.pop(task, None)
        self._admitted.discard(task)
        if not task.cancelled() and (error := task.exception()):
            raise error  # no fault of the peer's: the loop logs it with its traceback

    async def _serve(self, sock: socket.socket, peer: str) -> None:
        stream = Stream(sock)
        self._counts["accepted"] += 1
        try:
            self._counts[await self._see_through(stream, self._speaks_for_others(peer))] += 1
        except HeaderRefused as refusal:
            self._counts["proxy_header"] += 1
            self._say(peer, refusal)
        except ssl.SSLError:
            self._counts["no_tls"] += 1
        except OSError:
            self._counts["broken_off"] += 1
        finally:
            stream.close()

    def _say(self, peer: str, refusal: HeaderRefused) -> None:
        """Now and then: a balancer that is set up wrongly sends nothing else."""
        now = self._loop.time()
        if now >= self._quiet_until:
            self._quiet_until = now + _SAY_EVERY
            log.warning("%s %s", peer.removeprefix("::ffff:"), refusal)

    async def _see_through(self, stream: Stream, header_is_due: bool) -> str:
        source = await self._begin(stream, header_is_due)
        if source is None:
            return "closed"  # how balancers look whether anybody is there
        self._allow(self._limits.request)
        # Here, and not deeper: ten thousand that have shaken hands may wait for it.
        data = await stream.receive(_CHUNK)
        result = await self._answer(stream, data, source)
        if result != "session":
            self._allow(self._limits.goodbye)
            # What could be answered is: how the peer leaves is its own affair.
            with contextlib.suppress(OSError):
                await stream.finish()
        return result

    async def _answer(self, stream: Stream, data: bytes, source: str) -> str:
        exchange = Exchange()
        while data and (request := exchange.feed(data)) is None:
            data = await stream.receive(_CHUNK)
        if not data or request is None:
            return "closed"
        wanted = tunnel.read(request.method, request.target, request.headers)
        answer = NOT_FOUND
        if wanted is not None:
            client = Client(stream, exchange.rest)
            source = source or stream.peer_address()
            refused = await self._sessions.serve(wanted, client, stream, source, admitted=self._admit)
            if refused is None:
                return "session"
            answer = (refused.status, refused.status.phrase, refused.body(), refusals.CONTENT_TYPE)
        await stream.send(exchange.answer(*answer))
        return "answered"

    async def _begin(self, stream: Stream, header_is_due: bool) -> str | None:
        """As far as TLS. For whom a balancer speaks, if one does; None when nobody is there."""
        source = await _read_proxy_header(stream) if header_is_due else ""
        first = await stream.arrived(len(proxy_protocol.V2_SIGNATURE))
        if not first:
            return None
        if proxy_protocol.is_header(first):
            raise HeaderRefused(
                "sends a second PROXY header, and is refused."
                if header_is_due
                else "sends a PROXY header, is not in SDM_PROXY_PROTOCOL_TRUSTED, and is refused."
            )
        if self._context is not None:
            # OpenSSL begins with 30 kB: half a record is left to the kernel.
            record = min(tls.record_length(first), _CHUNK)
            if len(first) < record:
                await stream.arrived(record)
            self._counts["resumed" if await stream.start_tls(self._context) else "full_handshake"] += 1
        return source

    def _speaks_for_others(self, peer: str) -> bool:
        if not self._trusted:
            return False
        address = ipaddress.ip_address(peer.partition("%")[0])
        # A listener for both families sees IPv4 peers in this form.
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._trusted)


async def _read_proxy_header(stream: Stream) -> str:
    """Take the header off, and not a byte of what follows: that is TLS's. The address of its client, if it has one."""
    reader = proxy_protocol.Reader()
    while seen := await stream.peek(_CHUNK):
        try:
            header = reader.feed(seen)
        except proxy_protocol.ProxyProtocolError:
            break
        await stream.receive(len(seen) - len(reader.rest))
        if header is not None:
            return header.source.host if header.source else ""
    raise HeaderRefused("is in SDM_PROXY_PROTOCOL_TRUSTED, sends no PROXY header, and is refused.")


def raise_descriptor_limit() -> None:
    """Every process gets as many sockets as this machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
