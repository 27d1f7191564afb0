"""Time: what the network thinks it is, and how long we are willing to wait."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import RequestTimeout

TOLERANCE_MS = 2_000
"""A clock this close to the network's is left alone: signatures are accepted within 60 s."""


class NetworkClock:
    """The local clock plus what the network's answers showed it to be wrong by."""

    def __init__(self, offset_ms: int = 0, *, local_ms: Callable[[], int] | None = None) -> None:
        self.offset_ms = offset_ms
        self._local_ms = local_ms or (lambda: time.time_ns() // 1_000_000)

    def now_ms(self) -> int:
        """Network time in ms since 1970."""
        return self._local_ms() + self.offset_ms

    def learn(self, network_ms: int) -> None:
        """Take over what the network's clock says now, if ours is further off than the tolerance."""
        difference = network_ms - self.now_ms()
        if abs(difference) > TOLERANCE_MS:
            self.offset_ms += difference


class Deadline:
    """The moment by which a whole operation must be done, however many requests it takes."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def limit(self, seconds: float) -> float:
        """At most `seconds`, at most what is left. Raises RequestTimeout when nothing is left."""
        if self._end is None:
            return seconds
        left = self._end - time.monotonic()
        if left <= 0:
            raise RequestTimeout("The time allowed by --timeout is used up.")
        return min(seconds, left)
