"""What is kept of words about messages that are not here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.store.database import migrate, open_database
from session_cli.store.marks import EARLY_KEPT_MS, MOST_EARLY, Early, Target
from session_cli.store.store import Store

from .worker import KEY

ALICE, BOB, MALLORY = ("05" + letter * 64 for letter in "abc")
NOW_MS = 1_800_000_000_000


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


def test_each_kind_has_room_of_its_own_and_we_have_no_limit(store: Store) -> None:
    with store.transaction():
        for number in range(MOST_EARLY + 1):
            store.marks.add_early(Target(BOB, ALICE, number), Early("receipt", BOB, 1))
        assert store.marks.add_early(Target(BOB, BOB, 1), Early("unsend", BOB, 1))
        for number in range(MOST_EARLY + 1):
            assert store.marks.add_early(Target(ALICE, ALICE, number), Early("unsend", ALICE, 1), most=None)


def test_it_is_forgotten_by_our_own_clock(store: Store) -> None:
    """Whoever dates what he says into the year 9999 is remembered for no longer, and who is late for no less."""
    store.now_ms = lambda: NOW_MS
    far, late = Target(MALLORY, ALICE, 1), Target(MALLORY, ALICE, 2)
    with store.transaction():
        store.marks.add_early(far, Early("reaction", MALLORY, 250_000_000_000_000, "👍"))
        store.marks.add_early(late, Early("unsend", MALLORY, 1))
        store.marks.forget_early(NOW_MS + EARLY_KEPT_MS)
        assert len(store.marks.take_early(late)) == 1
        store.marks.forget_early(NOW_MS + EARLY_KEPT_MS + 1)
        assert store.marks.take_early(far) == []


def test_what_became_of_a_call_is_for_those_who_have_a_say(store: Store) -> None:
    with store.transaction():
        for kind, sender in (("answered", ALICE), ("missed", BOB), ("declined", MALLORY)):
            store.marks.add_early_call(Early(kind, sender, 1, "one"))  # type: ignore[arg-type]
        store.marks.add_early_call(Early("declined", ALICE, 1, "two"))
        assert store.marks.take_early_call("one", (ALICE, BOB)) == {"answered", "missed"}
        assert store.marks.take_early_call("one", (ALICE, BOB)) == set()
        assert store.marks.take_early_call("two", (ALICE, BOB)) == {"declined"}
