"""A store of the first version, opened by this program: nothing in it is lost, whatever happens on the way."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

from session_cli.devnet.network import Devnet
from session_cli.store.database import migrate, open_database
from session_cli.store.migrations import m0001_initial, newest_version
from tests.support.devnet import Person
from tests.support.forks import kill_fork, run_fork, start_fork
from tests.support.memory import peak_kb
from tests.support.outcomes import bodies
from tests.support.stores import check_store, contents_of, fill_old_store, make_old, open_store
from tests.support.strangers import Stranger

People = Callable[[str], Person]
KEY = bytes(range(32))
KILLS = 40
MANY = 100_000
MEMORY_KB = 120_000


@pytest.fixture
def old(person: People) -> Person:
    """Somebody who has used the first version."""
    bob = person("Bob")
    make_old(bob, messages=300)
    return bob


def contents(person: Person) -> list[list[tuple[Any, ...]]]:
    connection = open_store(person)
    try:
        return contents_of(connection)
    finally:
        connection.close()


def check_migrated(person: Person, before: list[list[tuple[Any, ...]]]) -> None:
    """The store is of the newest version, sound, and holds what it held."""
    connection = open_store(person)
    try:
        assert connection.pragma("user_version") > 1
        check_store(connection)
        assert contents_of(connection) == before
        check_search(connection)
    finally:
        connection.close()


def check_search(connection: apsw.Connection) -> None:
    """Every message is found by each of its words, and no longer once it is gone."""

    def found(word: str) -> list[int]:
        query = "SELECT rowid FROM message_search WHERE message_search MATCH ? ORDER BY rowid"
        return [row[0] for row in connection.execute(query, (word,))]

    with_text = [row[0] for row in connection.execute("SELECT id FROM messages WHERE body <> '' ORDER BY id")]
    assert found("worter") == found("neil") == with_text
    last = with_text[-1]
    assert found(f"word{last // 2}") == [last]


def test_a_check_leaves_it_old(old: Person) -> None:
    before = contents(old)
    (finding,) = old.try_run("store", "check").lines
    assert "1 of the readers' positions" in finding, "the one that was made to lie there"
    connection = open_store(old)
    assert connection.pragma("user_version") == 1
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE '%new_%'").get == 0
    connection.close()
    assert contents(old) == before
    old.run("whoami")
    check_migrated(old, before)


def test_everything_is_kept(old: Person) -> None:
    before = contents(old)
    cursors = {cursor["name"]: cursor for cursor in old.run("cursor", "list", "--json").objects}
    check_migrated(old, before)
    waiting = bodies(old.receive("--peek"))
    assert 0 < len(waiting) == cursors["default"]["unread"] < cursors["new"]["unread"]
    assert cursors["far"]["unread"] == 0
    assert not any(cursor["since"].startswith("1970") for cursor in cursors.values())
    every = old.receive("--cursor", "new")
    assert bodies(every)[-len(waiting) :] == waiting
    assert {message["hash"] is None for message in every} == {True, False}, "known as long as a swarm can hold it"
    assert bodies(old.receive()) == waiting


def test_numbers_are_not_given_out_again(old: Person, shared_net: Devnet) -> None:
    """Not those of messages that are gone either; a reader that was past them sees what is new."""
    connection = open_store(old)
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").get
    with connection:
        connection.execute("UPDATE readers SET seq = ? WHERE name = 'far'", (last,))
    connection.close()
    Stranger(shared_net).say(old.id, "new")
    (message,) = old.receive("--cursor", "far")
    assert message["body"] == "new"
    assert message["id"] > 600 + 99


def test_kills(old: Person, tmp_path: Path) -> None:
    """The store is of one version or of another, and whole."""
    before = contents(old)
    durations = []
    for number in range(3):
        copy = Person(shutil.copytree(old.home, tmp_path / f"first {number}"), old.network, old.id)
        done = run_fork(copy.environment, "cursor", "list", out=tmp_path / "out")
        assert done.status == 0
        durations.append(done.seconds)
    versions = set()
    for number in range(KILLS):
        copy = Person(shutil.copytree(old.home, tmp_path / f"{number}"), old.network, old.id)
        delay = 1.1 * sorted(durations)[1] * number / KILLS
        status = kill_fork(copy.environment, delay, "cursor", "list", number=signal.SIGKILL, out=tmp_path / "out")
        assert status in (0, -signal.SIGKILL)
        connection = open_store(copy)
        versions.add(connection.pragma("user_version"))
        assert connection.execute("PRAGMA quick_check").get == "ok"
        assert contents_of(connection) == before
        connection.close()
        if number % 10 == 0:
            assert copy.run("cursor", "list").code == 0
            check_migrated(copy, before)
        shutil.rmtree(copy.home)
    assert {1, newest_version()} <= versions <= set(range(1, newest_version() + 1))


@pytest.mark.parametrize("killed", [False, True])
def test_several_at_once(killed: bool, old: Person, shared_net: Devnet, tmp_path: Path) -> None:
    """Two receivers, and others who only open it; one of them perhaps killed in the midst. Each event is shown once."""
    before = contents(old)
    unread = sum(event[0] > dict(before[4])["default"] for event in before[3])
    commands = [("recv", "--json"), ("recv", "--json"), ("cursor", "list"), ("outbox", "list")]
    runs = [
        start_fork(old.environment, *command, out=tmp_path / f"out{number}") for number, command in enumerate(commands)
    ]
    if killed:
        killed_one = runs.pop(2)
        killed_one.signal(signal.SIGKILL)
        assert killed_one.wait() in (0, -signal.SIGKILL)
    assert [run.wait() for run in runs] == [0] * len(runs)
    shown = [line for number in range(2) for line in (tmp_path / f"out{number}").read_text().splitlines()]
    assert len(shown) == len(set(shown)) == unread
    after = contents(old)
    for kind in (0, 1, 2, 3, 9):
        assert after[kind] == before[kind]
    connection = open_store(old)
    check_store(connection)
    check_search(connection)
    connection.close()


def test_processes_that_migrate_at_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = make(path, 3000)
    before = contents_of(connection)
    connection.close()

    def opening(_: int) -> None:
        connection = open_database(path, KEY, create=False)
        migrate(connection)
        assert connection.pragma("user_version") > 1
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(opening, range(4)))
    connection = open_database(path, KEY, create=False)
    check_store(connection)
    assert contents_of(connection) == before
    connection.close()


def make(path: Path, messages: int) -> apsw.Connection:
    """A store of version 1."""
    connection = open_database(path, KEY, create=True)
    migrate(connection, [m0001_initial])
    with connection:
        fill_old_store(connection, "05" + "d" * 64, messages=messages)
    return connection


@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured in POSIX's way")
def test_a_long_history(tmp_path: Path) -> None:
    """Brought over in one go, in little memory."""
    make(tmp_path / "messages.db", MANY).close()
    code = "import sys; from pathlib import Path; from session_cli.store.store import Store; "
    code += f"Store.open(Path(sys.argv[1]), {KEY!r}).close()"
    assert peak_kb([sys.executable, "-c", code, tmp_path]) < MEMORY_KB
    connection = open_database(tmp_path / "messages.db", KEY, create=False)
    assert connection.execute("SELECT count(*), sum(id) FROM messages").get == (MANY, MANY * (MANY + 1))
    check_store(connection)
    check_search(connection)
    connection.close()
