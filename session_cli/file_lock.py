"""A lock between processes, which the operating system takes back when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import StoreLocked, StoreUnwritable
from .private_files import create_private_file

if sys.platform == "win32":
    import msvcrt

    # Locks are mandatory there: the byte locked lies far behind the holder's number, so that others can read that.
    _LOCKED_BYTE = 1 << 30

    _LOOKING = os.O_RDWR

    def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    _LOOKING = os.O_RDONLY

    def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


UNKNOWN_HOLDER = 0


def holder_of(path: Path) -> int | None:
    """The number of the process that holds the lock `path`, or UNKNOWN_HOLDER; None if nobody does. Raises OSError."""
    try:
        descriptor = os.open(path, _LOOKING)
    except FileNotFoundError:
        return None
    try:
        # Closing gives it back at once; whoever wants the lock tries again within milliseconds.
        return None if _try_lock(descriptor, shared=True) else _signature(descriptor)
    finally:
        os.close(descriptor)


def _signature(descriptor: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        return int(os.read(descriptor, 20))
    return UNKNOWN_HOLDER


_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05


class FileLock:
    """An exclusive advisory lock on the file `path` (made, 0600, if it is not there; never removed).

        with FileLock(profile / "receive.lock", 10, purpose="to receive messages"):
            ...

    Entering waits up to `timeout_s` seconds (0: tries once), and a signal is handled at once while it waits. It raises
    StoreLocked when the time is over, with `purpose` and the holder's process number in its text, and StoreUnwritable
    when the file can't be made or its file system has no locks. The lock excludes other processes and other
    FileLocks of this process alike; one object can't be entered twice at a time.
    """

    def __init__(self, path: Path, timeout_s: float, *, purpose: str = "to use this profile") -> None:
        self.path = path
        self.timeout_s = timeout_s
        self.purpose = purpose
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        if self._descriptor is not None:
            raise RuntimeError("this FileLock is held already")
        try:
            descriptor = self._open()
        except OSError as error:
            raise StoreUnwritable(f"Can't open the lock {self.path}: {error.strerror}.") from error
        try:
            self._wait(descriptor)
            self._sign(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def _open(self) -> int:
        try:
            return create_private_file(self.path)
        except FileExistsError:
            return os.open(self.path, os.O_RDWR)

    def _wait(self, descriptor: int) -> None:
        deadline = time.monotonic() + self.timeout_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                if _try_lock(descriptor):
                    return
            except OSError as error:
                raise StoreUnwritable(f"Can't lock {self.path}: {error.strerror}.") from error
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise StoreLocked(self._refusal(descriptor))
            # Short sleeps instead of a blocking call: a signal handler of Python's runs between any two of them.
            time.sleep(min(pause, remaining))
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _sign(self, descriptor: int) -> None:
        # For the text of somebody else's error only: a full disk must not keep anybody from locking.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, str(os.getpid()).encode())

    def _refusal(self, descriptor: int) -> str:
        number = _signature(descriptor)
        holder = "" if number == UNKNOWN_HOLDER else f" (process {number})"
        tried = f"Waited {self.timeout_s:.3g} s" if self.timeout_s else "It is not possible now"
        return f"{tried} {self.purpose}, but another session command{holder} is at it; try again when it has finished."

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Closing gives the lock back.
            os.close(descriptor)
