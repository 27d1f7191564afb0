"""Events on their way to standard output, and what a killed writer has left of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from session_cli.cli.event_output import PIECE_BYTES, EventWriter
from session_cli.core.inbox import Batch
from session_cli.store.readers import Writing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the file is looked at by way of /proc")


class FakeBatch:
    """Notes what a writer says of it. Events are their lines."""

    def __init__(self, *events: bytes) -> None:
        self.events = list(events)
        self.notes: list[tuple[str, Any]] = []

    def take(self, events: Sequence[bytes]) -> None:
        self.notes.append(("taken", list(events)))

    def announce(self, events: Sequence[bytes], device: int, inode: int, offset: int) -> None:
        self.notes.append(("announced", (list(events), offset)))


@contextmanager
def writing_to(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventWriter]:
    with os.fdopen(descriptor, "w", closefd=False) as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        yield EventWriter(cast(Any, lambda event: event))


@pytest.fixture(params=["append", "place"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A file with something in it, open for writing in two ways."""
    path = tmp_path / "out"
    path.write_bytes(b"older\n")
    flags = os.O_APPEND if request.param == "append" else 0
    descriptor = os.open(path, os.O_WRONLY | flags)
    os.lseek(descriptor, 0, os.SEEK_END)
    yield descriptor
    os.close(descriptor)


def contents(descriptor: int) -> bytes:
    return Path(f"/proc/self/fd/{descriptor}").read_bytes()


def as_batch(batch: FakeBatch) -> Batch:
    return cast(Batch, batch)


def test_each_piece_is_announced_written_and_taken(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = b"a" * 1500 + b"\n", b"b" * 9000 + b"\n"
    batch = FakeBatch(small, small, small, large, small)
    with writing_to(file, monkeypatch) as writer:
        writer.write(as_batch(batch))
    assert contents(file) == b"older\n" + b"".join(batch.events)
    first = 6
    expected: list[tuple[str, Any]] = []
    for piece in ([small, small], [small], [large], [small]):
        assert len(piece) == 1 or sum(map(len, piece)) <= PIECE_BYTES
        expected += [("announced", (piece, first)), ("taken", piece)]
        first += sum(map(len, piece))
    assert batch.notes == expected


def test_to_a_pipe_nothing_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    batch = FakeBatch(b"one\n", b"two\n")
    with writing_to(writing, monkeypatch) as writer:
        writer.write(as_batch(batch))
        assert writer.recall([cast(Any, b"one\n")], Writing((1,), 1, 2, 0)) == 0
    assert os.read(reading, 100) == b"one\ntwo\n"
    assert batch.notes == [("taken", [b"one\n", b"two\n"])]
    os.close(reading)
    os.close(writing)


LINES = [b"one\n", b"two\n", b"three\n"]


@pytest.mark.parametrize("left", range(len(b"".join(LINES)) + 1))
def test_what_a_killed_writer_left(left: int, file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any number of bytes: whole lines count, and the beginning of another is removed."""
    os.write(file, b"".join(LINES)[:left])
    whole = [b"".join(LINES[:count]) for count in range(len(LINES) + 1)]
    expected = max(count for count, text in enumerate(whole) if len(text) <= left)
    status = os.fstat(file)
    with writing_to(file, monkeypatch) as writer:
        found = writer.recall(cast(Any, LINES), Writing((1, 2, 3), status.st_dev, status.st_ino, 6))
        assert found == expected
        assert contents(file) == b"older\n" + whole[expected]
        writer.write(as_batch(FakeBatch(*LINES[found:])))
    assert contents(file) == b"older\n" + b"".join(LINES)


def test_lines_of_others_are_left_alone(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.fstat(file)
    writing = Writing((1, 2, 3), status.st_dev, status.st_ino, 6)
    with writing_to(file, monkeypatch) as writer:
        os.write(file, b"another's\none\ntwo\nanother's\n")
        assert writer.recall(cast(Any, LINES), writing) == 2
        os.write(file, b"thr")
        os.write(file, b"another's\n")
        assert writer.recall(cast(Any, LINES), writing) == 2
        assert contents(file).endswith(b"thranother's\n")


def test_another_file_tells_nothing(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    os.write(file, b"one\n")
    status = os.fstat(file)
    with writing_to(file, monkeypatch) as writer:
        for place in ((status.st_dev, status.st_ino + 1, 6), (status.st_dev, status.st_ino, 1000)):
            assert writer.recall(cast(Any, LINES), Writing((1, 2, 3), *place)) == 0
        assert writer.recall([], Writing((), status.st_dev, status.st_ino, 6)) == 0
    assert contents(file) == b"older\none\n"


def test_no_room(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written counts, and half a line is taken back."""
    room = 7
    write = os.write

    def little(descriptor: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        count = write(descriptor, data[:room])
        room -= count
        return count

    batch = FakeBatch(*LINES)
    with writing_to(file, monkeypatch) as writer, monkeypatch.context() as patch:
        patch.setattr(os, "write", little)
        with pytest.raises(OSError, match="Can't write to standard output: No space left"):
            writer.write(as_batch(batch))
    assert contents(file) == b"older\none\n"
    assert batch.notes[-1] == ("taken", [b"one\n"])
