from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from session_cli.errors import (
    NotConfigured,
    ProfileExists,
    StoreDamaged,
    StoreError,
    StoreLocked,
    StoreTooNew,
    StoreUnwritable,
)
from session_cli.store import migrations
from session_cli.store.database import APPLICATION_ID, migrate, open_database, transaction, translate_errors

from . import worker
from .worker import KEY

posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes and timers are POSIX's")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    opened = open_database(path, KEY, create=True)
    opened.execute("CREATE TABLE numbers (value INTEGER PRIMARY KEY)")
    yield opened
    opened.close()


def numbers(connection: apsw.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT value FROM numbers ORDER BY value")]


class TestOpening:
    def test_made_closed_and_opened_again(self, path: Path, connection: apsw.Connection) -> None:
        with transaction(connection):
            connection.execute("INSERT INTO numbers VALUES (7)")
        connection.close()
        again = open_database(path, KEY, create=False)
        assert numbers(again) == [7]
        again.close()
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]

    @pytest.mark.parametrize("create", [True, False])
    def test_what_holds_for_every_connection(self, path: Path, connection: apsw.Connection, create: bool) -> None:
        opened = connection if create else open_database(path, KEY, create=False)
        state = {
            name: opened.pragma(name)
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "temp_store")
        }
        assert state == {
            "journal_mode": "wal",
            "synchronous": 2,  # full
            "foreign_keys": 1,
            "secure_delete": 1,
            "temp_store": 2,  # memory
        }
        assert opened.pragma("application_id") == APPLICATION_ID
        opened.close()

    def test_the_format_is_sqlciphers(self, path: Path, connection: apsw.Connection) -> None:
        connection.close()
        other = apsw.Connection(str(path))
        for statement in ("cipher='sqlcipher'", "legacy=4", f"key=\"x'{KEY.hex()}'\""):
            other.execute(f"PRAGMA {statement}")
        assert other.execute("SELECT name FROM sqlite_master").get == "numbers"
        # SQLCipher keeps 80 bytes of each page for the page's own random value and authentication.
        assert path.stat().st_size % 4096 == 0
        assert other.pragma("page_size") == 4096
        other.close()

    @pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), b"x" * 64])
    def test_a_key_has_32_bytes(self, path: Path, key: bytes) -> None:
        with pytest.raises(ValueError, match="32 bytes"):
            open_database(path, key, create=True)
        assert not path.exists()

    def test_nothing_there(self, path: Path) -> None:
        with pytest.raises(NotConfigured):
            open_database(path, KEY, create=False)
        assert not list(path.parent.iterdir())

    def test_an_existing_one_is_not_made_anew(self, path: Path, connection: apsw.Connection) -> None:
        connection.close()
        before = path.read_bytes()
        for key in (KEY, bytes(32)):
            with pytest.raises(ProfileExists):
                open_database(path, key, create=True)
        assert path.read_bytes() == before

    def test_a_log_without_its_database_is_not_lost(self, path: Path) -> None:
        path.touch()
        log = path.with_name("store.db-wal")
        log.write_bytes(b"messages")
        with pytest.raises(StoreDamaged, match="empty"):
            open_database(path, KEY, create=False)
        path.unlink()
        with pytest.raises(ProfileExists):
            open_database(path, KEY, create=True)
        with pytest.raises(NotConfigured):
            open_database(path, KEY, create=False)
        assert log.read_bytes() == b"messages"

    def test_an_empty_file_is_not_filled(self, path: Path) -> None:
        path.touch()
        with pytest.raises(ProfileExists):
            open_database(path, KEY, create=True)
        with pytest.raises(StoreDamaged, match="empty"):
            open_database(path, KEY, create=False)
        assert path.read_bytes() == b""

    @pytest.mark.parametrize("moment", ["pragma", "config"])
    def test_an_interrupted_creation_leaves_nothing(
        self, path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_arguments: object) -> None:
            raise KeyboardInterrupt

        class Interrupted(apsw.Connection):
            pass

        setattr(Interrupted, moment, interrupt)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(apsw, "Connection", Interrupted)
            open_database(path, KEY, create=True)
        assert list(path.parent.iterdir()) == []
        open_database(path, KEY, create=True).close()

    def test_a_file_system_without_hard_links(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_arguments: object) -> None:
            raise PermissionError

        monkeypatch.setattr(Path, "hardlink_to", fail)
        open_database(path, KEY, create=True).close()
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]

    def test_two_creations_at_once(self, path: Path) -> None:
        outcomes: list[str] = []
        barrier = threading.Barrier(4)

        def create() -> None:
            barrier.wait()
            try:
                open_database(path, KEY, create=True).close()
                outcomes.append("made")
            except ProfileExists:
                outcomes.append("refused")

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["made"] + ["refused"] * 3

    def test_a_library_without_encryption(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Plain(apsw.Connection):
            """Ignores what it does not know, as SQLite does."""

            def execute(self, statements: str, *arguments: object, **options: object) -> apsw.Cursor:
                known = not statements.startswith(("PRAGMA cipher", "PRAGMA legacy", "PRAGMA key"))
                return super().execute(statements if known else "PRAGMA nonsense=1")

        monkeypatch.setattr(apsw, "Connection", Plain)
        with pytest.raises(StoreError, match="apsw-sqlite3mc"):
            open_database(path, KEY, create=True)
        assert list(path.parent.iterdir()) == []

    def test_a_folder_in_its_place(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(StoreUnwritable):
            open_database(path, KEY, create=False)

    def test_no_folder(self, path: Path) -> None:
        with pytest.raises(StoreUnwritable):
            open_database(path / "store.db", KEY, create=True)


@posix
class TestModes:
    def test_all_files_are_private_under_any_umask(self, path: Path, any_umask: int) -> None:
        opened = open_database(path, KEY, create=True)
        opened.execute("CREATE TABLE t (a)")
        modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
        opened.close()
        assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}

    def test_an_open_one_is_closed_to_others(self, path: Path, connection: apsw.Connection) -> None:
        connection.close()
        path.chmod(0o644)
        opened = open_database(path, KEY, create=False)
        opened.execute("SELECT * FROM numbers").get  # noqa: B018
        assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {0o600}
        opened.close()

    def test_a_read_only_folder(self, unprivileged: Path) -> None:
        path = unprivileged / "store.db"
        open_database(path, KEY, create=True).close()
        before = path.read_bytes()
        unprivileged.chmod(0o500)
        with pytest.raises(StoreUnwritable):
            open_database(path, KEY, create=False)
        with pytest.raises(StoreUnwritable):
            open_database(unprivileged / "other.db", KEY, create=True)
        assert path.read_bytes() == before
        unprivileged.chmod(0o700)
        open_database(path, KEY, create=False).close()

    @pytest.mark.parametrize("mode", [0o400, 0o000])
    def test_a_read_only_file(self, unprivileged: Path, mode: int) -> None:
        path = unprivileged / "store.db"
        open_database(path, KEY, create=True).close()
        path.chmod(mode)
        with pytest.raises(StoreUnwritable):
            with_write = open_database(path, KEY, create=False)
            with transaction(with_write):
                with_write.execute("CREATE TABLE t (a)")


class TestTransactions:
    @pytest.mark.skipif(sys.platform != "linux", reason="others do not tell who has a file open")
    def test_who_keeps_it_busy_is_named(self, path: Path, connection: apsw.Connection) -> None:
        with worker.start("hold_database", path) as holder:
            try:
                assert holder.stdout is not None
                assert holder.stdout.readline() == "held\n"
                other = open_database(path, KEY, create=False, busy_timeout_s=0)
                with pytest.raises(StoreLocked, match=rf"\(process {holder.pid}\)"), transaction(other):
                    pytest.fail("it was free")
                other.close()
            finally:
                holder.kill()

    def test_all_is_kept(self, connection: apsw.Connection) -> None:
        with transaction(connection):
            connection.execute("INSERT INTO numbers VALUES (1), (2)")
        assert numbers(connection) == [1, 2]
        assert not connection.in_transaction

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError, GeneratorExit, apsw.SQLError])
    def test_nothing_is_kept(self, connection: apsw.Connection, error: type[BaseException]) -> None:
        with pytest.raises(error), transaction(connection):
            connection.execute("INSERT INTO numbers VALUES (1)")
            raise error
        assert numbers(connection) == []
        assert not connection.in_transaction

    def test_a_failing_statement_undoes_the_ones_before(self, connection: apsw.Connection) -> None:
        with pytest.raises(apsw.ConstraintError), transaction(connection):
            connection.execute("INSERT INTO numbers VALUES (1)")
            connection.execute("INSERT INTO numbers VALUES (1)")
        assert numbers(connection) == []

    def test_they_do_not_nest(self, connection: apsw.Connection) -> None:
        with transaction(connection):
            connection.execute("INSERT INTO numbers VALUES (1)")
            with pytest.raises(RuntimeError), transaction(connection):
                pass
            connection.execute("INSERT INTO numbers VALUES (2)")
        assert numbers(connection) == [1, 2]

    def test_a_second_writer_is_refused_in_time(self, path: Path, connection: apsw.Connection) -> None:
        other = open_database(path, KEY, create=False, busy_timeout_s=0.2)
        begin = time.monotonic()
        with transaction(connection), pytest.raises(StoreLocked), transaction(other):
            pass
        assert 0.2 <= time.monotonic() - begin < 5
        with transaction(other):
            other.execute("INSERT INTO numbers VALUES (1)")
        other.close()
        assert numbers(connection) == [1]

    def test_readers_do_not_wait(self, path: Path, connection: apsw.Connection) -> None:
        other = open_database(path, KEY, create=False, busy_timeout_s=0)
        with transaction(connection):
            connection.execute("INSERT INTO numbers VALUES (1)")
            assert numbers(other) == []
        assert numbers(other) == [1]
        other.close()

    @posix
    def test_ctrl_c_ends_the_waiting(self, path: Path, connection: apsw.Connection) -> None:
        other = open_database(path, KEY, create=False, busy_timeout_s=60)
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        begin = time.monotonic()
        try:
            with transaction(connection):
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                with pytest.raises(KeyboardInterrupt), transaction(other):
                    pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert time.monotonic() - begin < 10
        with transaction(other):
            other.execute("INSERT INTO numbers VALUES (1)")
        other.close()

    def test_foreign_keys_are_kept(self, connection: apsw.Connection) -> None:
        connection.execute("CREATE TABLE children (parent REFERENCES numbers (value))")
        with pytest.raises(apsw.ConstraintError), transaction(connection):
            connection.execute("INSERT INTO children VALUES (1)")


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (apsw.NotADBError, StoreDamaged),
            (apsw.CorruptError, StoreDamaged),
            (apsw.FormatError, StoreDamaged),
            (apsw.BusyError, StoreLocked),
            (apsw.LockedError, StoreLocked),
            (apsw.ProtocolError, StoreLocked),
            (apsw.FullError, StoreUnwritable),
            (apsw.ReadOnlyError, StoreUnwritable),
            (apsw.PermissionsError, StoreUnwritable),
            (apsw.CantOpenError, StoreUnwritable),
            (apsw.IOError, StoreUnwritable),
            (apsw.SQLError, apsw.SQLError),
            (apsw.ConstraintError, apsw.ConstraintError),
        ],
    )
    def test_each_becomes_one_of_ours(self, error: type[apsw.Error], expected: type[Exception], path: Path) -> None:
        with pytest.raises(expected) as caught, translate_errors(path):
            raise error("text")
        assert type(caught.value) is expected
        if issubclass(expected, StoreError):
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)

    def test_a_short_read_is_damage(self, path: Path) -> None:
        error = apsw.IOError("text")
        setattr(error, "extendedresult", apsw.SQLITE_IOERR_SHORT_READ)  # noqa: B010 - its types don't know it
        with pytest.raises(StoreDamaged), translate_errors(path):
            raise error

    def test_the_key_is_in_no_traceback(self, path: Path, connection: apsw.Connection) -> None:
        import traceback

        connection.close()
        key = os.urandom(32)
        with pytest.raises(StoreDamaged) as caught:
            open_database(path, key, create=False)
        text = "".join(traceback.format_exception(caught.value))
        assert key.hex() not in text
        assert repr(key) not in text


