"""Slows down who asks too often, in the memory of this process: a row for each attempt would be the attack itself."""

import time
from collections import OrderedDict

from clusters.workers import Refused
from sdm.contract.reasons import Reason

# As many counters are kept; who has been quiet for longest is forgotten first.
MAX_COUNTERS = 50_000


class Limit:
    """So many in a minute for each key."""

    def __init__(self, a_minute: int) -> None:
        self._a_minute = a_minute
        self._counters: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check(self, key: str) -> None:
        """Refused when `key` has used up its minute."""
        begun, count = self._counters.get(key, (0.0, 0))
        if count >= self._a_minute and time.monotonic() - begun < 60:
            raise Refused(Reason.TOO_MANY)

    def count(self, key: str) -> None:
        now = time.monotonic()
        begun, count = self._counters.pop(key, (now, 0))
        self._counters[key] = (begun, count + 1) if now - begun < 60 else (now, 1)
        if len(self._counters) > MAX_COUNTERS:
            self._counters.popitem(last=False)


def _with_key(address: str, access_key: str) -> str:
    """A message may be a megabyte, and counters are kept."""
    return f"{address} {access_key[:32]}"


class JoiningLimits:
    """Hundreds of workers behind one address may join at once; guessing may not go on for long."""

    def __init__(self) -> None:
        self.calls = Limit(3_000)
        self.refused_from_address = Limit(120)
        self.refused_with_key = Limit(20)

    def admit(self, address: str, access_key: str) -> None:
        self.refused_from_address.check(address)
        self.refused_with_key.check(_with_key(address, access_key))
        self.calls.check(address)
        self.calls.count(address)

    def refused(self, address: str, access_key: str) -> None:
        self.refused_from_address.count(address)
        self.refused_with_key.count(_with_key(address, access_key))


class ClientLimits:
    """An office behind one address comes to work at once; a program that asks without pause, or guesses, is slowed."""

    def __init__(self) -> None:
        self._begins = Limit(60)
        self._polls = Limit(3_000)
        self._polls_of_a_login = Limit(90)
        self._wrong = Limit(60)
        self._renewals = Limit(10)
        self._tickets = Limit(600)

    def begin(self, network: str) -> None:
        self._take(self._begins, network)

    def poll(self, network: str, login_id: str = "") -> None:
        self._wrong.check(network)
        self._take(self._polls, network)
        if login_id:
            self._take(self._polls_of_a_login, login_id[:32])

    def wrong(self, network: str) -> None:
        self._wrong.count(network)

    def renew(self, login_id: str) -> None:
        self._take(self._renewals, login_id)

    def ticket(self, login_id: str) -> None:
        self._take(self._tickets, login_id)

    @staticmethod
    def _take(limit: Limit, key: str) -> None:
        limit.check(key)
        limit.count(key)
