"""Pauses between attempts: they grow, and are drawn by lot, so that a thousand peers do not come back together."""

import secrets

_FIRST, _LONGEST = 0.5, 30.0
_chance = secrets.SystemRandom()


class Pauses:
    def __init__(self) -> None:
        self._next = _FIRST

    def reset(self) -> None:
        self._next = _FIRST

    def take(self) -> float:
        """Half of it is certain, half is by lot."""
        pause, self._next = self._next, min(2 * self._next, _LONGEST)
        return pause * _chance.uniform(0.5, 1)
