"""The process that is started: it binds, forks, restarts, passes messages on, and ends everything in order.

It has one thread and no event loop, and nothing in it speaks gRPC: forking beside their threads is undefined, and it
has to be able to fork whenever a process has died.
"""

import gc
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from types import FrameType
from typing import NoReturn

from sdm.exit_codes import ExitCode
from sdm.worker import front, link, tls
from sdm.worker.channel import (
    End,
    Goodbye,
    Identity,
    Leave,
    Leaving,
    Lines,
    Load,
    Message,
    Reload,
    Settings,
    Trusted,
    encode,
)
from sdm.worker.config import Config
from sdm.worker.desk.place import Place
from sdm.worker.listeners import Listeners
from sdm.worker.records import RequestLog
from sdm.worker.spool import Run

log = logging.getLogger(__name__)

# A process that dies at once is started again after this, twice that, and so on.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
# One that lived so long had no trouble starting.
_STEADY = 30.0
_SUM_EVERY = 1.0
# What an ending process gets beyond its deadline before it is killed.
_GRACE = 3.0
# When the control plane wants us gone, live connections get this long and are then told. All has to be over in two
# seconds.
_AT_ONCE = 0.3
_SEND_TIMEOUT = 5.0


class Phase(Enum):
    RUNNING = auto()
    NOTICE = auto()  # not ready any more, still serving: balancers need time to see it
    LEAVING = auto()  # the fronts finish
    GOODBYE = auto()  # the link reports the end
    ENDED = auto()


@dataclass
class Child:
    """A process of ours, or the place of one that is about to be started again."""

    name: str
    body: Callable[[socket.socket], None]
    pid: int = 0
    channel: socket.socket | None = None
    lines: Lines = field(default_factory=Lines)
    load: Load = field(default_factory=Load)
    began: float = 0
    pause: float = _FIRST_PAUSE
    due: float = 0


