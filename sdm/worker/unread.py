"""What is in the spool for one worker to read: its own run's segments as they grow, and what workers of its cluster
have left that are gone. A segment is removed when nobody writes it any more and every reader has read it."""

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdm.worker.segments import HEAD, MAGIC, MAX_RECORD, divide, next_border
from sdm.worker.spool import RUN, Run, held_bytes, try_lock

log = logging.getLogger(__name__)

# What one call carries, in bytes and in records.
MAX_PORTION, MAX_RECORDS = 1 << 19, 2_000
# For an operator to look at; nobody reads them, and they take none of the spool's room.
_DAMAGED = ".damaged"
# Which cluster's a run is: a worker delivers for its own alone.
_CLUSTER = "cluster"


@dataclass
class Segment:
    path: Path
    # How far each reader is.
    offsets: dict[str, int] = field(default_factory=dict)
    is_finished: bool = False
    # Not at its end alone, where it is torn when its writer is killed.
    is_damaged: bool = False


@dataclass(slots=True)
class Portion:
    """Records of one or several segments, those of each in their order."""

    records: list[bytes] = field(default_factory=list)
    # Up to where it has read each of them.
    ends: list[tuple[Segment, int]] = field(default_factory=list)
    room: int = MAX_PORTION

    @property
    def is_full(self) -> bool:
        """Another record may not have its place in it: there is probably more."""
        return self.room < HEAD + MAX_RECORD or len(self.records) >= MAX_RECORDS


class Unread:
    def __init__(self, run: Run, readers: Sequence[str]) -> None:
        self._own = run
        self._runs = [run]
        self._readers = readers
        # Empty until the worker has joined.
        self.cluster_id = ""
        self._segments: dict[Path, Segment] = {}
        # That were no whole record when their writer was gone.
        self.damaged_bytes = 0

    @property
    def held_bytes(self) -> int:
        return held_bytes(self._own.path.parent)

    def belongs_to(self, cluster_id: str) -> None:
        """Said when the worker has joined: before anything is written."""
        if cluster_id != self.cluster_id:
            self.cluster_id = cluster_id
            self._write_cluster()

    def _write_cluster(self) -> None:
        (self._own.path / _CLUSTER).write_text(self.cluster_id)

    def _keep_own(self) -> None:
        """Until it is there again, nothing can be written: that is what is told of it."""
        if self._own.path.exists():
            return
        with contextlib.suppress(OSError):  # told by who cannot write
            self._own.restore()
            self._write_cluster()
            log.error("Somebody removed %s, with what was not delivered of the request log.", self._own.path)

    def look_around(self) -> None:
        """Take over what workers of this cluster have left that are gone."""
        known = {run.path for run in self._runs}
        for path in sorted(self._own.path.parent.glob(f"{RUN}*")):
            run = Run.take(path) if path not in known and self._is_ours(path) else None
            if run is not None and run.segments():
                log.info("Reading what is left of the request log in %s.", path)
            if run is not None:
                self._runs.append(run)

    def _is_ours(self, run: Path) -> bool:
        try:
            return (run / _CLUSTER).read_text() == self.cluster_id
        except FileNotFoundError:  # it never joined, and wrote nothing
            return True
        except OSError:  # somebody else's
            return False

    def next(self, reader: str) -> Portion | None:
        """The next records; the same again until `done` is said of them. None when all is read."""
        self._keep_own()
        portion = Portion()
        for run in list(self._runs):
            for path in run.segments():
                if portion.is_full:
                    return portion
                segment = self._segments.setdefault(
                    path, Segment(path, dict.fromkeys(self._readers, len(MAGIC)))
                )
                while self._read(segment, reader, portion):
                    pass
            self._close(run)
        return portion if portion.records else None

    def done(self, portion: Portion, reader: str) -> None:
        for segment, end in portion.ends:
            segment.offsets[reader] = end

    def skip(self, reader: str) -> int:
        """Count everything there is as read; how many bytes were not."""
        skipped = 0
        while (portion := self.next(reader)) is not None:
            skipped += sum(end - segment.offsets[reader] for segment, end in portion.ends)
            self.done(portion, reader)
        return skipped

    def _read(self, segment: Segment, reader: str, portion: Portion) -> bool:
        """Whether it has stepped over damage, and there may be more behind it."""
        offset = segment.offsets[reader]
        try:
            descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            del self._segments[segment.path]
            return False
        try:
            # Asked before it is read: what came between would be missed.
            segment.is_finished = segment.is_finished or try_lock(descriptor)
            data = os.pread(descriptor, portion.room, offset)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        piece = divide(data, at_most=MAX_RECORDS - len(portion.records))
        if piece.records:
            portion.records += piece.records
            portion.ends.append((segment, offset + piece.length))
            portion.room -= piece.length
        elif segment.is_finished:
            self._step_over(segment, reader, data, size)
            return segment.offsets[reader] < size
        return False

    def _step_over(self, segment: Segment, reader: str, data: bytes, size: int) -> None:
        """`data` begins with no record, and nobody writes any more: to the next one, or to the end of the file."""
        offset = segment.offsets[reader]
        segment.offsets[reader] = after = offset + next_border(data, is_all=offset + len(data) >= size)
        if after > offset and reader == self._readers[0]:
            self.damaged_bytes += after - offset
            segment.is_damaged = segment.is_damaged or after < size
            log.error(
                "%d bytes of %s are no record: %s.",
                after - offset,
                segment.path,
                "the file is damaged"
                if after < size
                else "who wrote it was killed meanwhile, or it is damaged",
            )
        if all(offset >= size for offset in segment.offsets.values()):
            self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        del self._segments[segment.path]
        if not segment.is_damaged:
            segment.path.unlink(missing_ok=True)
            return
        kept = self._own.path.parent / f"{segment.path.stem}{_DAMAGED}"
        log.error("What is readable of %s was delivered. It is kept as %s.", segment.path, kept)
        segment.path.rename(kept)

    def _close(self, run: Run) -> None:
        """Another's run with nothing left in it."""
        if run is not self._own and not run.segments():
            self._runs.remove(run)
            run.remove()
