"""Both sides of one session.

Bytes are read from one side and sent to the other at once; what the other does not take is kept, and as long as there
is some, nothing is read. So a session holds one buffer a direction at most, whatever its peers do.

Each direction ends by itself. When both have, or one side is lost, or the session is cut, it is over.
"""

import contextlib
import logging
import select
from collections.abc import Callable
from time import monotonic

from sdm.contract.endings import Ending
from sdm.transport.relay.ends import BLOCKED, End
from sdm.transport.relay.handoff import HandOff, Outcome, SessionOver

log = logging.getLogger(__name__)

# Seconds that a cut waits for a moment at which the client can be told why.
FAREWELL = 1.0
# One side has ended, and the other says nothing: a resource may have to think about its answer, a client may not.
SILENT_RESOURCE = 600.0
SILENT_CLIENT = 60.0
_READ, _WRITE, _ERROR = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR
# Neither: what cannot be switched off is told once then, and not for ever.
_WATCH = select.EPOLLET
_TO_READ = _READ | _ERROR | select.EPOLLHUP
_NOTHING = memoryview(b"")

Ended = Callable[[Outcome], None]


class Pair:
    __slots__ = (
        "_cut",
        "_ended",
        "_first",
        "_framer",
        "_hurry",
        "_last_words",
        "_poll",
        "_told",
        "_torn",
        "breaks_off",
        "client",
        "deadline",
        "is_settled",
        "key",
        "lingers",
        "outcome",
        "received",
        "sent",
        "upstream",
    )

    def __init__(self, key: str, client: End, handoff: HandOff, poll: select.epoll, ended: Ended) -> None:
        self.key = key
        self.client = client
        self.upstream = handoff.upstream
        self.sent = 0
        self.received = 0
        # When patience is over: with a cut, or with the side that has not ended. 0: it has no end.
        self.deadline = 0.0
        self.outcome: Outcome | None = None
        # The client has been told something that it has to have the time to read, or is broken off and takes the rest.
        self.lingers = self.breaks_off = False
        self._framer = handoff.framer
        self._hurry = handoff.hurry
        self._last_words = handoff.over
        self._poll = poll
        self._ended = ended
        # Who ended first.
        self._first: Ending | None = None
        self._cut: tuple[Ending, str] | None = None
        # By words of the framer's, or not at all: the resource is lost, and has not said its end.
        self._told = self._torn = False
        # Both sides are watched for what they say, and that is how it should be: nothing has to be looked after.
        self.is_settled = False

    # --- What the loop calls ---

    def begin(self, handoff: HandOff, buffer: memoryview) -> None:
        for end, early in ((self.client, handoff.from_client), (self.upstream, handoff.from_upstream)):
            self._poll.register(end.descriptor, 0)
            if early:
                self._guarded(self._pass_on, end, memoryview(early))
        for end in (self.client, self.upstream):
            # TLS may hold bytes that came before the poll watched.
            if self._reads(end):
                self._pump(end, buffer)
        self._watch()

    def happened(self, end: End, mask: int, buffer: memoryview) -> None:
        if mask == _READ and self.is_settled:  # nearly always
            self._pump(end, buffer)
        else:
            self._happened(end, mask, buffer)
        if not self.is_settled or end.has_more or end.wants_write or self._framer.full:
            self._watch()

    def _happened(self, end: End, mask: int, buffer: memoryview) -> None:
        wrote = mask & _WRITE
        if wrote:
            self._guarded(self._flush, end)
        if mask & _TO_READ or (wrote and end.wants_write):
            if self._reads(end):
                self._pump(end, buffer)
            elif mask & _ERROR:
                self._lost(end)

    def go_on(self, buffer: memoryview) -> None:
        for end in (self.client, self.upstream):
            if end.has_more and self._reads(end):
                self._pump(end, buffer)
        self._watch()

    @property
    def has_more(self) -> bool:
        """Bytes are there to be read that no poll will announce."""
        client, upstream = self.client, self.upstream
        return (client.has_more and self._reads(client)) or (upstream.has_more and self._reads(upstream))

    @property
    def is_held_up(self) -> bool:
        """The client is left unread for a reason that no poll will tell the end of."""
        return self._framer.full and not self.client.heard_end and self.outcome is None

    def cut(self, ending: Ending, message: str, *, within: float = FAREWELL) -> None:
        """End it, and tell the client why as soon as that is possible."""
        if self.outcome is not None or self._cut is not None:
            return
        self._cut, self.deadline = (ending, message), monotonic() + within
        self.is_settled = False
        if not self.upstream.heard_end:
            self._hurry()
        self._say_farewell()
        self._watch()

    def run_out(self) -> None:
        """The deadline is over."""
        if self._cut is not None:
            self._over(*self._cut, goodbye=False)
        elif self._first is not None:
            self._over(self._first, self._first.sentence)

    # --- Bytes ---

    def _reads(self, end: End) -> bool:
        if end.heard_end or self.outcome is not None:
            return False
        if end is self.client:
            return self._cut is None and not self.upstream.backlog and not self._framer.full
        return not self.client.backlog

    def _pump(self, source: End, buffer: memoryview) -> None:
        try:
            count = source.receive(buffer)
            if count > 0:
                self._pass_on(source, buffer[:count])
            elif count != BLOCKED:
                self._hear_end(source)
        except Exception as error:  # noqa: BLE001  # sorted out there
            self._failed(source, error)

    def _pass_on(self, source: End, data: memoryview) -> None:
        if source is self.client:
            self._framer.client_bytes(data)
            self.sent += len(data)
            self._give(self.upstream, data)
        else:
            # The client has its answer before we look at it.
            self.received += len(data)
            self._give(self.client, data)
            if self.outcome is None:
                self._framer.server_bytes(data)
        if self.deadline:
            self._move_on()

    def _give(self, target: End, data: memoryview) -> None:
        if target.backlog:
            target.backlog = memoryview(bytes(target.backlog) + data)
            return
        try:
            count = target.send(data)
        except OSError:
            self._lost(target)
            return
        if count < len(data):
            target.backlog = memoryview(bytes(data[count:]))
            self.is_settled = False

    def _flush(self, end: End) -> None:
        if end.backlog:
            end.backlog = end.backlog[end.send(end.backlog) :] or _NOTHING
        if self.deadline:
            self._move_on()
        source = self.client if end is self.upstream else self.upstream
        if source.heard_end and not end.backlog:
            self._pass_end_on(source)

    def _move_on(self) -> None:
        """Something moved while patience had an end."""
        if self._cut is not None:
            self._say_farewell()
        else:
            self._be_patient()

    # --- Ends ---

    def _hear_end(self, source: End) -> None:
        left = source is self.client or self._framer.client_left
        self._first = self._first or (Ending.CLIENT_LEFT if left else Ending.RESOURCE_LEFT)
        source.heard_end = True
        self.is_settled = False
        self._pass_end_on(source)

    def _pass_end_on(self, source: End) -> None:
        """`source` has said its last; the other hears of it after all that came before."""
        target = self.upstream if source is self.client else self.client
        if self._cut is not None or self.outcome is not None:
            self._say_farewell()
            return
        if not target.backlog and not target.said_end:
            target.said_end = target.say_end()
        if self.client.heard_end and self.upstream.heard_end:
            if self._first is not None and self.client.said_end and not self.upstream.backlog:
                self._over(self._first, self._first.sentence)
            return
        self._be_patient()

    def _be_patient(self) -> None:
        self.deadline = monotonic() + (SILENT_RESOURCE if self.client.heard_end else SILENT_CLIENT)

    def _lost(self, end: End) -> None:
        """Nothing can be sent to it any more, and nothing will come from it."""
        if self.outcome is not None:
            return
        if end is self.client:
            ending = Ending.CLIENT_LEFT if end.heard_end else Ending.CLIENT_LOST
            self._over(*(self._cut or (ending, ending.sentence)), goodbye=False)
            return
        left = Ending.CLIENT_LEFT if self._framer.client_left else Ending.RESOURCE_LOST
        ending = self._first or left
        self._torn = not (end.heard_end or self._framer.client_left)
        end.heard_end = end.said_end = True
        end.backlog = _NOTHING
        # What it has sent before is still the client's.
        self.cut(ending, ending.sentence, within=SILENT_CLIENT if self.client.backlog else FAREWELL)

    def _say_farewell(self) -> None:
        if self._cut is None or self.client.backlog or self.outcome is not None:
            return
        ending, message = self._cut
        # Who has said goodbye in its own words needs none of ours.
        usual = ending in (Ending.RESOURCE_LEFT, Ending.CLIENT_LEFT)
        words = b"" if self._told or usual else self._framer.farewell(ending, message)
        if words is None:
            if self.upstream.heard_end:  # there will be no better moment
                self._over(ending, message, goodbye=False)
            return
        if words:
            self._told = True
            self._give(self.client, memoryview(words))
        if not self.client.backlog:
            # Where nothing can be said, an end would pass for that of a complete answer.
            self._over(ending, message, goodbye=self._told or (usual and not self._torn))

    def _over(self, ending: Ending, message: str, *, goodbye: bool = True) -> None:
        if self.outcome is not None:
            return
        self.outcome = Outcome(ending, message, self.sent, self.received)
        self.is_settled = False
        for end in (self.client, self.upstream):
            self._poll.unregister(end.descriptor)
            end.backlog = _NOTHING
        self._leave_upstream()
        if goodbye:
            self._say_goodbye()
        else:
            self._break_off()
        if not self.lingers:
            self.client.close()
        self._last_words(self.outcome)
        self._ended(self.outcome)

    def _leave_upstream(self) -> None:
        """Without a goodbye, TLS takes it for a connection that broke off."""
        with contextlib.suppress(OSError):  # it is gone
            if not self.upstream.said_end:
                self.upstream.say_end()
        self.upstream.close()

    def _say_goodbye(self) -> None:
        try:
            self.client.said_end = self.client.said_end or self.client.say_end()
            self.client.hang_up()
        except OSError:
            log.debug("A client was gone before the goodbye.")
            return
        # Closing on bytes that nobody has read would destroy what was said.
        self.lingers = not self.client.heard_end

    def _break_off(self) -> None:
        self.breaks_off = True
        with contextlib.suppress(OSError):  # it is gone
            self.client.break_off()
            self.lingers = not self.client.is_taken

    # --- Around all of it ---

    def _guarded(self, act: Callable[..., None], end: End, *arguments: memoryview) -> None:
        if self.outcome is not None:
            return
        try:
            act(end, *arguments)
        except Exception as error:  # noqa: BLE001  # sorted out there
            self._failed(end, error)

    def _failed(self, end: End, error: Exception) -> None:
        if isinstance(error, SessionOver):
            self.cut(error.ending, str(error))
        elif isinstance(error, OSError):
            self._lost(end)
        else:
            log.error("A session ends by a fault of this worker's.", exc_info=error)
            self._over(Ending.PROTOCOL, "The worker could not go on with this session.", goodbye=False)

    def _watch(self) -> None:
        """Let the poll tell what this session waits for."""
        if self.outcome is not None:
            return
        client, upstream = self.client, self.upstream
        for end, source in ((client, upstream), (upstream, client)):
            mask = _READ if self._reads(end) else 0
            if end.backlog or end.wants_write or (source.heard_end and not end.said_end):
                mask |= _WRITE
            mask = mask or _WATCH
            if mask != end.mask:
                end.mask = mask
                self._poll.modify(end.descriptor, mask)
        watched = client.mask == upstream.mask == _READ
        self.is_settled = watched and not (self.deadline or client.has_more or upstream.has_more)