class Supervisor:
    def __init__(
        self, config: Config, listeners: Listeners, spool: Run, identity: Identity | None = None
    ) -> None:
        self._config = config
        self._listeners = listeners
        # Forked with its lock, which is held until the last of us is gone.
        self._spool = spool
        self._selector = selectors.DefaultSelector()
        self._ticket_keys = tls.new_ticket_keys()
        self._settings: Settings | None = None
        self._trusted: Trusted | None = None
        # Where fronts ask the link, whichever that is at the moment.
        self._desk = Place.make()
        self.identity = identity or Identity("", "", "")
        self._phase = Phase.RUNNING
        self._deadline = 0.0
        self._end = End(ExitCode.OK, "Stopped.")
        self._signals: list[int] = []
        # What processes counted that are gone.
        self._past = Load(processes=0)
        self._restarts = 0
        self._link = Child("link", self._be_link)
        self._fronts = [Child(f"front {number}", self._be_front) for number in range(1, config.workers + 1)]

    def run(self) -> End:
        """Until the end; what it was."""
        self._catch_signals()
        gc.freeze()  # what is there now stays shared with the processes
        summed = time.monotonic()
        while self._phase is not Phase.ENDED:
            self._start_those_due()
            for key, _ in self._selector.select(self._patience()):
                if isinstance(key.data, Child):
                    self._hear(key.data)
                else:
                    os.read(key.fd, 4096)
            self._obey_signals()
            self._reap()
            if time.monotonic() - summed >= _SUM_EVERY:
                summed = time.monotonic()
                self._send(self._link, self._sum())
            self._move_on()
        return self._end

    # --- Processes ---

    def _children(self) -> list[Child]:
        return [self._link, *self._fronts]

    def _start_those_due(self) -> None:
        now = time.monotonic()
        for child in self._children():
            if not child.pid and now >= child.due and self._is_wanted(child):
                self._start(child, now)

    def _is_wanted(self, child: Child) -> bool:
        if child is self._link:
            # While connections go on somebody has to hear which of them may not any more.
            return self._phase in (Phase.RUNNING, Phase.NOTICE, Phase.LEAVING)
        return self._phase in (Phase.RUNNING, Phase.NOTICE) and self._settings is not None

    def _start(self, child: Child, now: float) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            self._become(child, ours, theirs)
        theirs.close()
        ours.settimeout(_SEND_TIMEOUT)
        child.pid, child.channel, child.lines, child.began = pid, ours, Lines(), now
        self._selector.register(ours, selectors.EVENT_READ, child)
        if child is self._link:
            self._send(child, self.identity)
            if self._phase is not Phase.RUNNING:
                self._send(child, Leaving())
        if child is not self._link:
            for message in (self._trusted, self._settings):
                if message is not None:
                    self._send(child, message)

    def _become(self, child: Child, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        """In the new process: let go of what is the supervisor's, and never come back."""
        code = int(ExitCode.FAILURE)
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                # A terminal sends them to all of us; what they mean, the supervisor says.
                signal.signal(number, signal.SIG_IGN)
            self._selector.close()
            ours.close()
            for each in self._children():
                if each.channel is not None:
                    each.channel.close()
            child.body(theirs)
            code = int(ExitCode.OK)
        except BaseException:
            log.exception("The %s process failed.", child.name)
        finally:
            os._exit(code)

    def _be_front(self, channel: socket.socket) -> None:
        self._listeners.close_all_but_clients()
        request_log = RequestLog.begin(self._spool.path, self._config)
        self._desk.close()
        front.main(
            self._listeners.clients, channel, self._config, self._ticket_keys, request_log, self._desk.where
        )

    def _be_link(self, channel: socket.socket) -> None:
        self._listeners.clients.close()
        link.main(self._listeners, channel, self._config, self._spool, self._desk)

    def _reap(self) -> None:
        for child in self._children():
            if not child.pid:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._hear(child)  # its last words
                self._gone(child, status)

    def _gone(self, child: Child, status: int) -> None:
        if child.channel is not None:
            self._selector.unregister(child.channel)
            child.channel.close()
        child.pid, child.channel = 0, None
        self._past += replace(child.load, connections=0, sessions=0, processes=0)
        child.load = Load(processes=0)
        if self._is_wanted(child):
            lived = time.monotonic() - child.began
            child.pause = _FIRST_PAUSE if lived > _STEADY else min(2 * child.pause, _LONGEST_PAUSE)
            child.due = time.monotonic() + child.pause
            self._restarts += 1
            log.error("The %s process %s; it is started again.", child.name, _how_it_ended(status))

    # --- Messages ---

    def _hear(self, child: Child) -> None:
        if child.channel is None:
            return
        try:
            data = child.channel.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._forget_channel(child)
        for message in child.lines.feed(data):
            self._take(child, message)

    def _forget_channel(self, child: Child) -> None:
        """It has closed its end, and is about to end: not to be woken by that again and again."""
        if child.channel is not None:
            self._selector.unregister(child.channel)
            child.channel.close()
            child.channel = None

    def _take(self, child: Child, message: Message) -> None:
        match message:
            case Load():
                child.load = message
            case Identity():
                self.identity = message
            case Settings():
                self._settle(message)
            case Trusted():
                self._trusted = message
                for each in self._fronts:
                    self._send(each, message)
            case End():
                self._begin_end(message)

    def _settle(self, settings: Settings) -> None:
        first, self._settings = self._settings is None, settings
        if first:
            try:
                self._listeners.clients.listen(_backlog())
            except OSError as error:
                text = f"Cannot listen on {self._config.bind}: {error.strerror}."
                self._begin_end(End(ExitCode.ADDRESS, text, at_once=True))
                return
            log.info("Listening on %s.", self._listeners.name())
        for child in self._fronts:
            self._send(child, settings)

    def _send(self, child: Child, message: Message) -> None:
        if child.channel is None:
            return
        try:
            child.channel.sendall(encode(message))
        except TimeoutError:
            log.error("The %s process does not listen; it is killed.", child.name)
            os.kill(child.pid, signal.SIGKILL)
        except OSError:
            self._forget_channel(child)

    def _sum(self) -> Load:
        total = replace(self._past, restarts=self._restarts)
        for child in self._fronts:
            if child.pid:
                total += child.load
        return total

    # --- The end ---

    def _begin_end(self, end: End) -> None:
        if self._phase is not Phase.RUNNING:
            self._hurry(end)
            return
        self._end = end
        self._send(self._link, Leaving())
        self._phase = Phase.NOTICE
        serving = any(child.pid for child in self._fronts)
        notice = 0 if end.at_once or not serving else self._config.shutdown_notice
        self._deadline = time.monotonic() + notice
        if notice:
            doing, peers = ("Restarting", "wait") if self._restarts_itself else ("Stopping", "are refused")
            log.info("%s: not ready any more; new connections %s in %d s.", doing, peers, notice)

    def _hurry(self, end: End) -> None:
        """Who may not go on at all sees nothing through, and does not start anew."""
        if end.at_once and not self._end.at_once and self._phase in (Phase.NOTICE, Phase.LEAVING):
            self._end = end
            self._leave()

    def _leave(self) -> None:
        seconds = _AT_ONCE if self._end.at_once else self._config.shutdown_timeout
        self._enter(Phase.LEAVING, seconds + _GRACE)
        if not self._restarts_itself:
            self._listeners.clients.close()
        for child in self._fronts:
            self._send(child, Leave(seconds))

    def _move_on(self) -> None:
        """From one phase to the next, when its processes are gone or its time is up."""
        late = time.monotonic() >= self._deadline
        if self._phase is Phase.NOTICE and late:
            self._leave()
        elif self._phase is Phase.LEAVING and (late or not any(child.pid for child in self._fronts)):
            self._kill(self._fronts)
            self._enter(Phase.GOODBYE, _GRACE)
            self._send(self._link, Goodbye(self._restarts_itself))
        elif self._phase is Phase.GOODBYE and (late or not self._link.pid):
            self._kill([self._link])
            self._phase = Phase.ENDED

    @property
    def _restarts_itself(self) -> bool:
        """Then whoever connects meanwhile waits for the next one, on the same socket."""
        return self._end.code == ExitCode.RESTART

    def _enter(self, phase: Phase, seconds: float) -> None:
        self._phase, self._deadline = phase, time.monotonic() + seconds

    def _kill(self, children: list[Child]) -> None:
        for child in children:
            if child.pid:
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
                child.pid = 0

    # --- Signals and time ---

    def _catch_signals(self) -> None:
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._selector.register(read, selectors.EVENT_READ)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)
        signal.signal(signal.SIGCHLD, _wake)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _obey_signals(self) -> None:
        while self._signals:
            if self._signals.pop(0) == signal.SIGHUP:
                self._send(self._link, Reload())
            elif self._phase is Phase.RUNNING:
                self._begin_end(self._end)
            elif self._restarts_itself:
                log.info("Told to stop during a restart: ending instead.")
                self._end = End(ExitCode.OK, "Stopped.")
            else:
                log.warning("Told to stop a second time: ending at once.")
                self._kill(self._children())
                self._phase = Phase.ENDED

    def _patience(self) -> float:
        moments = [child.due for child in self._children() if not child.pid and self._is_wanted(child)]
        if self._phase is not Phase.RUNNING:
            moments.append(self._deadline)
        return max(0.0, min([_SUM_EVERY, *(moment - time.monotonic() for moment in moments)]))


def _wake(number: int, frame: FrameType | None) -> None:
    """That a process has ended is seen by waking up."""


def _how_it_ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"ended with {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"


def _backlog() -> int:
    """As much as the kernel allows: it cuts what is more."""
    return 65_535