class Step:
    """A migration that does what it is told."""

    def __init__(self, version: int, act: Callable[[apsw.Connection], object]) -> None:
        self.VERSION = version
        self.act = act

    def apply(self, connection: apsw.Connection) -> None:
        assert connection.in_transaction
        self.act(connection)


def creating(version: int) -> Step:
    return Step(version, lambda connection: connection.execute(f"CREATE TABLE step{version} (a)"))


def tables(connection: apsw.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM sqlite_master ORDER BY rowid")]


class TestMigrations:
    @pytest.fixture
    def empty(self, path: Path) -> Iterator[apsw.Connection]:
        opened = open_database(path, KEY, create=True)
        yield opened
        opened.close()

    def test_each_is_applied_once_and_in_order(self, empty: apsw.Connection) -> None:
        migrate(empty, [creating(1), creating(2)])
        assert tables(empty) == ["step1", "step2"]
        migrate(empty, [creating(1), creating(2)])
        migrate(empty, [creating(1), creating(2), creating(3)])
        assert tables(empty) == ["step1", "step2", "step3"]
        assert empty.pragma("user_version") == 3

    def test_a_failure_leaves_the_version_before(self, empty: apsw.Connection) -> None:
        def fail(connection: apsw.Connection) -> None:
            connection.execute("CREATE TABLE half (a)")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            migrate(empty, [creating(1), Step(2, fail), creating(3)])
        assert tables(empty) == ["step1"]
        assert empty.pragma("user_version") == 1
        migrate(empty, [creating(1), creating(2), creating(3)])
        assert empty.pragma("user_version") == 3

    def test_a_store_of_a_later_release(self, empty: apsw.Connection) -> None:
        migrate(empty, [creating(1), creating(2)])
        with pytest.raises(StoreTooNew, match="version 2"):
            migrate(empty, [creating(1)])
        assert tables(empty) == ["step1", "step2"]

    def test_a_later_release_than_the_programs_own(self, empty: apsw.Connection) -> None:
        empty.pragma("user_version", migrations.newest_version() + 1)
        with pytest.raises(StoreTooNew):
            migrate(empty)

    @pytest.mark.parametrize("versions", [[2], [1, 3], [2, 1], [1, 1]])
    def test_numbers_without_a_gap(self, empty: apsw.Connection, versions: list[int]) -> None:
        with pytest.raises(ValueError, match="gap"):
            migrate(empty, [creating(version) for version in versions])
        assert tables(empty) == []

    def test_two_processes_at_once(self, path: Path, empty: apsw.Connection) -> None:
        """What the other one did meanwhile is not done again."""

        def overtaken(connection: apsw.Connection) -> None:
            creating(1).apply(connection)

        other = open_database(path, KEY, create=False)
        started = threading.Event()
        failures: list[BaseException] = []

        def second() -> None:
            started.wait()
            try:
                migrate(other, [creating(1), creating(2)])
            except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
                failures.append(error)

        thread = threading.Thread(target=second)
        thread.start()

        def slowly(connection: apsw.Connection) -> None:
            started.set()
            time.sleep(0.1)
            overtaken(connection)

        migrate(empty, [Step(1, slowly), creating(2)])
        thread.join()
        assert not failures
        assert tables(other) == ["step1", "step2"]
        other.close()

    def test_the_programs_own(self, empty: apsw.Connection) -> None:
        folder = Path(migrations.__file__).parent
        assert list(migrations.NAMES) == sorted(module.stem for module in folder.glob("m*.py"))
        steps = list(migrations.load(0))
        assert [step.VERSION for step in steps] == list(range(1, len(steps) + 1))
        assert all(name.startswith(f"m{version:04}_") for version, name in enumerate(migrations.NAMES, start=1))
        migrate(empty)
        migrate(empty)
        assert empty.pragma("user_version") == migrations.newest_version()

    def test_one_module_of_the_package(
        self, empty: apsw.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "m0001_test.py").write_text(
            "VERSION = 1\ndef apply(connection): connection.execute('CREATE TABLE loaded (a)')\n"
        )
        monkeypatch.setattr(migrations, "__path__", [str(tmp_path)])
        monkeypatch.setattr(migrations, "NAMES", ("m0001_test",))
        migrate(empty)
        monkeypatch.delitem(sys.modules, f"{migrations.__name__}.m0001_test")
        assert tables(empty) == ["loaded"]
        migrate(empty)
        assert f"{migrations.__name__}.m0001_test" not in sys.modules
