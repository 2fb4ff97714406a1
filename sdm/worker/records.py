"""What a session tells the request log.

One `RequestLog` for each process, one `SessionLog` for each session. The order is the point: a request is on disk
when `request` returns, and only then may it go on to the resource. How it ended is written when `flush` is called,
which the owner of the process does every few milliseconds: many at once cost half as much as one after the other.
"""

import hashlib
import threading
import time
from collections import deque
from pathlib import Path

from sdm.contract.endings import Ending
from sdm.contract.parameters import NO_PARAMETERS, Parameters
from sdm.contract.records import set_parameters
from sdm.contract.v1 import records_pb2 as pb
from sdm.worker.config import Audit, Config
from sdm.worker.spool import Spool

# Longer texts are cut and say so; their hash is of the whole.
MAX_TEXT = 1 << 16
MAX_WORDS = 500
# Of requests that have ended and are not written yet.
_MAX_WAITING = 1_000
# A message keeps what was ever assigned to its fields: after as many bytes it is made anew.
_RENEW_AFTER = 1 << 16
_OWN_BYTES = 100
_NANOSECONDS = 1_000_000_000


class _Encoder:
    """The two frequent records as bytes. Filling one message again takes half as long as making one each time."""

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        started = pb.Record(request_started=pb.RequestStarted())
        completed = pb.Record(request_completed=pb.RequestCompleted())
        self._started = started, started.at, started.request_started
        self._completed = completed, completed.at, completed.request_completed
        self._used = 0

    def started(
        self,
        session_id: str,
        number: int,
        text: bytes,
        length: int,
        digest: bytes,
        parameters: Parameters,
    ) -> bytes:
        self._used += len(text) + _OWN_BYTES
        if self._used > _RENEW_AFTER:
            self._renew()
        record, at, request = self._started
        at.seconds, at.nanos = divmod(time.time_ns(), _NANOSECONDS)
        record.session_id = session_id
        request.number = number
        request.text = text
        request.text_length = length
        if digest or parameters.values:
            request.sha256 = digest
            set_parameters(request, parameters)
            self._used = _RENEW_AFTER  # it is not used again
        return record.SerializeToString()

    def completed(
        self,
        moment: int,
        session_id: str,
        number: int,
        microseconds: int,
        rows: int | None,
        sent: int,
        received: int,
        result: str,
        error: str,
        digest: bytes,
    ) -> bytes:
        self._used += _OWN_BYTES
        if self._used > _RENEW_AFTER:
            self._renew()
        record, at, request = self._completed
        at.seconds, at.nanos = divmod(moment, _NANOSECONDS)
        record.session_id = session_id
        request.number = number
        request.microseconds = microseconds
        if rows is None:
            request.ClearField("rows")
        else:
            request.rows = rows
        request.bytes_sent = sent
        request.bytes_received = received
        request.result = result
        request.error = error
        if digest or request.sha256:
            request.sha256 = digest
        return record.SerializeToString()


# A request that is under way: its number in the session, and the moment at which it began.
Begun = tuple[int, int]
# Arguments of `_Encoder.completed`.
_Completed = tuple[int, str, int, int, int | None, int, int, str, str, bytes]


