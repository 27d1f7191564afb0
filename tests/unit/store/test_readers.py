"""Readers of the log against a model that remembers for each of them what it has had."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from session_cli.store.database import migrate, open_database, transaction
from session_cli.store.events import EVERYTHING, Events, Selection
from session_cli.store.messages import Messages
from session_cli.store.readers import Mark, Readers, Writing
from session_cli.store.records import NewMessage

from .worker import KEY

SENDERS = ("05" + "a" * 64, "05" + "b" * 64)
GROUP = "03" + "c" * 64
names = st.sampled_from(["one", "two", "three"])
selections = st.builds(
    Selection,
    st.sampled_from([None, *SENDERS]),
    st.sampled_from([(), ("message",)]),
    st.one_of(st.none(), st.integers(0, 60)),
    st.sampled_from([None, *SENDERS, GROUP]),
)


class Log(RuleBasedStateMachine):
    """`had` are the events (numbers) that each reader has taken or passed, `log` all: number, sender, place, time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "store.db"
        self.use(open_database(self.path, KEY, create=True))
        self.log: list[tuple[int, str, str, int]] = []
        self.had: dict[str, set[int]] = {}

    def use(self, connection: apsw.Connection) -> None:
        migrate(connection)
        self.connection = connection
        messages = Messages(connection, lambda: 0)
        self.messages, self.events, self.readers = messages, Events(connection, lambda: messages), Readers(connection)

    def teardown(self) -> None:
        self.connection.close()
        self.folder.cleanup()

    def unread(self, reader: str, selection: Selection) -> list[int]:
        had = self.had.get(reader, set())
        return [
            seq
            for seq, sender, place, sent_ms in self.log
            if seq not in had
            and selection.sender in (None, sender)
            and selection.place in (None, place)
            and (selection.since_ms is None or sent_ms >= selection.since_ms)
        ]

    @rule(sender=st.sampled_from(SENDERS), in_group=st.booleans(), back=st.integers(0, 5))
    def add(self, sender: str, in_group: bool, back: int) -> None:
        """Now and then a message comes that was sent before others that came already."""
        sent_ms, place = max(0, 2 * len(self.log) - 7 * back), GROUP if in_group else sender
        with transaction(self.connection):
            message_id = self.messages.add(NewMessage(place, "incoming", sender, sent_ms, "text", "received"))
            if message_id is None:
                return
            self.events.add("message", message_id)
        self.log.append((self.connection.execute("SELECT max(seq) FROM events").get, sender, place, sent_ms))

    @rule(reader=names, selection=selections, most=st.integers(1, 5), keep=st.integers(0, 2))
    def take(self, reader: str, selection: Selection, most: int, keep: int) -> None:
        found = [row.seq for row in self.events.unread(reader, selection, most)]
        assert found == self.unread(reader, selection)[:most]
        taken = found[: len(found) - keep] if keep < len(found) else []
        with transaction(self.connection):
            self.readers.take(reader, taken)
        self.had.setdefault(reader, set()).update(taken)

    @rule(reader=names)
    def take_all_by_steps(self, reader: str) -> None:
        after, found = 0, []
        while rows := self.events.unread(reader, EVERYTHING, 2, after):
            after = rows[-1].seq
            found += [row.seq for row in rows]
        assert found == self.unread(reader, EVERYTHING)

    @rule(reader=names, to=st.one_of(st.none(), st.integers(0, 60)))
    def place(self, reader: str, to: int | None) -> None:
        """At the beginning, or before the first event of a message that was sent at this time or later."""
        if to is None:
            seq = 0
        else:
            seq = self.readers.last_seq(to)
            later = [number for number, _, _, sent_ms in self.log if sent_ms >= to]
            assert seq == (later[0] - 1 if later else len(self.log) and self.log[-1][0])
        with transaction(self.connection):
            self.readers.place(reader, seq)
        self.had[reader] = {number for number, *_ in self.log if number <= seq}

    @rule(reader=names)
    def to_end(self, reader: str) -> None:
        with transaction(self.connection):
            self.readers.place(reader, self.readers.last_seq())
        self.had[reader] = {number for number, *_ in self.log}

    @rule(reader=names)
    def delete(self, reader: str) -> None:
        assert (reader in {row.name for row in self.readers.all()}) == (reader in self.had)
        with transaction(self.connection):
            self.readers.delete(reader)
        self.had.pop(reader, None)

    @rule()
    def open_again(self) -> None:
        self.connection.close()
        self.use(open_database(self.path, KEY, create=False))

    @invariant()
    def everybody_sees_what_they_have_not_had(self) -> None:
        assert {row.name for row in self.readers.all()} == set(self.had)
        for reader in ("one", "two", "three"):
            assert self.events.count_unread(reader) == len(self.unread(reader, EVERYTHING))

    @invariant()
    def nothing_is_remembered_twice(self) -> None:
        """What lies before a reader's place is not named again, and the place is as far on as it can be."""
        for row in self.readers.all():
            unread = self.unread(row.name, EVERYTHING)
            assert not unread or row.seq == unread[0] - 1
            taken = self.connection.execute("SELECT seq FROM taken WHERE reader = ?", (row.name,))
            assert all(seq > row.seq for (seq,) in taken)


TestLog = Log.TestCase
TestLog.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


@pytest.fixture
def connection(tmp_path: Path) -> Any:
    opened = open_database(tmp_path / "store.db", KEY, create=True)
    migrate(opened)
    yield opened
    opened.close()


def test_what_is_about_to_be_written(connection: apsw.Connection) -> None:
    readers, writing = Readers(connection), Writing((1, 3), 5, 7, 11, (Mark(4, "ab", "cd"), Mark(5, "ef", "01")))
    assert readers.writing("one") is None
    readers.set_writing("one", writing)
    assert (readers.writing("one"), readers.writing("two")) == (writing, None)
    readers.take("one", [])
    assert readers.writing("one") is None
    readers.set_writing("one", writing)
    readers.place("one", 0)
    assert readers.writing("one") is None


def test_a_place_beyond_the_end_stays(connection: apsw.Connection) -> None:
    """Of a log whose last events are gone."""
    readers = Readers(connection)
    readers.place("one", 100)
    readers.take("one", [])
    assert [row.seq for row in readers.all()] == [100]
