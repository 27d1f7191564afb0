"""A lock between processes, which the operating system takes back when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
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

    _SHARES = 64
    """Bytes. There are no shared locks: each holder of one takes a byte of its own, an exclusive one takes all."""

    def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
        if not shared:
            return _try_bytes(descriptor, 0, _SHARES)
        return any(_try_bytes(descriptor, share, 1) for share in range(_SHARES))

    def _try_bytes(descriptor: int, first: int, count: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE + first, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, count)
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


@contextlib.contextmanager
def held_folder(path: Path) -> Iterator[None]:
    """In the block `holder_of` finds that somebody holds this folder, where folders can be locked (on POSIX).

    Nobody may have held it before. Raises OSError.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _try_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _signature(descriptor: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        return int(os.read(descriptor, 20))
    return UNKNOWN_HOLDER


def processes_with(path: str | os.PathLike[str], *, locked: bool = False) -> list[int]:
    """The numbers of the other processes that have a file open, or `locked`, as far as this system tells.

    Linux tells it of processes of the same user, others tell nothing.
    """
    try:
        wanted = os.stat(path)  # noqa: PTH116 - of the database, whose name is a text
        numbers = sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 - in no time
    except OSError:
        return []
    return [number for number in numbers if number != os.getpid() and _has_open(number, wanted, locked=locked)]


def _has_open(number: int, wanted: os.stat_result, *, locked: bool) -> bool:
    process = Path("/proc", str(number))
    # It may end, or close one of them, at any moment; and it may be somebody else's.
    with contextlib.suppress(OSError):
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                # What is no file of a folder, a pipe perhaps, is not asked any further.
                if str(entry.readlink()).startswith("/") and os.path.samestat(entry.stat(), wanted):
                    return not locked or "FLOCK" in (process / "fdinfo" / entry.name).read_text()
    return False


def named(numbers: list[int]) -> str:
    """Processes by their numbers, in brackets and with a space before them; nothing for none."""
    if not numbers:
        return ""
    return f" (process {numbers[0]})" if len(numbers) == 1 else f" (one of {', '.join(map(str, numbers))})"


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
                if self._try(descriptor):
                    return
            except OSError as error:
                raise StoreUnwritable(f"Can't lock {self.path}: {error.strerror}.") from error
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise StoreLocked(self._refusal(descriptor))
            # Short sleeps instead of a blocking call: a signal handler of Python's runs between any two of them.
            time.sleep(min(pause, remaining))
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _try(self, descriptor: int) -> bool:
        return _try_lock(descriptor)

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
        self.release()

    def release(self) -> bool:
        """Give the lock back; False if it was not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Closing gives the lock back.
            os.close(descriptor)
        return descriptor is not None


class SharedLock(FileLock):
    """One of many that may hold the lock `path` at once; a SoleLock of the same file excludes all of them.

    Entering needs no right to write. Where the file can't be made, on a read-only file system for one, or the file
    system has no locks, nothing is `held` afterwards, and nobody is excluded. Without `create` the file is not made.
    """

    def __init__(self, path: Path, timeout_s: float, *, purpose: str, create: bool = True) -> None:
        super().__init__(path, timeout_s, purpose=purpose)
        self._create = create

    @property
    def held(self) -> bool:
        """Whether the lock is held, and on the file that is at its path now: its folder can have been replaced."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def __enter__(self) -> Self:
        with contextlib.suppress(StoreUnwritable):
            super().__enter__()
        return self

    def _open(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return os.open(self.path, _LOOKING)
        if self._create:
            with contextlib.suppress(FileExistsError):
                os.close(create_private_file(self.path))
        return os.open(self.path, _LOOKING)

    def _try(self, descriptor: int) -> bool:
        return _try_lock(descriptor, shared=True)

    def _sign(self, descriptor: int) -> None:
        """Nobody signs: it could be one of many."""

    def _refusal(self, descriptor: int) -> str:
        who = f"another session command{named(processes_with(self.path, locked=True))}"
        return f"Waited {self.timeout_s:.3g} s {self.purpose}, but {who} has it alone; try again when it has finished."


class SoleLock(FileLock):
    """A lock held alone, when none of those who share it (SharedLock) does. The refusal names one that does."""

    def _sign(self, descriptor: int) -> None:
        """Those who share it don't sign either, and a number must not outlast its holder."""

    def _refusal(self, descriptor: int) -> str:
        who = f"another session command{named(processes_with(self.path, locked=True))}"
        return f"Waited {self.timeout_s:.3g} s {self.purpose}, but {who} has it open; try again when it has finished."
