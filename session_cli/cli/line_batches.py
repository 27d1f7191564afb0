"""Reading a stream as lines that are to be sent: each for itself, or those of a burst together."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

from ..errors import UnreadableInput

_CHUNK = 65_536
_LONGEST_LINE = 1 << 20
_CUT = " … [cut here: the line is longer than a megabyte]"


def line_batches(descriptor: int, seconds: float, longest: int) -> Iterator[str]:
    """Yield the lines of a stream as they come, without their ends; blank ones are left out.

    With `seconds` > 0, lines that come within that time after the first are joined, up to `longest` characters.
    Bytes that are no UTF-8 are shown as \\xNN, since a log's lines have to get through. The last line needs no end.
    Of a line without end only the first megabyte is kept. Raises UnreadableInput.
    """
    lines = _Lines(descriptor)
    for first in lines:
        text = first
        until = time.monotonic() + seconds
        while seconds > 0 and (line := lines.next_before(until)) is not None:
            if len(text) + 1 + len(line) > longest:
                lines.put_back(line)
                break
            text += "\n" + line
        yield text


class _Lines:
    """The lines of a descriptor, also those that come before a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: list[str] = []
        self._rest = bytearray()
        self._cut = False
        self._ended = False

    def __iter__(self) -> Iterator[str]:
        while (line := self.next_before(None)) is not None:
            yield line

    def next_before(self, until: float | None) -> str | None:
        """The next line; None if there are no more, or none by this time (`time.monotonic`)."""
        while not self._waiting:
            if self._ended or not self._readable(until):
                return None
            self._read()
        return self._waiting.pop(0)

    def put_back(self, line: str) -> None:
        self._waiting.insert(0, line)

    def _readable(self, until: float | None) -> bool:
        if until is None:
            return True
        left = until - time.monotonic()
        return left > 0 and bool(select.select([self._descriptor], [], [], left)[0])

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            select.select([self._descriptor], [], [])
            return
        except OSError as error:
            raise UnreadableInput(f"Can't read standard input: {error.strerror}.") from None
        first, *others = data.split(b"\n")
        self._add(first)
        for part in others:
            self._end_line()
            self._add(part)
        if not data:
            self._ended = True
            self._end_line()

    def _add(self, part: bytes) -> None:
        room = _LONGEST_LINE - len(self._rest)
        self._rest += part[:room]
        self._cut |= len(part) > room

    def _end_line(self) -> None:
        text = self._rest.decode("utf-8", errors="backslashreplace").rstrip("\r")
        if text.strip():
            self._waiting.append(text + _CUT if self._cut else text)
        self._rest.clear()
        self._cut = False
