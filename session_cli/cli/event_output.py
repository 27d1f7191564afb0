"""Writing events to standard output, so that each is written once, whatever happens in between.

Lines go out in pieces that the system writes in one go, and count as taken as soon as they are written. Between the
two a kill can come. Where standard output is a file, the place of each piece is noted before, and the next run looks
whether it is there; where it is a pipe, nobody can know, and such a piece is written again.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .. import signals

if TYPE_CHECKING:
    from ..core.inbox import Batch
    from ..core.model import Event
    from ..store.readers import Writing

PIECE_BYTES = 4096
"""What a pipe takes as a whole or not at all (POSIX demands less, Linux promises this)."""
_LOOKED_THROUGH = 1 << 20
Render = Callable[["Event"], bytes]


class EventWriter:
    """Writes the events of one reader to standard output, each as `render` has it: whole lines."""

    def __init__(self, render: Render) -> None:
        sys.stdout.flush()
        self._render = render
        self._out = sys.stdout.fileno()

    def write(self, batch: Batch) -> None:
        """Write a batch, and take what has been written. Raises OSError, with everything before it taken."""
        for events, lines in self._pieces(batch.events):
            place = self._place()
            if place is not None:
                batch.announce(events, *place)
            data, written = b"".join(lines), 0
            try:
                while len(data) - written > PIECE_BYTES:
                    written += self._write(data[written : written + PIECE_BYTES])
                self._wait_for_room()
                # What fits goes out without waiting, and a signal does not come between that and noting it.
                with signals.deferred():
                    while written < len(data):
                        written += self._write(data[written:])
                    batch.take(events)
            except OSError as error:
                whole = _whole_lines(lines, written)
                if place is not None and os.fstat(self._out).st_size == place[2] + written:
                    self._cut_off(written - sum(map(len, lines[:whole])))
                batch.take(events[:whole])
                raise _explained(error) from None

    def write_one(self, event: Event) -> None:
        """Write one event, and leave it to the caller when it counts as taken. Raises OSError."""
        data = self._render(event)
        try:
            while data:
                data = data[self._write(data) :]
        except OSError as error:
            raise _explained(error) from None

    def recall(self, events: Sequence[Event], writing: Writing) -> int:
        """How many of the events, which a killed process was about to write to this file, are in it.

        The beginning of a line that was cut off by the kill is removed.
        """
        place = self._place()
        if place is None or place[:2] != (writing.device, writing.inode) or place[2] < writing.offset:
            return 0
        try:
            # Standard output is mostly open for writing alone.
            with Path(f"/proc/self/fd/{self._out}").open("rb") as file:
                file.seek(writing.offset)
                found = file.read(_LOOKED_THROUGH)
                at_end = not file.read(1)
        except OSError:
            return 0
        lines = [self._render(event) for event in events]
        begin = found.find(lines[0]) if lines else -1
        if begin < 0:
            if at_end and lines and lines[0].startswith(found):
                self._cut_off(len(found))
            return 0
        count, rest = 0, found[begin:]
        for line in lines:
            if not rest.startswith(line):
                if at_end and line.startswith(rest):
                    self._cut_off(len(rest))
                break
            count, rest = count + 1, rest[len(line) :]
        return count

    def _pieces(self, events: Sequence[Event]) -> Iterator[tuple[list[Event], list[bytes]]]:
        some: list[Event] = []
        lines: list[bytes] = []
        for event in events:
            line = self._render(event)
            if some and sum(map(len, lines)) + len(line) > PIECE_BYTES:
                yield some, lines
                some, lines = [], []
            some.append(event)
            lines.append(line)
        if some:
            yield some, lines

    def _write(self, data: bytes) -> int:
        """Write as much as can be; returns how many bytes."""
        while True:
            try:
                return os.write(self._out, data)
            except BlockingIOError:
                self._wait_for_room()

    def _wait_for_room(self) -> None:
        """Wait until a pipe takes a piece."""
        select.select([], [self._out], [])

    def _place(self) -> tuple[int, int, int] | None:
        """Device, inode and where the next byte goes, if standard output is a file."""
        status = os.fstat(self._out)
        if not stat.S_ISREG(status.st_mode):
            return None
        if sys.platform != "win32":
            import fcntl

            if fcntl.fcntl(self._out, fcntl.F_GETFL) & os.O_APPEND:
                return status.st_dev, status.st_ino, status.st_size
        return status.st_dev, status.st_ino, os.lseek(self._out, 0, os.SEEK_CUR)

    def _cut_off(self, length: int) -> None:
        """Remove so many bytes from the end of the file: a line that was not finished."""
        if length:
            with suppress(OSError):
                end = os.fstat(self._out).st_size - length
                os.ftruncate(self._out, end)
                os.lseek(self._out, end, os.SEEK_SET)


def _explained(error: OSError) -> OSError:
    """An error of writing that says what could not be written; a broken pipe stays one."""
    reason = "it is closed" if error.errno == errno.EBADF else error.strerror
    return OSError(error.errno, f"Can't write to standard output: {reason}")


def _whole_lines(lines: Sequence[bytes], written: int) -> int:
    count = 0
    for line in lines:
        written -= len(line)
        if written < 0:
            break
        count += 1
    return count
