"""The encrypted database: the one place that opens it, and what every reader and writer of it shares.

The file is in SQLCipher 4's format, so that any SQLCipher tool with the key reads it too. A database is given a raw
32-byte key, never a passphrase (`session_cli.store.key` knows how to come by it).
"""

from __future__ import annotations

import os
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from ..errors import (
    NotConfigured,
    ProfileExists,
    StoreDamaged,
    StoreError,
    StoreLocked,
    StoreTooNew,
    StoreUnwritable,
)
from ..file_lock import named, processes_with
from ..private_files import FILE_MODE, OTHERS, create_private_file, sync_folder
from . import migrations as _steps
from .migrations import Migration

KEY_BYTES = 32
APPLICATION_ID = 0x5E551045
"""Written into each database's header, so that one of another program is told from ours."""

_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05

_INSTRUCTIONS_BETWEEN_SIGNALS = 100_000
"""Of SQLite's virtual machine: some milliseconds."""

_LITTLE_ROOM = 256 * 1024
"""Bytes; less than a transaction may need for its log and shared memory."""

_DAMAGE_RESULTS = frozenset({apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS, apsw.SQLITE_IOERR_SHORT_READ})
"""Input/output errors which say that what was read is not what was written."""


def open_database(path: Path, key: bytes, *, create: bool, busy_timeout_s: float = 30.0) -> apsw.Connection:
    """Open the database at `path` with its raw 32-byte `key`; with `create`, make it.

    The file, its write-ahead log and its shared memory are 0600. Every statement waits up to `busy_timeout_s` seconds
    for other processes, and a signal is handled at once while it waits.

    Without `create`, raises NotConfigured if there is no such file, and StoreDamaged if the file is no database, is
    another program's, or does not open with this key (the header of the key proves the key itself, so a wrong
    passphrase was refused before); the file is left as it is. With `create`, raises ProfileExists if there is anything
    at `path`; the new database appears there in one step, whole.
    Also raises StoreUnwritable and StoreLocked. The tables are made and brought up to date by `migrate`.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a database key has {KEY_BYTES} bytes")
    path = path.absolute()
    try:
        if create:
            _create(path, key)
        _check_file(path)
    except OSError as error:
        raise StoreUnwritable(f"Can't open the store {path}: {error.strerror}.") from error
    with translate_errors(path), _closed_on_error(connect(path, key, busy_timeout_s)) as connection:
        # The first read: with a wrong key, it fails.
        connection.execute("SELECT count(*) FROM sqlite_master").get  # noqa: B018
        if connection.pragma("application_id") != APPLICATION_ID:
            raise StoreDamaged(f"{path} is an encrypted database, but not one of this program.")
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        _use_log(connection, path)
        connection.pragma("synchronous", "full")
        connection.pragma("fullfsync", True)  # what `full` means on macOS; nothing elsewhere
        connection.pragma("checkpoint_fullfsync", True)
        connection.pragma("foreign_keys", True)
        connection.pragma("secure_delete", True)
        connection.pragma("temp_store", "memory")
    return connection


def open_read_only(path: Path, key: bytes, *, busy_timeout_s: float = 1.0) -> apsw.Connection:
    """Open the database at `path` to look at it: nothing is written, made or repaired, and no writer is kept waiting.

    Neither file modes nor the version of the tables are what `open_database` and `migrate` would make of them. Raises
    NotConfigured, StoreDamaged, StoreLocked, and StoreUnwritable if nobody can read the file without writing: where a
    log was left without its index, or a compaction was killed half way.
    """
    path = path.absolute()
    log, journal = (path.with_name(f"{path.name}-{kind}") for kind in ("wal", "journal"))
    try:
        if not path.stat().st_size:
            raise StoreDamaged(f"The store {path} is empty: it was emptied, or never finished.")
        has_log = log.exists() and log.stat().st_size > 0
        if journal.exists() and journal.stat().st_size > 0:
            raise StoreUnwritable(
                f"The store {path} was being compacted by a command that was killed: it can't be looked at without "
                "writing. Any other command puts it in order."
            )
    except FileNotFoundError:
        raise NotConfigured(f"There is no store at {path}.") from None
    except OSError as error:
        raise StoreUnwritable(f"Can't open the store {path}: {error.strerror}.") from error
    # Without a log SQLite would make one. With one, its index may be read, but not brought up to date.
    how = "readonly_shm=1" if has_log else "immutable=1"
    name = f"file:{urllib.parse.quote(str(path))}?{how}"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    with translate_errors(path), _closed_on_error(connect(name, key, busy_timeout_s, flags)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").get  # noqa: B018
        if connection.pragma("application_id") != APPLICATION_ID:
            raise StoreDamaged(f"{path} is an encrypted database, but not one of this program.")
        connection.pragma("temp_store", "memory")
    return connection


def quick_check(connection: apsw.Connection) -> list[str]:
    """What SQLite finds wrong when it reads all pages; empty if all is well. A signal is handled at once meanwhile.

    Raises StoreDamaged where damage keeps it from reading on, StoreLocked, StoreUnwritable.
    """
    connection.set_progress_handler(lambda: False, _INSTRUCTIONS_BETWEEN_SIGNALS)
    try:
        with translate_errors(connection.filename):
            said = [str(row[0]) for row in connection.execute("PRAGMA quick_check")]
    finally:
        connection.set_progress_handler(None)
    return [] if said == ["ok"] else said


def library_versions() -> tuple[str, str]:
    """The versions of SQLite and of what encrypts its files (empty: nothing does)."""
    return apsw.sqlite_lib_version(), str(getattr(apsw, "mc_version", "")).rpartition(" ")[2]


def _create(path: Path, key: bytes) -> None:
    """Put an empty database of ours at `path`. Raises ProfileExists, StoreError and OSError."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-journal"):
        if os.path.lexists(path.with_name(name)):
            raise ProfileExists(f"There is a store at {path} already; it is left as it is.")
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.new")
    try:
        # SQLite would make it with the umask's mode; the log and the shared memory take theirs from this file.
        os.close(create_private_file(temporary))
        with translate_errors(path), _closed_on_error(connect(temporary, key, 0)) as connection:
            connection.pragma("application_id", APPLICATION_ID)
            _use_log(connection, path)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
            connection.close()
        _move_unless_there(temporary, path)
        sync_folder(path.parent)
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)


