"""How often somebody may do something: token buckets, one for each person or code; pure.

Nobody is told from others by address, which a whole classroom shares. Each web process counts for itself, so
with two of them twice as much gets through. Nothing here may look at a clock or at a request.
Source: token bucket, as in RFC 2697, section 3.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

MOST_KEYS = 10_000
"""So many are remembered; who has not come for the longest time is forgotten, and begins anew."""


@dataclass(frozen=True)
class Rate:
    """How often.

    Args:
        burst: how many times at once.
        per_second: how many times in the long run.
    """

    burst: int
    per_second: float


class Limit:
    """One limit, for any number of people or codes.

    Args:
        rate: how often each of them may.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """Count one time.

        Args:
            key: who, or which code.
            now: seconds on a clock that never goes back.

        Returns:
            Zero if it may be done; else the seconds until it may be, and nothing was counted.
        """
        wait = self.wait(key, now)
        if not wait:
            self._levels[key] = (self._level(key, now) - 1, now)
            self._levels.move_to_end(key)
            while len(self._levels) > MOST_KEYS:
                self._levels.popitem(last=False)
        return wait

    def wait(self, key: str, now: float) -> float:
        """The seconds until it may be done once more; zero for now. Nothing is counted."""
        return max(0.0, (1 - self._level(key, now)) / self._rate.per_second)

    def _level(self, key: str, now: float) -> float:
        level, then = self._levels.get(key, (float(self._rate.burst), now))
        return min(float(self._rate.burst), level + max(0.0, now - then) * self._rate.per_second)


def retry_after(seconds: float) -> str:
    """Seconds as a header says them: whole ones, and never too few. Source: RFC 9110, section 10.2.3."""
    return str(math.ceil(seconds))
