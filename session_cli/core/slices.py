"""Parts of streams that are files of their own to whoever reads them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from .spool import CHUNK

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_ENDLESS = 2**63


class _Slice(io.RawIOBase):
    """Up to so many bytes: first those that were read already, then those of a stream, which stays open."""

    def __init__(self, head: bytes, source: BinaryIO, most: int, seen: Callable[[bytes], object]) -> None:
        self._head = head
        self._source = source
        self._left = most
        self._seen = seen

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        room = min(len(view), self._left)
        data = self._head[:room] if self._head else self._source.read(room) if room else b""
        self._head = self._head[len(data) :]
        self._left -= len(data)
        self._seen(data)
        view[: len(data)] = data
        return len(data)


def rejoined(head: bytes, source: BinaryIO) -> BinaryIO:
    """A stream from which `head` was read already, as it was."""
    return io.BufferedReader(_Slice(head, source, _ENDLESS, lambda _: None), CHUNK)


class Slicer:
    """A stream in slices of up to `size` bytes; `sha256` is that of all that was read."""

    def __init__(self, source: BinaryIO, size: int) -> None:
        self._source = source
        self._size = size
        self._ahead = b""
        self.sha256 = hashlib.sha256()
        self.part_sha256 = hashlib.sha256()
        """Of the current slice."""

    def next(self) -> BinaryIO:
        """The next slice, to be read to its end."""
        self.part_sha256 = hashlib.sha256()
        return io.BufferedReader(_Slice(self._ahead, self._source, self._size, self._note), CHUNK)

    def has_more(self) -> bool:
        """Whether something comes behind the slices so far. Raises OSError."""
        self._ahead = self._source.read(1)
        return bool(self._ahead)

    def _note(self, data: bytes) -> None:
        self.sha256.update(data)
        self.part_sha256.update(data)
