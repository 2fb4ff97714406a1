"""The request log on this machine's disk, until the control plane has it.

Every run of a worker has a directory of its own in the spool, locked for as long as one of its processes lives; what
is left of a run that is over, the next worker of the cluster delivers. In it each process writes segments: what
`write` was given is in the page cache when it returns, and survives the process. It does not survive the power; a
`fsync` for each request would cost more than the request.

All that is in the spool stays below a limit. Each process looks when it begins a segment, and leaves room for one of
every process; as much again is kept for telling how requests and sessions ended.
"""

import contextlib
import errno
import fcntl
import itertools
import logging
import os
import secrets
import time
from pathlib import Path

from sdm.worker.segments import MAGIC, SUFFIX, framed

log = logging.getLogger(__name__)

RUN = "run-"
_LOCK = "lock"
# Below its real name a segment is locked by who writes it.
_UNFINISHED = ".new"
_LARGEST_SEGMENT, _SMALLEST_SEGMENT = 1 << 22, 1 << 18
# What cannot be written at once is kept in memory up to here.
_MAX_PENDING = 1 << 18
_LOOK_EVERY = 0.25
_SAY_EVERY = 60.0
# Bytes a second that a session may write when half of the limit is used, and when all of it nearly is.
_FASTEST, _SLOWEST = 1 << 20, 1 << 16


class SpoolUnavailable(Exception):
    """A record could not be written; the message says why, for an operator."""


