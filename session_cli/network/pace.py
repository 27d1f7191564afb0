"""How long we wait for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `request` limits one attempt at a request, `build` the search for a path that works, `guard` the test of
    a guard, `seed` a question to a seed.

    A transfer may stand still for `idle` seconds, and for longer while the nodes on the way pass a large file on.

    Before `patience`, which follows the latency seen lately, no second attempt is made beside a silent one. A second
    one costs little: storing the same bytes twice leaves one copy. (A member that stores waits 5 s for peers that are
    silent, before it answers.)
    """

    request: float = 10.0
    guard: float = 5.0
    seed: float = 10.0
    idle: float = 15.0
    least_patience: float = 1.0
    most_patience: float = 4.0
    unknown_patience: float = 2.0
    build: float = 20.0

    @property
    def silence(self) -> float:
        """How long a node that is there and asked directly is never silent."""
        return 2 * self.least_patience

    def patience(self, latency_ms: int | None) -> float:
        """How long an attempt may be silent on a path whose requests take `latency_ms`."""
        if latency_ms is None:
            return self.unknown_patience
        return min(self.most_patience, max(self.least_patience, 4 * latency_ms / 1000))

    def idle_limit(self, size: int) -> float:
        """How long a transfer of so many bytes may stand still."""
        return self.idle + min(size, _LARGEST) / 2_000_000


DIRECT = Pace()
PROXIED = Pace(30.0, 20.0, 30.0, 45.0, 4.0, 12.0, 8.0, 60.0)
"""Through Tor everything takes several times as long."""


_LARGEST = 200_000_000
"""No file server takes more; what a message says of a file's size may be anything."""


def transfer_limit(size: int) -> float:
    """Seconds for a transfer of so many bytes: a minute, and as long again as it takes at 64 kB/s."""
    return 60.0 + min(size, _LARGEST) / 64_000
