"""Time: what the network thinks it is, and how long we are willing to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..errors import RequestTimeout

TOLERANCE_MS = 2_000
"""A clock this close to the network's is left alone: signatures are accepted within 60 s."""
AGREEMENT_MS = 10_000
SAMPLES_KEPT = 5


class NetworkClock:
    """The local clock plus what the network's answers showed it to be wrong by.

    Every answer of a service node carries the node's time. No single node is believed, since it could send our
    messages into the far future: our clock is left alone until the last five nodes that answered agree that it is
    wrong.
    `samples` maps a node (Ed25519 hex) to how many ms its clock was ahead of ours, oldest first.
    """

    def __init__(
        self,
        offset_ms: int = 0,
        samples: dict[str, int] | None = None,
        *,
        local_ms: Callable[[], int] | None = None,
    ) -> None:
        self.offset_ms = offset_ms
        self.samples = dict(samples or {})
        self._local_ms = local_ms or (lambda: time.time_ns() // 1_000_000)
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Network time in ms since 1970."""
        return self._local_ms() + self.offset_ms

    def local_ms(self) -> int:
        """This machine's time in ms since 1970."""
        return self._local_ms()

    def observe(self, node: str, ahead_ms: int) -> bool:
        """Note how far a node's clock was ahead of this machine's, and follow the median if it is clear enough.

        Returns whether anything was learnt that the next run should know.
        """
        with self._lock:
            told = len(self.samples) < SAMPLES_KEPT and node not in self.samples
            told |= abs(ahead_ms - self.offset_ms) > TOLERANCE_MS
            self.samples.pop(node, None)
            self.samples[node] = ahead_ms
            while len(self.samples) > SAMPLES_KEPT:
                del self.samples[next(iter(self.samples))]
            if len(self.samples) >= SAMPLES_KEPT:
                self._follow(list(self.samples.values()), SAMPLES_KEPT)
            return told

    def settle(self, ahead_ms: dict[str, int]) -> bool:
        """Take over what several nodes answered when they were asked for the time, if four of five agree.

        Of fewer, all must, and at least three. Returns whether they do; what was known before is forgotten then.
        """
        with self._lock:
            needed = max(3, len(ahead_ms) - len(ahead_ms) // 5)
            if not self._follow(list(ahead_ms.values()), needed):
                return False
            self.samples = dict(ahead_ms)
            return True

    def _follow(self, ahead_ms: list[int], needed: int) -> bool:
        """Follow the middle of several nodes' clocks, if so many of them are close to it."""
        middle = sorted(ahead_ms)[len(ahead_ms) // 2] if ahead_ms else 0
        if sum(abs(ahead - middle) <= AGREEMENT_MS for ahead in ahead_ms) < needed:
            return False
        if abs(middle - self.offset_ms) > TOLERANCE_MS:
            self.offset_ms = 0 if abs(middle) <= TOLERANCE_MS else middle
        return True


class Deadline:
    """The moment by which a whole operation must be done, however many requests it takes."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds that are left, at least 0; None if there is no end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def limit(self, seconds: float) -> float:
        """At most `seconds`, at most what is left. Raises RequestTimeout when nothing is left."""
        left = self.left()
        if left is None:
            return seconds
        if left <= 0:
            raise RequestTimeout("The time allowed by --timeout is used up.")
        return min(seconds, left)

    def within(self, seconds: float) -> Deadline:
        """A deadline `seconds` from now, or this one if that comes first."""
        left = self.left()
        return Deadline(seconds if left is None else min(seconds, left))
