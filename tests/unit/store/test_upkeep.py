"""A database as a whole: copied while others write, given another key, compacted, checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from session_cli.errors import StoreDamaged, StoreLocked
from session_cli.store.database import migrate, open_database
from session_cli.store.history import Range
from session_cli.store.records import NewMessage
from session_cli.store.store import Store
from session_cli.store.upkeep import MOST_FINDINGS, Upkeep

from .worker import KEY

OTHER_KEY = b"k" * 32
MARK = b"something secret in clear"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    """A store with four megabytes in it."""
    opened = open_database(path, KEY, create=True)
    migrate(opened)
    opened.execute("CREATE TABLE padding (number INTEGER PRIMARY KEY, content BLOB)")
    opened.execute("INSERT INTO settings (name, value) VALUES ('seed', x'00')")
    opened.executemany("INSERT INTO padding (content) VALUES (?)", ((MARK * 40,) for _ in range(4000)))
    yield opened
    opened.close()


def count(connection: apsw.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM padding").get)


def nobody(done: int, total: int) -> None:
    """Not interested in progress."""


def test_a_copy_holds_one_moment(connection: apsw.Connection, path: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with closing(open_database(path, KEY, create=False)) as other:

        def meanwhile(done: int, total: int) -> None:
            told.append((done, total))
            other.execute("INSERT INTO padding (content) VALUES ('new')")

        facts = Upkeep(connection).snapshot(tmp_path / "copy", OTHER_KEY, meanwhile)
        assert count(other) == 4000 + len(told)
    assert len(told) > 1
    assert told[-1] == (facts.pages * facts.page_bytes,) * 2
    assert (tmp_path / "copy").stat().st_size == told[-1][1]
    assert not connection.in_transaction
    assert MARK not in (tmp_path / "copy").read_bytes()
    with closing(open_database(tmp_path / "copy", OTHER_KEY, create=False)) as copy:
        assert count(copy) == 4000
        assert Upkeep(copy).full_check() == []
    with pytest.raises(StoreDamaged):
        open_database(tmp_path / "copy", KEY, create=False)


def test_a_copy_leaves_out_what_is_not_committed(connection: apsw.Connection, path: Path, tmp_path: Path) -> None:
    with closing(open_database(path, KEY, create=False)) as other:
        other.execute("BEGIN IMMEDIATE; INSERT INTO padding (content) VALUES ('new')")
        Upkeep(connection).snapshot(tmp_path / "copy", OTHER_KEY, nobody)
        other.execute("COMMIT")
    with closing(open_database(tmp_path / "copy", OTHER_KEY, create=False)) as copy:
        assert count(copy) == 4000


def test_a_copy_never_replaces_a_file(connection: apsw.Connection, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("precious")
    with pytest.raises(FileExistsError):
        Upkeep(connection).snapshot(tmp_path / "copy", OTHER_KEY, nobody)
    assert (tmp_path / "copy").read_text() == "precious"


def test_another_key(connection: apsw.Connection, path: Path) -> None:
    Upkeep(connection).change_key(OTHER_KEY)
    connection.close()
    with pytest.raises(StoreDamaged):
        open_database(path, KEY, create=False)
    with closing(open_database(path, OTHER_KEY, create=False)) as again:
        assert count(again) == 4000
        assert Upkeep(again).full_check() == []
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert MARK not in path.read_bytes()


def test_compacted(connection: apsw.Connection, path: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    connection.execute("DELETE FROM padding WHERE number % 2")
    before = path.stat().st_size
    Upkeep(connection).compact(KEY, tmp_path / "scratch", nobody)
    assert MARK not in (tmp_path / "scratch" / path.name).read_bytes()
    connection.close()
    assert path.stat().st_size < before * 0.6
    with closing(open_database(path, KEY, create=False)) as again:
        assert count(again) == 2000
        assert Upkeep(again).full_check() == []


def test_compacted_with_its_index_of_words_in_one_piece(
    connection: apsw.Connection, path: Path, tmp_path: Path
) -> None:
    store = Store(connection)
    for number in range(200):
        body = " ".join(f"w{number}x{word}" for word in range(40)) + " common"
        store.messages.add(NewMessage("05" + "a" * 64, "incoming", "05" + "a" * 64, number, body, "received"))
    pieces = "SELECT count(DISTINCT segid) FROM message_search_idx"
    assert connection.execute(pieces).get > 1
    Upkeep(connection).compact(KEY, _folder(tmp_path), nobody)
    connection.close()
    with closing(open_database(path, KEY, create=False)) as again:
        assert again.execute(pieces).get == 1
        assert Upkeep(again).full_check() == []
        again.execute("INSERT INTO message_search (message_search) VALUES ('integrity-check')")
        search = Store(again).search
        assert len(search.find(search.parse("common"), Range(), None)) == 200
        assert len(search.find(search.parse("w7x39"), Range(), None)) == 1


def test_not_compacted_while_another_is_there(connection: apsw.Connection, path: Path, tmp_path: Path) -> None:
    with closing(open_database(path, KEY, create=False)) as other:
        with pytest.raises(StoreLocked):
            Upkeep(connection).compact(KEY, tmp_path, nobody)
        connection.close()
        other.execute("INSERT INTO padding (content) VALUES ('new')")
        assert count(other) == 4001


def test_checks_of_a_sound_store(connection: apsw.Connection) -> None:
    upkeep = Upkeep(connection)
    assert upkeep.quick_check() == upkeep.full_check() == list(upkeep.check_contents()) == []


def test_an_index_that_does_not_agree(connection: apsw.Connection) -> None:
    connection.execute("CREATE INDEX padding_index ON padding (number + 1)")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, '+ 1', '+ 2') WHERE name = 'padding_index'")
    connection.execute("PRAGMA writable_schema = RESET")
    assert 1 <= len(Upkeep(connection).full_check()) <= MOST_FINDINGS


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_copies_are_private(connection: apsw.Connection, tmp_path: Path, any_umask: int) -> None:
    Upkeep(connection).snapshot(tmp_path / "copy", OTHER_KEY, nobody)
    Upkeep(connection).compact(KEY, _folder(tmp_path), nobody)
    for file in (tmp_path / "copy", tmp_path / "scratch" / "store.db"):
        assert file.stat().st_mode & 0o777 == 0o600


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    folder.chmod(0o700)
    return folder