def _move_unless_there(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise ProfileExists(f"Another process has just made a store at {target}.") from None
    except OSError:
        # Some file systems have no hard links. On Windows this refuses, too, if there is something.
        source.rename(target)


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise NotConfigured(f"There is no store at {path}.") from None
    if not status.st_size:
        # SQLite takes an empty file for an empty database, and deletes a log that lies beside it.
        raise StoreDamaged(f"The store {path} is empty: it was emptied, or never finished.")
    if status.st_mode & OTHERS:
        # Somebody else's file can't be tightened; whether it can be used shows soon.
        with suppress(PermissionError):
            path.chmod(FILE_MODE)


def connect(
    name: Path | str, key: bytes, busy_timeout_s: float, flags: int = apsw.SQLITE_OPEN_READWRITE
) -> apsw.Connection:
    """A connection that has its key, but has not read anything."""
    connection = apsw.Connection(str(name), flags=flags)
    with _closed_on_error(connection):
        connection.set_busy_handler(_waiting(busy_timeout_s))
        # If it turns out not to open, closing must not work a log, left by a killed process, into a damaged file.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA cipher='sqlcipher'")
        connection.execute("PRAGMA legacy=4")
        try:
            answer = connection.execute(f"PRAGMA key=\"x'{key.hex()}'\"", can_cache=False).get
        except apsw.Error:
            answer = None  # its context could quote the statement
        if answer != "ok":
            # An ordinary SQLite ignores the statement, and would write everything in clear.
            raise StoreError("The database library has no encryption: install apsw-sqlite3mc in place of apsw.")
    return connection


@contextmanager
def _closed_on_error(connection: apsw.Connection) -> Iterator[apsw.Connection]:
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _use_log(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("journal_mode", "wal") != "wal":
        raise StoreUnwritable(f"The file system of {path} can't hold a store: it lacks shared memory or locks.")


def _waiting(timeout_s: float) -> Callable[[int], bool]:
    """A busy handler that gives up after `timeout_s`. SQLite's own would sleep through Ctrl-C."""
    deadline = 0.0

    def wait(attempt: int) -> bool:
        nonlocal deadline
        now = time.monotonic()
        if attempt == 0:
            deadline = now + timeout_s
        if now >= deadline:
            return False
        time.sleep(min(_FIRST_PAUSE_S * 2 ** min(attempt, 10), _LONGEST_PAUSE_S, deadline - now))
        return True

    return wait


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Do all that the block writes, or nothing of it: committed at its end, rolled back if anything is raised in it.

    It takes the write lock at once (BEGIN IMMEDIATE), so what the block reads stays true until its end. Transactions
    don't nest. Raises StoreLocked if other writers keep it waiting too long, and what `translate_errors` raises.
    """
    if connection.in_transaction:
        raise RuntimeError("transactions don't nest")
    with translate_errors(connection.filename):
        try:
            # Inside the block: a signal can arrive between any two lines.
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("COMMIT")
        except BaseException:
            # After some errors, a full disk for one, SQLite has rolled back already.
            if connection.in_transaction:
                with suppress(apsw.Error):
                    connection.execute("ROLLBACK")
            raise


@contextmanager
def translate_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the database library's errors about the file `path` into this package's.

    StoreDamaged: not what was written. StoreLocked: other processes took too long. StoreUnwritable: disk full,
    read-only, no permission, failing device. All others, which are mistakes of the program, pass as they are.
    """
    try:
        yield
    except apsw.Error as error:
        translated = _translate(error, os.fspath(path))
        if translated is None:
            raise
        raise translated from error


def _translate(error: apsw.Error, path: str) -> StoreError | None:
    if getattr(error, "extendedresult", 0) in _DAMAGE_RESULTS:
        return StoreDamaged(f"The store {path} is damaged.")
    match error:
        case apsw.NotADBError():
            return StoreDamaged(
                f"{path} is damaged, is no store of this program, or belongs to another key than the one beside it."
            )
        case apsw.CorruptError() | apsw.FormatError():
            return StoreDamaged(f"The store {path} is damaged.")
        case apsw.BusyError() | apsw.LockedError() | apsw.ProtocolError():
            who = f"Another process{named(processes_with(path))}"
            return StoreLocked(f"{who} keeps the store {path} busy; try again later.")
        case apsw.FullError():
            return StoreUnwritable(f"The disk is full: nothing was written to {path}.")
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.IOError() if _is_read_only(path):
            return StoreUnwritable(f"The file system of {path} is read-only.")
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return StoreUnwritable(f"Not allowed to write the store {path} or its folder.")
        case apsw.CantOpenError() | apsw.IOError() if is_full(path):
            return StoreUnwritable(f"The disk is full: there is no room to work with {path}.")
        case apsw.CantOpenError() | apsw.IOError():
            return StoreUnwritable(f"Can't read or write the store {path} or its folder: {error}.")
        case _:
            return None


def is_full(path: str) -> bool:
    """Whether the file system of `path` has no room left. SQLite reports that as one of several other errors."""
    try:
        status = os.statvfs(os.path.dirname(path) or ".")  # noqa: PTH120
    except (OSError, AttributeError):
        return False
    return status.f_bavail * status.f_frsize < _LITTLE_ROOM


def _is_read_only(path: str) -> bool:
    try:
        return bool(os.statvfs(os.path.dirname(path) or ".").f_flag & os.ST_RDONLY)  # noqa: PTH120
    except (OSError, AttributeError):
        return False


def migrate(connection: apsw.Connection, migrations: Iterable[Migration] | None = None) -> None:
    """Bring the tables up to date: apply the steps that the database lacks, each in a transaction of its own.

    `migrations` are all steps there are, from version 1 on without a gap; by default this program's own. A step that
    fails leaves the version before it. Processes may do this at the same time. Raises StoreTooNew if the database is
    of a later version than the last step's.
    """
    version = table_version(connection)
    if migrations is None:
        newest = _steps.newest_version()
        missing = _steps.load(version)
    else:
        steps = list(migrations)
        if [step.VERSION for step in steps] != list(range(1, len(steps) + 1)):
            raise ValueError("migrations are numbered from 1 without a gap")
        newest = len(steps)
        missing = iter(steps[version:])
    _check_known(connection, version, newest)
    for step in missing:
        with transaction(connection):
            # Another process can have been faster.
            if table_version(connection) < step.VERSION:
                step.apply(connection)
                connection.pragma("user_version", step.VERSION)


@contextmanager
def as_migrated(connection: apsw.Connection) -> Iterator[None]:
    """For the block, bring the tables up to date as `migrate` does; at its end they are as they were before.

    Raises StoreTooNew, StoreLocked where others write.
    """
    version = table_version(connection)
    _check_known(connection, version, _steps.newest_version())
    if version == _steps.newest_version():
        yield
        return
    with translate_errors(connection.filename):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for step in _steps.load(version):
                step.apply(connection)
            yield
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _check_known(connection: apsw.Connection, version: int, newest: int) -> None:
    if version > newest:
        raise StoreTooNew(
            f"The store {connection.filename} is of version {version}, which a later release wrote; "
            f"this one knows versions up to {newest}. Upgrade session-shell."
        )


def table_version(connection: apsw.Connection) -> int:
    """The version of the tables; 0 for an empty database."""
    with translate_errors(connection.filename):
        return int(connection.pragma("user_version"))
