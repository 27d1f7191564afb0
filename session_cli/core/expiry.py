"""Messages that disappear: gone at the next start, or while a process runs, and before anything else is shown.

Only what is in the store goes. A file that was saved is the user's, and stays where it is; nothing else of a message's
files is ever on this disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..store.store import Store

_OFFSET = "clock_offset_ms"
_WORTH_NOTING_MS = 1_000


def network_time(store: Store) -> Callable[[], int]:
    """A clock that tells network time, in ms, as far as the last run that was online has learnt it."""
    offset_ms = int(store.settings.get(_OFFSET) or 0)
    return lambda: time.time_ns() // 1_000_000 + offset_ms


def note_network_time(store: Store, now_ms: int) -> None:
    """Remember how far this machine's clock is from network time, which it is at this moment."""
    offset_ms = now_ms - time.time_ns() // 1_000_000
    if abs(offset_ms - int(store.settings.get(_OFFSET) or 0)) > _WORTH_NOTING_MS:
        with store.transaction():
            store.settings.set(_OFFSET, offset_ms)
        store.now_ms = network_time(store)


def purge(store: Store) -> int:
    """Delete the messages whose time has come, and events that are no news any more; returns how many messages."""
    now_ms = store.now_ms()
    due = store.timers.due(now_ms)
    if not due and not store.events.has_stale(now_ms):
        return 0
    with store.transaction():
        store.events.forget_stale(now_ms)
        return store.messages.delete(due)
