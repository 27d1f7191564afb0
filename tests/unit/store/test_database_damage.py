"""Files that are not what was written, disks that take no more, and processes that die."""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
from pathlib import Path

import apsw
import pytest

from session_cli.errors import StoreDamaged, StoreError, StoreUnwritable
from session_cli.store.database import open_database, transaction, translate_errors

from .worker import KEY, start

MARKER = b"The eagle has landed. " * 20
NEWER = MARKER.replace(b"has", b"HAS") + b"!"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed database of some forty pages."""
    path = tmp_path / "store.db"
    connection = open_database(path, KEY, create=True)
    connection.execute("CREATE TABLE numbers (value INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE texts (number INTEGER PRIMARY KEY, text)")
    with transaction(connection):
        connection.executemany("INSERT INTO texts VALUES (?, ?)", [(-n, MARKER + bytes([n])) for n in range(1, 200)])
    connection.close()
    return path


def read_all(path: Path, key: bytes = KEY) -> None:
    connection = open_database(path, key, create=False)
    try:
        with translate_errors(path):
            for table in ("numbers", "texts"):
                connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
            assert connection.pragma("integrity_check") == "ok"
    finally:
        connection.close()


def leave_log(path: Path, target: Path) -> Path:
    """Copy the database as a process leaves it that is killed: with its newest change in the log only."""
    connection = open_database(path, KEY, create=False)
    with transaction(connection):
        # Of the same length as before, so that it changes one page, and not the first.
        connection.execute("UPDATE texts SET text = ? WHERE number = -1", (NEWER,))
    target.mkdir()
    for file in path.parent.glob("store.db*"):
        if file.suffix != ".db-shm":
            shutil.copy(file, target)
    connection.close()
    assert (target / "store.db-wal").stat().st_size > 0
    return target / "store.db"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}


class TestDamage:
    def test_a_wrong_key(self, path: Path) -> None:
        before = path.read_bytes()
        for key in (bytes(32), KEY[::-1], KEY[:-1] + b"\0"):
            with pytest.raises(StoreDamaged, match="another key"):
                open_database(path, key, create=False)
        assert contents(path.parent) == {"store.db": before}
        read_all(path)

    def test_a_wrong_key_where_a_killed_process_left_its_log(self, path: Path, tmp_path: Path) -> None:
        copy = leave_log(path, tmp_path / "copy")
        before = contents(copy.parent)
        for _ in range(3):
            with pytest.raises(StoreDamaged):
                open_database(copy, bytes(32), create=False)
            assert contents(copy.parent) == before
        connection = open_database(copy, KEY, create=False)
        assert connection.execute("SELECT text FROM texts WHERE number = -1").get == NEWER
        connection.close()
        read_all(copy)

    @pytest.mark.parametrize("position", [5, 100], ids=["salt", "body"])
    def test_a_damaged_first_page_where_a_killed_process_left_its_log(
        self, path: Path, tmp_path: Path, position: int
    ) -> None:
        copy = leave_log(path, tmp_path / "copy")
        content = bytearray(copy.read_bytes())
        content[position] ^= 1
        copy.write_bytes(content)
        before = contents(copy.parent)
        with pytest.raises(StoreDamaged):
            open_database(copy, KEY, create=False)
        assert contents(copy.parent) == before

    def test_200_flipped_bits(self, path: Path) -> None:
        original = path.read_bytes()
        assert len(original) > 20 * 4096
        chosen = random.Random(4)
        positions = [8 * at + 3 for at in (0, 15, 16, 24, 100, 4015, 4016, 4031, 4032, 4095, len(original) - 1)]
        positions += [chosen.randrange(len(original) * 8) for _ in range(200 - len(positions))]
        for position in positions:
            content = bytearray(original)
            content[position // 8] ^= 1 << position % 8
            path.write_bytes(content)
            with pytest.raises(StoreDamaged):
                read_all(path)
            assert path.read_bytes() == content, position
        path.write_bytes(original)
        read_all(path)

    def test_exchanged_pages(self, path: Path) -> None:
        original = path.read_bytes()
        pages = [original[at : at + 4096] for at in range(0, len(original), 4096)]
        pages[5], pages[6] = pages[6], pages[5]
        path.write_bytes(b"".join(pages))
        with pytest.raises(StoreDamaged):
            read_all(path)

    @pytest.mark.parametrize("left", [0, 1, 15, 16, 100, 511, 512, 4095, 4096, 4097, 5 * 4096, -4096, -1])
    def test_a_truncated_file(self, path: Path, left: int) -> None:
        content = path.read_bytes()[:left]
        path.write_bytes(content)
        with pytest.raises(StoreDamaged):
            read_all(path)
        assert path.read_bytes() == content

    def test_a_plain_database(self, path: Path) -> None:
        path.unlink()
        plain = sqlite3.connect(path)
        plain.execute("CREATE TABLE t (a)")
        plain.commit()
        plain.close()
        self.check_foreign(path)

    def test_an_encrypted_database_of_another_program(self, path: Path) -> None:
        path.unlink()
        other = apsw.Connection(str(path))
        for statement in ("cipher='sqlcipher'", "legacy=4", f"key=\"x'{KEY.hex()}'\""):
            other.execute(f"PRAGMA {statement}")
        other.execute("CREATE TABLE t (a)")
        other.close()
        self.check_foreign(path)

    @pytest.mark.parametrize("content", [b"x", b"\0" * 4096, random.Random(1).randbytes(3 * 4096), b"text\n" * 1000])
    def test_no_database_at_all(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        self.check_foreign(path)

    def check_foreign(self, path: Path) -> None:
        before = path.read_bytes()
        with pytest.raises(StoreDamaged):
            open_database(path, KEY, create=False)
        with pytest.raises(StoreError):
            open_database(path, KEY, create=True)
        assert contents(path.parent) == {"store.db": before}


def test_no_text_is_left_in_clear(path: Path, tmp_path: Path) -> None:
    connection = open_database(path, KEY, create=False)
    connection.execute("CREATE VIRTUAL TABLE found USING fts5(text)")
    with transaction(connection):
        connection.execute("INSERT INTO found VALUES (?)", (MARKER.decode(),))
        connection.execute("INSERT INTO texts VALUES (1, ?)", (MARKER,))
    files = contents(tmp_path) | {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(files) == {"store.db", "store.db-wal", "store.db-shm"}
    for content in files.values():
        for clear in (b"eagle", b"SQLite format", b"CREATE", b"texts", KEY, KEY.hex().encode()):
            assert clear not in content
    connection.close()


class TestFullDisk:
    def test_a_small_one(self, small_disk: Path) -> None:
        self.fill(small_disk / "store.db")

    @pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX's")
    def test_a_limit_on_files(self, tmp_path: Path) -> None:
        import resource

        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 1024, before[1]))
        try:
            self.fill(tmp_path / "store.db")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def fill(self, path: Path) -> None:
        """Write until nothing goes any more: what was committed stays, what was not is gone, the store opens."""
        ballast = path.with_name("ballast")
        ballast.write_bytes(bytes(64 * 1024))
        connection = open_database(path, KEY, create=True)
        try:
            connection.execute("CREATE TABLE texts (number INTEGER PRIMARY KEY, text)")
            committed = 0
            with pytest.raises(StoreUnwritable):
                while True:
                    with transaction(connection):
                        connection.execute("INSERT INTO texts VALUES (?, ?)", (2 * committed, bytes(2000)))
                        connection.execute("INSERT INTO texts VALUES (?, ?)", (2 * committed + 1, bytes(2000)))
                    committed += 1
            assert committed > 3
            kept = (2 * committed, 2 * committed - 1)
            assert connection.execute("SELECT count(*), max(number) FROM texts").get == kept
            connection.close()
            ballast.unlink()
            connection = open_database(path, KEY, create=False)
            assert connection.execute("SELECT count(*), max(number) FROM texts").get == kept
            assert connection.pragma("integrity_check") == "ok"
            with transaction(connection):
                connection.execute("DELETE FROM texts WHERE number = 0")
        finally:
            connection.close()


class TestProcesses:
    def test_8_processes_with_50_transactions_each(self, path: Path) -> None:
        workers = [start("insert", path, "50") for _ in range(8)]
        for worker in workers:
            worker.communicate()
        assert [worker.returncode for worker in workers] == [0] * 8
        connection = open_database(path, KEY, create=False)
        found = [row[0] for row in connection.execute("SELECT value FROM numbers ORDER BY value")]
        connection.close()
        assert found == list(range(1, 401))
        read_all(path)

    def test_kills_during_commits(self, path: Path) -> None:
        """Nothing that was acknowledged is lost, and of each transaction there is all or nothing."""
        chosen = random.Random(9)
        following = 1
        for _ in range(20):
            with start("acknowledge", path, str(following)) as writer:
                assert writer.stdout is not None
                try:
                    acknowledged = [int(writer.stdout.readline()) for _ in range(chosen.randrange(1, 40))]
                finally:
                    writer.kill()
                acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
            connection = open_database(path, KEY, create=False)
            count, highest = connection.execute("SELECT count(*), max(value) FROM numbers").get
            texts = connection.execute("SELECT count(*), max(number) FROM texts WHERE number > 0").get
            connection.close()
            assert acknowledged[-1] <= highest <= acknowledged[-1] + 1
            assert (count, highest) == texts == (highest, highest)
            following = highest + 1
        read_all(path)