class RequestLog:
    """The log of one process, for all its threads. `spool` and `encoder` are for who holds `lock`."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.encoder = _Encoder()
        # A segment has one order, and the front and the relay thread both write.
        self.lock = threading.Lock()
        self._completed: deque[_Completed] = deque()

    @classmethod
    def begin(cls, run: Path, config: Config) -> "RequestLog":
        strict = config.audit is Audit.STRICT
        return cls(Spool(run, limit=config.spool_bytes, processes=config.workers, strict=strict))

    def session(self, session_id: str) -> "SessionLog":
        return SessionLog(self, session_id)

    @property
    def problem(self) -> str:
        """Why nothing can be written now, for an operator; empty when all is well. `flush` finds out that it is."""
        return self.spool.problem

    @property
    def lost(self) -> int:
        """How many records are nowhere: in strict operation only such as tell how a request or a session ended."""
        return self.spool.lost

    @property
    def is_idle(self) -> bool:
        """Whether `flush` has nothing to do."""
        return not self._completed and self.spool.is_idle

    def add_completed(self, *told: *_Completed) -> None:
        """On disk with the next `flush`."""
        self._completed.append(told)
        if len(self._completed) >= _MAX_WAITING:
            self.flush()

    def flush(self) -> None:
        """To be called every few milliseconds; it costs nothing when there is nothing to do."""
        if self.is_idle:
            return
        with self.lock:
            self.encode_completed()
            self.spool.flush()

    def encode_completed(self) -> None:
        """For who holds `lock`."""
        waiting, encode, add = self._completed, self.encoder.completed, self.spool.add
        while waiting:
            add(encode(*waiting.popleft()))

    def close(self) -> None:
        with self.lock:
            self.encode_completed()
            self.spool.close()


class SessionLog:
    """The log of one session. `started` and `request` raise SpoolUnavailable: then nothing may go on."""

    __slots__ = ("_has_ended", "_log", "_resumes_at", "requests", "session_id")

    def __init__(self, log: RequestLog, session_id: str) -> None:
        self._log = log
        self.session_id = session_id
        self.requests = 0
        self._has_ended = False
        self._resumes_at = 0.0

    @property
    def pause(self) -> float:
        """For how many seconds no more requests should be taken: the log has little room left, and this session has
        written more than its share."""
        return max(0.0, self._resumes_at - time.monotonic()) if self._resumes_at else 0.0

    def started(
        self,
        *,
        account_id: str,
        resource_id: str,
        kind: str,
        worker_id: str,
        client_address: str,
        account_name: str = "",
        resource_name: str = "",
    ) -> None:
        record = pb.Record(
            session_id=self.session_id,
            session_started=pb.SessionStarted(
                account_id=account_id,
                resource_id=resource_id,
                kind=kind,
                worker_id=worker_id,
                client_address=client_address,
                account_name=account_name,
                resource_name=resource_name,
            ),
        )
        with self._log.lock:
            self._log.spool.write(_stamped(record))

    def request(
        self, text: bytes, *, length: int = 0, digest: bytes = b"", parameters: Parameters = NO_PARAMETERS
    ) -> Begun | None:
        """Of a request that is about to be sent; for `completed`. None: in relaxed operation, it is nowhere.

        Who has only the beginning of a text says how long all of it is, and its digest here or with `completed`. That
        of a whole text is calculated by who reads the log. `parameters` are as many as a record takes.
        """
        length = length or len(text)
        if len(text) > MAX_TEXT:
            digest = digest or hashlib.sha256(text).digest()
            text = text[:MAX_TEXT]
        number = self.requests + 1
        log = self._log
        with log.lock:
            record = log.encoder.started(self.session_id, number, text, length, digest, parameters)
            is_written = log.spool.write(record)
        self.requests = number
        if log.spool.rate:
            self._resumes_at = time.monotonic() + self.pause + len(record) / log.spool.rate
        return (number, time.monotonic_ns()) if is_written else None

    def completed(
        self,
        begun: Begun | None,
        *,
        rows: int | None = None,
        bytes_sent: int = 0,
        bytes_received: int = 0,
        result: str = "",
        error: str = "",
        digest: bytes = b"",
    ) -> None:
        if begun is None:  # an end without a beginning tells nobody anything
            return
        number, since = begun
        took = (time.monotonic_ns() - since) // 1_000
        if len(result) > MAX_WORDS or len(error) > MAX_WORDS:
            result, error = result[:MAX_WORDS], error[:MAX_WORDS]
        now = time.time_ns()
        self._log.add_completed(
            now, self.session_id, number, took, rows, bytes_sent, bytes_received, result, error, digest
        )

    def refused(
        self,
        reason: str,
        message: str,
        *,
        account_id: str,
        resource_id: str,
        worker_id: str,
        client_address: str,
        left_out: int,
    ) -> None:
        """Instead of all the others: there will be no session. It is written with the next `flush`."""
        record = pb.Record(
            session_id=self.session_id,
            session_refused=pb.SessionRefused(
                reason=reason,
                message=message[:MAX_WORDS],
                account_id=account_id,
                resource_id=resource_id,
                worker_id=worker_id,
                client_address=client_address,
                left_out=left_out,
            ),
        )
        with self._log.lock:
            self._log.spool.add(_stamped(record))

    def ended(
        self, reason: Ending, message: str = "", *, bytes_sent: int = 0, bytes_received: int = 0
    ) -> None:
        """Said once; what is said after it is not heard. It never raises: the session is over in any case."""
        if self._has_ended:
            return
        self._has_ended = True
        record = pb.Record(
            session_id=self.session_id,
            session_ended=pb.SessionEnded(
                reason=reason,
                message=(message or reason.sentence)[:MAX_WORDS],
                requests=self.requests,
                bytes_sent=bytes_sent,
                bytes_received=bytes_received,
            ),
        )
        with self._log.lock:
            self._log.encode_completed()
            self._log.spool.add(_stamped(record))
            self._log.spool.flush()


def _stamped(record: pb.Record) -> bytes:
    record.at.seconds, record.at.nanos = divmod(time.time_ns(), _NANOSECONDS)
    return record.SerializeToString()
