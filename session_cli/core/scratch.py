"""A place for what is being made: private, one at a time, and cleared of what killed processes have left in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import signals
from ..file_lock import FileLock
from ..private_files import make_private_folder

LOCK_NAME = "scratch.lock"
_LOCK_TIMEOUT_S = 60.0


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it; what can't be removed stays."""
    shutil.rmtree(path, ignore_errors=True)


def scratch_lock(parent: Path) -> FileLock:
    """Held by whoever makes something in `parent`. Entering raises StoreLocked, StoreUnwritable."""
    return FileLock(parent / LOCK_NAME, _LOCK_TIMEOUT_S, purpose="for a backup, its restoration or a compaction")


@contextmanager
def scratch_folder(parent: Path, *, discard: Callable[[Path], None] = remove_folder) -> Iterator[Path]:
    """A new private folder in `parent`, which is made if missing; gone at the end of the block, unless moved away.

    `discard` removes it, and what others have left when they were killed. Others wait for their turn.
    Raises StoreLocked, StoreUnwritable.
    """
    make_private_folder(parent)
    with scratch_lock(parent):
        for left in parent.glob(".*.scratch.tmp"):
            discard(left)
        folder = parent / f".{os.urandom(8).hex()}.scratch.tmp"

        def remove() -> None:
            if folder.exists():
                discard(folder)

        with signals.undo_when_killed(remove):
            try:
                make_private_folder(folder)
                yield folder
            finally:
                remove()
