"""Time: what the network thinks it is, and how long we are willing to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..errors import RequestTimeout

TOLERANCE_MS = 2_000
"""A clock this close to the network's is left alone: signatures are accepted within 60 s."""
SAMPLES_KEPT = 5
SAMPLES_NEEDED = 3


class NetworkClock:
    """The local clock plus what the network's answers showed it to be wrong by.

    Every answer of a service node carries the node's time. No single node is believed, since it could send our
    messages into the far future: the offset is the median over the last answers of several different nodes.
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
            if len(self.samples) >= SAMPLES_NEEDED:
                self._follow(list(self.samples.values()))
            return told

    def settle(self, ahead_ms: dict[str, int]) -> None:
        """Take over what several nodes answered when they were asked for the time; forgets what was known before."""
        with self._lock:
            self.samples = dict(ahead_ms)
            self._follow(list(ahead_ms.values()))

    def _follow(self, ahead_ms: list[int]) -> None:
        middle = sorted(ahead_ms)[len(ahead_ms) // 2]
        if abs(middle - self.offset_ms) > TOLERANCE_MS:
            self.offset_ms = 0 if abs(middle) <= TOLERANCE_MS else middle


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
