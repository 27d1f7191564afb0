"""What is kept of words about messages that are not here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.store.database import migrate, open_database
from session_cli.store.marks import MOST_EARLY, Early, Target
from session_cli.store.store import Store

from .worker import KEY

ALICE, BOB, MALLORY = ("05" + letter * 64 for letter in "abc")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty one."""
    connection = open_database(tmp_path / "store.db", KEY, create=True)
    migrate(connection)
    store = Store(connection)
    yield store
    store.close()


def test_nobody_fills_the_store_with_what_never_comes(store: Store) -> None:
    said = Early("reaction", MALLORY, 1, "👍")
    with store.transaction():
        kept = [store.marks.add_early(Target(MALLORY, ALICE, number), said) for number in range(MOST_EARLY + 5)]
        assert kept == [True] * MOST_EARLY + [False] * 5
        assert store.marks.add_early(Target(BOB, ALICE, 1), Early("reaction", BOB, 1, "👍"))
        assert store.marks.take_early(Target(MALLORY, ALICE, 7)) == [said]
        assert store.marks.take_early(Target(MALLORY, ALICE, 7)) == []


def test_the_later_of_two_is_kept(store: Store) -> None:
    target = Target(BOB, ALICE, 5)
    put, taken = Early("reaction", BOB, 10, "👍"), Early("reaction", BOB, 11, "👍", removed=True)
    for order in ((put, taken), (taken, put)):
        with store.transaction():
            for said in order:
                store.marks.add_early(target, said)
            assert store.marks.take_early(target) == [taken]


def test_what_another_device_of_ours_said_needs_no_conversation(store: Store) -> None:
    with store.transaction():
        store.marks.add_early(Target("", ALICE, 5), Early("unsend", ALICE, 10))
        store.marks.add_early(Target(MALLORY, ALICE, 5), Early("receipt", MALLORY, 10))
        assert [said.kind for said in store.marks.take_early(Target(BOB, ALICE, 5))] == ["unsend"]
