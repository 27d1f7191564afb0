"""Which swarm holds which account (the arithmetic of the storage servers)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from .account import key_of

NO_SWARM = 2**64 - 1
"""The id that marks "no swarm"; never a swarm."""
_MASK = 2**64 - 1


def swarm_position(account_id: str) -> int:
    """Where an id (66 hex digits, any prefix) stands on the ring of 64-bit numbers.

    The exclusive or of the four big-endian words of its key.
    """
    key = key_of(account_id)
    position = 0
    for start in range(0, 32, 8):
        position ^= int.from_bytes(key[start : start + 8], "big")
    return position


def swarm_for(account_id: str, swarm_ids: Iterable[int]) -> int | None:
    """The swarm nearest on the ring to the account; None if there are no swarms. A tie goes left."""
    return nearest_swarm(swarm_position(account_id), swarm_ids)


def nearest_swarm(position: int, swarm_ids: Iterable[int]) -> int | None:
    """The id nearest to a position on the ring of 2^64 numbers, wrapping at its ends."""
    ids = sorted(set(swarm_ids) - {NO_SWARM})
    if not ids:
        return None
    index = bisect_left(ids, position)
    right = ids[index % len(ids)]
    left = ids[index - 1]
    return right if (right - position) & _MASK < (position - left) & _MASK else left
