"""Who has a profile's store open: all share a lock as long, and who replaces or rewrites the store holds it alone.

The lock lies in the profile's folder, and goes where that goes.
"""

from __future__ import annotations

from pathlib import Path

from ..file_lock import SharedLock, SoleLock

LOCK_NAME = "store.lock"
_PATIENCE_S = 30.0


def share_store(profile_dir: Path, timeout_s: float = _PATIENCE_S, *, create: bool = True) -> SharedLock | None:
    """Enter the lock of those who have the store open; to be left when it is closed.

    None if the folder was moved away at this very moment: look again where the profile is. Where there can be no lock,
    one is returned that is not held. Raises StoreLocked.
    """
    lock = SharedLock(profile_dir / LOCK_NAME, timeout_s, purpose="to open the store", create=create)
    while True:
        entered = lock.__enter__()
        if entered.held:
            return entered
        if not entered.release():
            return entered if profile_dir.is_dir() else None


def claim_store(profile_dir: Path, timeout_s: float, *, purpose: str) -> SoleLock:
    """The lock of who wants the store alone, to be entered. That raises StoreLocked, StoreUnwritable."""
    return SoleLock(profile_dir / LOCK_NAME, timeout_s, purpose=purpose)
