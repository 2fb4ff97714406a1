"""The thread that moves the bytes of all sessions of a process.

What others want of it they put into a queue and wake it. Whatever it tells them, it tells from this thread.
"""

import logging
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Protocol

from sdm.contract.endings import Ending
from sdm.transport.relay.ends import End
from sdm.transport.relay.handoff import HandOff
from sdm.transport.relay.pair import Ended, Pair

log = logging.getLogger(__name__)

# Shared by all sessions, and what one of them may move before the next has its turn.
BUFFER = 128 * 1024
_EVENTS_AT_ONCE = 128
_SWEEP_EVERY = 0.2
_FLUSH_EVERY = 0.005
# Told everything, or what there is, a client gets so long, and may send so much, before the socket is closed.
_LINGER, _LINGER_BYTES = 2.0, 64 * 1024


class _Lingering:
    """A client that has been told everything: what it still sends is read and forgotten, until it closes.

    Or one that is broken off: until it has what was sent.
    """

    __slots__ = ("breaks_off", "deadline", "end", "left")

    def __init__(self, end: End, *, breaks_off: bool) -> None:
        self.end = end
        self.breaks_off = breaks_off
        self.deadline = monotonic() + _LINGER
        self.left = _LINGER_BYTES

    def is_over(self, now: float) -> bool:
        return self.deadline <= now or (self.breaks_off and self.end.is_taken)


class Flushed(Protocol):
    """Something that framers write to, and that is told from time to time to write it down."""

    @property
    def is_idle(self) -> bool: ...
    def flush(self) -> None: ...


class Relay:
    def __init__(self, flushed: Flushed | None = None) -> None:
        self._flushed = flushed
        self._flushed_at = 0.0
        self._poll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._bell, select.EPOLLIN)
        self._wanted: deque[Callable[[], None]] = deque()
        self._buffer = memoryview(bytearray(BUFFER))
        self._pairs: dict[int, tuple[Pair, End]] = {}
        self._by_key: dict[str, Pair] = {}
        self._lingering: dict[int, _Lingering] = {}
        self._unread: set[Pair] = set()
        self._impatient: set[Pair] = set()
        self._held_up: set[Pair] = set()
        self._swept = monotonic()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    # --- From any thread ---

    def start(self) -> None:
        self._thread.start()

    def begin(self, key: str, client: End, handoff: HandOff, ended: Ended) -> None:
        """Relay until the end, of which `ended` is told in the relay's thread. `key` names it to `cut`."""
        self._want(lambda: self._begin(key, client, handoff, ended))

    def cut(self, key: str, ending: Ending, message: str) -> None:
        self._want(lambda: self._cut(key, ending, message))

    def stop(self) -> None:
        """Without a word to those that are left."""
        self._want(self._stop)
        self._thread.join()
        # Not in that thread: it may have stopped before the bell is rung for it.
        os.close(self._bell)

    def _want(self, act: Callable[[], None]) -> None:
        self._wanted.append(act)
        os.eventfd_write(self._bell, 1)

    # --- In its own ---

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException:
            # Sessions that nobody moves would hang for ever: the process ends, and is started again.
            log.exception("The relay failed.")
            os._exit(1)

    def _turn(self) -> None:
        for descriptor, mask in self._poll.poll(self._patience(), _EVENTS_AT_ONCE):
            found = self._pairs.get(descriptor)
            if found is not None:
                pair, end = found
                pair.happened(end, mask, self._buffer)
                if not pair.is_settled:
                    self._look_after(pair)
            elif descriptor == self._bell:
                os.eventfd_read(self._bell)
            elif descriptor in self._lingering:
                self._read_on(self._lingering[descriptor])
        while self._wanted:
            self._wanted.popleft()()
        if self._unread:
            self._go_on()
        self._keep_time(monotonic())

    def _keep_time(self, now: float) -> None:
        if self._flushed is not None and now - self._flushed_at >= _FLUSH_EVERY:
            self._flushed_at = now
            self._flushed.flush()
        if now - self._swept >= _SWEEP_EVERY:
            self._sweep()

    def _patience(self) -> float:
        if self._unread:
            return 0
        if self._flushed is not None and not self._flushed.is_idle:
            return _FLUSH_EVERY
        return _SWEEP_EVERY if self._impatient or self._held_up or self._lingering else -1

    def _go_on(self) -> None:
        """Those that had used up their turn get another, after all others had theirs."""
        unread, self._unread = self._unread, set()
        self._move(unread)

    def _move(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            pair.go_on(self._buffer)
            self._look_after(pair)

    def _look_after(self, pair: Pair) -> None:
        if pair.outcome is not None:
            self._forget(pair)
            return
        if pair.has_more:
            self._unread.add(pair)
        if pair.is_held_up:
            self._held_up.add(pair)
        if pair.deadline:
            self._impatient.add(pair)

    def _begin(self, key: str, client: End, handoff: HandOff, ended: Ended) -> None:
        pair = Pair(key, client, handoff, self._poll, ended)
        self._by_key[key] = pair
        for end in (pair.client, pair.upstream):
            self._pairs[end.descriptor] = (pair, end)
        pair.begin(handoff, self._buffer)
        self._look_after(pair)

    def _cut(self, key: str, ending: Ending, message: str) -> None:
        pair = self._by_key.get(key)
        if pair is not None:
            pair.cut(ending, message)
            self._look_after(pair)

    def _forget(self, pair: Pair) -> None:
        for end in (pair.client, pair.upstream):
            # Its number may be another's already.
            if self._pairs.get(end.descriptor, (None,))[0] is pair:
                del self._pairs[end.descriptor]
        self._by_key.pop(pair.key, None)
        self._unread.discard(pair)
        self._impatient.discard(pair)
        self._held_up.discard(pair)
        if pair.lingers:
            self._lingering[pair.client.descriptor] = _Lingering(pair.client, breaks_off=pair.breaks_off)
            # Its end is no news of one that is broken off; that it is gone is told in any case.
            self._poll.register(pair.client.descriptor, 0 if pair.breaks_off else select.EPOLLIN)

    def _sweep(self) -> None:
        self._swept = now = monotonic()
        for pair in [pair for pair in self._impatient if pair.deadline <= now]:
            pair.run_out()
            self._look_after(pair)
        held_up, self._held_up = self._held_up, set()
        self._move(held_up)
        for lingering in [each for each in self._lingering.values() if each.is_over(now)]:
            self._close(lingering)

    def _read_on(self, lingering: _Lingering) -> None:
        try:
            # Beneath TLS: what is in there does not matter any more.
            count = socket.socket.recv_into(lingering.end.sock, self._buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        lingering.left -= count
        if not count or lingering.left <= 0:
            self._close(lingering)

    def _close(self, lingering: _Lingering) -> None:
        del self._lingering[lingering.end.descriptor]
        self._poll.unregister(lingering.end.descriptor)
        lingering.end.close()

    def _stop(self) -> None:
        self._stopping = True
        for pair in list(self._by_key.values()):
            pair.upstream.close()
            pair.client.close()
        for lingering in self._lingering.values():
            lingering.end.close()
        self._poll.close()
