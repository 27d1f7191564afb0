"""What the tests let other processes do: `python -m tests.unit.store.worker WHAT PATH [ARGUMENT]`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from session_cli.file_lock import FileLock, SharedLock
from session_cli.store.database import open_database, transaction
from session_cli.store.sharing import share_store

ROOT = Path(__file__).parents[3]
KEY = bytes(range(32))


def start(what: str, path: Path, argument: str = "") -> subprocess.Popen[str]:
    """Start this module in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, what, path, argument], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def hold_lock(path: Path, _argument: str) -> None:
    with FileLock(path, 10):
        print("held", flush=True)
        time.sleep(60)


def share_lock(path: Path, _argument: str) -> None:
    with SharedLock(path, 10, purpose=""):
        print("held", flush=True)
        time.sleep(60)


def open_file(path: Path, _argument: str) -> None:
    with path.open("wb"):
        print("open", flush=True)
        time.sleep(60)


def share_store_of(path: Path, _argument: str) -> None:
    lock = share_store(path)
    assert lock is not None
    print("held" if lock.held else "not held", flush=True)
    time.sleep(60)


def count_under_lock(path: Path, argument: str) -> None:
    """Add to a number in a file, the slow way that loses additions unless a lock is held."""
    number = path.with_suffix(".number")
    for _ in range(int(argument)):
        with FileLock(path, 30):
            value = int(number.read_text())
            time.sleep(0.0005)
            number.write_text(str(value + 1))


def hold_database(path: Path, _argument: str) -> None:
    connection = open_database(path, KEY, create=False)
    with transaction(connection):
        print("held", flush=True)
        time.sleep(60)


def insert(path: Path, argument: str) -> None:
    """One transaction a row, in a database opened anew for each tenth."""
    rows = int(argument)
    for first in range(0, rows, 10):
        connection = open_database(path, KEY, create=False)
        for _ in range(first, min(rows, first + 10)):
            with transaction(connection):
                # Reads before it writes: without the write lock, two would read the same.
                highest = connection.execute("SELECT coalesce(max(value), 0) FROM numbers").get
                connection.execute("INSERT INTO numbers VALUES (?)", (highest + 1,))
        connection.close()


def acknowledge(path: Path, argument: str) -> None:
    """Write rows for ever, from the number given on, and print each number once it is committed."""
    connection = open_database(path, KEY, create=False)
    number = int(argument)
    while True:
        with transaction(connection):
            connection.execute("INSERT INTO numbers VALUES (?)", (number,))
            connection.execute("INSERT INTO texts VALUES (?, ?)", (number, os.urandom(3000)))
        print(number, flush=True)
        number += 1


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
