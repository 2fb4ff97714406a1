"""Which refusals go into the log: the first few of each reason in a minute, the last, and how many there were between.

Whoever reaches a worker can be refused as often as they like, and activities are kept for good.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from sdm.worker.sessions.refusals import Refused
from sdm.worker.sessions.request import TunnelRequest

MINUTE = 60.0
# Of one reason in one process.
FEW = 3


@dataclass(frozen=True, slots=True)
class Attempt:
    refused: Refused
    request: TunnelRequest
    # The certificate of the handshake, in DER.
    shown: bytes | None
    client_address: str


class _Minute:
    __slots__ = ("began", "last", "left_out", "told")

    def __init__(self, began: float) -> None:
        self.began = began
        self.told = 1
        self.left_out = 0
        self.last: Attempt | None = None


class Attempts:
    def __init__(self) -> None:
        self._minutes: dict[str, _Minute] = {}

    def take(self, attempt: Attempt) -> bool:
        """Whether it is logged at once."""
        now, minute = time.monotonic(), self._minutes.get(attempt.refused.reason)
        if minute is None:
            self._minutes[attempt.refused.reason] = _Minute(now)
            return True
        if minute.told < FEW:
            minute.told += 1
            return True
        minute.left_out += 1
        minute.last = attempt
        return False

    def left_out(self, *, so_far: bool = False) -> Iterator[tuple[Attempt, int]]:
        """Of each reason whose minute is over, or of all: the last that was left out, and how many others were."""
        now = time.monotonic()
        for reason, minute in list(self._minutes.items()):
            if so_far or now - minute.began >= MINUTE:
                del self._minutes[reason]
                if minute.last is not None:
                    yield minute.last, minute.left_out - 1
