"""Lines of a stream, as they come."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.cli.line_batches import line_batches
from session_cli.errors import UnreadableInput


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def feed(writing: int, *parts: bytes, pause: float = 0.0) -> threading.Thread:
    """Write the parts one by one, then close."""

    def work() -> None:
        for part in parts:
            os.write(writing, part)
            time.sleep(pause)
        os.close(writing)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)), st.integers(1, 7))
def test_however_it_is_torn(lines: list[str], size: int) -> None:
    lines = [line.replace("\n", " ") for line in lines]
    data = "\n".join(lines).encode()
    reading, writing = os.pipe()
    thread = feed(writing, *(data[at : at + size] for at in range(0, len(data), size)))
    assert list(line_batches(reading, 0, 2000)) == [line.rstrip("\r") for line in lines if line.strip()]
    thread.join()
    os.close(reading)


def test_each_comes_before_the_next_is_written(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    batches = line_batches(reading, 0, 2000)
    for text in ("one", "two"):
        os.write(writing, f"{text}\n".encode())
        assert next(batches) == text
    os.write(writing, b"no end")
    os.close(writing)
    assert list(batches) == ["no end"]


def test_bytes_that_are_no_text(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    feed(writing, b"a\xff\xc3\nb\xe2", b"\x82", b"\xac\r\n\0\n \t \n").join()
    assert list(line_batches(reading, 0, 2000)) == ["a\\xff\\xc3", "b€", "\0"]


def test_a_burst_is_one_message(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    batches = line_batches(reading, 30, 12)
    os.write(writing, b"one\ntwo\nthree\nfour\n")
    assert next(batches) == "one\ntwo", "a third line would make it longer than it may be"
    os.write(writing, b"x" * 40 + b"\n")
    assert next(batches) == "three\nfour"
    os.write(writing, b"last")
    os.close(writing)
    assert list(batches) == ["x" * 40, "last"]


def test_a_burst_ends_by_itself(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    batches = line_batches(reading, 0.05, 2000)
    os.write(writing, b"one\ntwo\nthr")
    assert next(batches) == "one\ntwo"
    os.write(writing, b"ee\n")
    assert next(batches) == "three"
    os.close(writing)


def test_a_line_without_end_takes_no_more_than_a_megabyte(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    thread = feed(writing, *[b"x" * 65_536] * 40, b"\nnext\n")
    long, following = line_batches(reading, 0, 2000)
    thread.join()
    assert long.startswith("x" * (1 << 20))
    assert long.endswith("longer than a megabyte]")
    assert len(long) < (1 << 20) + 100
    assert following == "next"


def test_a_pipe_that_does_not_wait(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(reading, False)
    thread = feed(writing, b"one\n", b"two", pause=0.05)
    assert list(line_batches(reading, 0, 2000)) == ["one", "two"]
    thread.join()


def test_what_can_not_be_read(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(UnreadableInput, match="Is a directory"):
        list(line_batches(folder, 0, 2000))
    os.close(folder)