class Run:
    """The directory of one run of a worker. Whoever has inherited `lock` keeps it locked."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock

    @classmethod
    def begin(cls, directory: Path) -> "Run":
        """A new one; OSError when the directory cannot be had."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = secrets.token_hex(8)
        # Below its real name, nobody takes it for one that was left.
        unfinished = directory / f"{name}{_UNFINISHED}"
        unfinished.mkdir(mode=0o700)
        run = cls.take(unfinished)
        if run is None:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(unfinished))
        run.path = unfinished.rename(directory / f"{RUN}{name}")
        return run

    @classmethod
    def take(cls, path: Path) -> "Run | None":
        """That of somebody who is gone; None while they are not, or when it is gone as well."""
        try:
            lock = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        if not try_lock(lock):
            os.close(lock)
            return None
        return cls(path, lock)

    def restore(self) -> None:
        """If somebody removed it, make it anew under its name, for its processes go on."""
        if self.path.exists():
            return
        self.path.mkdir(mode=0o700, parents=True)
        run = self.take(self.path)
        if run is not None:
            os.close(self.lock)
            self.lock = run.lock

    def segments(self) -> list[Path]:
        """In the order in which they were begun."""
        return sorted(self.path.glob(f"*{SUFFIX}"))

    def remove(self) -> None:
        """It is empty, but for what nobody has written a record to."""
        with contextlib.suppress(FileNotFoundError):  # somebody else was about to do the same
            for path in self.path.iterdir():
                path.unlink(missing_ok=True)
            self.path.rmdir()
        os.close(self.lock)


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def held_bytes(directory: Path) -> int:
    """How much is in the spool, of all runs."""
    total = 0
    for path in directory.glob(f"{RUN}*/*{SUFFIX}"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # delivered meanwhile
            continue
    return total


class Spool:
    """Where one process writes. Not for two threads at once."""

    def __init__(self, run: Path, *, limit: int, processes: int, strict: bool = True) -> None:
        self._run = run
        self._limit = limit
        self._strict = strict
        self.segment_bytes = min(
            _LARGEST_SEGMENT, max(_SMALLEST_SEGMENT, limit // (8 * processes)), limit // (4 * processes)
        )
        self._reserve = processes * self.segment_bytes
        self._writer = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._descriptor = -1
        self._size = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._looked_at = 0.0
        self._checked_at = 0.0
        # Records since the file was there for certain; they may be delivered.
        self._unchecked = 0
        self._said_at = -_SAY_EVERY
        # Why records cannot be written now, for an operator; empty when all is well.
        self.problem = ""
        # Records that are nowhere.
        self.lost = 0
        # How many bytes a second a session may write, so that one of them does not fill it for all; 0: any number.
        self.rate = 0

    @property
    def is_idle(self) -> bool:
        """Whether `flush` has nothing to do."""
        return not self._pending and not self.problem

    def write(self, record: bytes) -> bool:
        """Whether it is on disk now, with all that is pending. SpoolUnavailable if it is not, unless relaxed."""
        pending, data = self._pending, framed(record)
        pending.append(data)
        try:
            if self.problem:
                self._look_again()
            elif time.monotonic() - self._checked_at >= _LOOK_EVERY:
                self._check()
            self._append(data if len(pending) == 1 else b"".join(pending), spare=False)
        except OSError as error:
            pending.pop()
            self._complain(error)
            self.lost += not self._strict
            if self._strict:
                raise SpoolUnavailable(self.problem) from None
            return False
        self._forget_pending()
        if self.problem:
            self._all_is_well()
        return True

    def add(self, record: bytes) -> None:
        """On disk with the next `write` or `flush`. Of those that cannot be written, the oldest are given up."""
        data = framed(record)
        self._pending.append(data)
        self._pending_bytes += len(data)
        while self._pending_bytes > _MAX_PENDING:
            if not self.flush():
                self._pending_bytes -= len(self._pending.pop(0))
                self.lost += 1

    def flush(self) -> bool:
        """Write what is pending; whether that went well. While there is a problem, look whether it is over."""
        if self.problem:
            self._try_again()
        if not self._pending:
            return not self.problem
        try:
            self._append(b"".join(self._pending), spare=True)
        except OSError as error:
            self._complain(error)
            return False
        self._forget_pending()
        return True

    def close(self) -> None:
        """What could not be written until now is lost."""
        if not self.flush():
            self.lost += len(self._pending)
            log.error("%d records of the request log are lost: %s", len(self._pending), self.problem)
        self._end_segment()

    def _forget_pending(self) -> None:
        self._unchecked += len(self._pending)
        self._pending.clear()
        self._pending_bytes = 0

    # --- Segments ---

    def _append(self, data: bytes, *, spare: bool) -> None:
        if self._descriptor < 0 or self._size + len(data) > self.segment_bytes:
            self._check_room(spare=spare)
            self._begin_segment()
        written = os.write(self._descriptor, data)
        if written == len(data):
            self._size += written
            return
        self._cut_back()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _check(self) -> None:
        """From time to time: whether the file is still there for who delivers, and how full all of it is."""
        self._checked_at = time.monotonic()
        if self._descriptor >= 0 and not os.fstat(self._descriptor).st_nlink:
            self._end_segment()
            self.lost += self._unchecked
            log.error(
                "Somebody deleted files of the request log in %s. What was not delivered is lost: up to %d records, "
                "and what waited there.",
                self._run,
                self._unchecked,
            )
        self._unchecked = 0
        if self.rate:
            self._look()

    def _cut_back(self) -> None:
        """Half a record in the middle of a segment would hide what comes after it."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._end_segment()
            raise

    def _look(self) -> int:
        """How much is held, of all processes. From the half on, sessions are slowed down in proportion."""
        self._looked_at = time.monotonic()
        held, half = held_bytes(self._run.parent), self._limit // 2
        self.rate = max(_SLOWEST, _FASTEST * (self._limit - held) // half) if held > half else 0
        return held

    def _check_room(self, *, spare: bool) -> None:
        held = self._look()
        if held + self._reserve * (1 if spare else 2) > self._limit:
            raise OSError(
                errno.EDQUOT,
                f"{held:,} of at most {self._limit:,} bytes wait there for the control plane (SDM_SPOOL_BYTES)",
            )

    def _look_again(self) -> None:
        """Nothing is tried for each request while nothing can be written."""
        if time.monotonic() - self._looked_at < _LOOK_EVERY:
            raise OSError(errno.EAGAIN, "")
        self._check_room(spare=False)

    def _try_again(self) -> None:
        """Nobody may come who would write: a worker whose log is full is not ready."""
        try:
            self._look_again()
            self._begin_segment()
        except OSError as error:
            self._complain(error)
        else:
            self._all_is_well()

    def _begin_segment(self) -> None:
        self._end_segment()
        # The number comes first, so that names sort by it; it tells nothing between processes.
        path = self._run / f"{next(self._numbers):08}-{self._writer}{SUFFIX}"
        unfinished = path.with_suffix(_UNFINISHED)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(unfinished, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.write(descriptor, MAGIC) != len(MAGIC):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            unfinished.rename(path)
        except OSError:
            os.close(descriptor)
            unfinished.unlink(missing_ok=True)
            raise
        self._descriptor, self._size = descriptor, len(MAGIC)

    def _end_segment(self) -> None:
        """From now on whoever delivers it may remove it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # --- What an operator hears ---

    def _complain(self, error: OSError) -> None:
        if error.errno == errno.EAGAIN:  # nobody has looked
            return
        self._looked_at = time.monotonic()
        goes_on = (
            "Sessions are refused." if self._strict else "Sessions go on WITHOUT a log (SDM_AUDIT=relaxed)."
        )
        self.problem = f"The request log cannot be written to {self._run.parent}: {error.strerror}. {goes_on}"
        if self._looked_at - self._said_at >= _SAY_EVERY:
            self._said_at = self._looked_at
            log.error("%s", self.problem)

    def _all_is_well(self) -> None:
        if self.problem:
            self.problem = ""
            self._said_at = -_SAY_EVERY
            lost = f" {self.lost:,} records are missing from it." if self.lost else ""
            log.warning("The request log can be written again.%s", lost)
