"""Waiting for the same sockets again and again, at little cost.

An event loop's `add_reader` makes three objects for each wait, and four system calls. Here a socket is registered once,
in an epoll beneath the loop's own, and edge-triggered: what came while nobody waited is not announced again. So an
operation is always tried before it is waited for.
"""

import asyncio
import select
from weakref import WeakKeyDictionary

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
_EVENTS_AT_ONCE = 256

_Waiters = dict[int, asyncio.Future[None]]


class Readiness:
    """Of all sockets that are waited for in one loop. One may wait to read from each of them, and one to write."""

    __slots__ = ("_poll", "_readers", "_writers")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._poll = select.epoll()
        self._readers: _Waiters = {}
        self._writers: _Waiters = {}
        loop.add_reader(self._poll.fileno(), self._look)

    def watch(self, descriptor: int, watched: int, what: int) -> int:
        """Begin to announce `what` besides what is `watched` for already; both together, for the next time."""
        both = watched | what
        begin = self._poll.modify if watched else self._poll.register
        begin(descriptor, both | select.EPOLLET)
        return both

    def wait(self, descriptor: int, what: int) -> asyncio.Future[None]:
        """Done when it may be worth to try once more what would have blocked."""
        waiter = asyncio.get_running_loop().create_future()
        (self._readers if what == READ else self._writers)[descriptor] = waiter
        return waiter

    def forget(self, descriptor: int) -> None:
        """It will be somebody else's."""
        self._poll.unregister(descriptor)

    def _look(self) -> None:
        for descriptor, mask in self._poll.poll(0, _EVENTS_AT_ONCE):
            # Errors and hang-ups are news for both.
            if mask & ~WRITE:
                _wake(self._readers, descriptor)
            if mask & ~READ:
                _wake(self._writers, descriptor)


def _wake(waiters: _Waiters, descriptor: int) -> None:
    waiter = waiters.pop(descriptor, None)
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Readiness] = WeakKeyDictionary()


def readiness() -> Readiness:
    """The running loop's."""
    loop = asyncio.get_running_loop()
    found = _of_loops.get(loop)
    if found is None:
        found = _of_loops[loop] = Readiness(loop)
    return found
