"""A progress bar for what takes long."""

from __future__ import annotations

import atexit
from contextlib import ExitStack

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from .. import signals


class ProgressBar:
    """Draws one bar a step on standard error, and takes it away when the program ends."""

    def __init__(self, *, of_bytes: bool = True) -> None:
        counts: list[ProgressColumn] = [DownloadColumn(), TransferSpeedColumn()] if of_bytes else [MofNCompleteColumn()]
        self._progress = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            *counts,
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._registered = ExitStack()

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Show that `done` of `total` (None: unknown) of a step are done."""
        if not self._tasks:
            self._progress.start()
            atexit.register(self._progress.stop)
            self._registered = signals.undo_when_killed(self._progress.stop)
        task = self._tasks.get(step)
        if task is None:
            task = self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(task, completed=done, total=total)
        if total is not None and done >= total:
            # A second file with the same step draws a bar of its own.
            del self._tasks[step]
            self._progress.remove_task(task)
        if not self._tasks:
            self._progress.stop()
            self._registered.close()
            atexit.unregister(self._progress.stop)
