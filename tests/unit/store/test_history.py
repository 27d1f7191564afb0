"""Pages of the history against sorting everything; and what conversations are made of."""

from __future__ import annotations

from dataclasses import replace

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.store import history
from session_cli.store.database import migrate
from session_cli.store.history import Range
from session_cli.store.records import AttachmentRow, NewMessage
from session_cli.store.store import Store

PEOPLE = ["05" + letter * 64 for letter in "abc"]
FILE = AttachmentRow("http://x/file/1", b"k" * 64, None, 1, "image/png", "a.png")


@pytest.fixture
def store() -> Store:
    connection = apsw.Connection(":memory:")
    migrate(connection)
    return Store(connection)


def add(store: Store, person: str, sent_ms: int, *, event: bool = False, outgoing: bool = False) -> int | None:
    direction, status = ("outgoing", "sent") if outgoing else ("incoming", "received")
    files = (FILE,) if sent_ms % 3 == 0 else ()
    sender = PEOPLE[2] if outgoing else person
    message_id = store.messages.add(NewMessage(person, direction, sender, sent_ms, "x", status, attachments=files))
    if event and message_id is not None:
        store.events.add("message", message_id)
    return message_id


TIMES = st.integers(0, 12)
WANTED = st.builds(
    Range,
    conversation=st.sampled_from([None, *PEOPLE]),
    sender=st.sampled_from([None, *PEOPLE]),
    since_ms=st.none() | TIMES,
    until_ms=st.none() | TIMES,
    has_attachment=st.booleans(),
)


@given(st.lists(st.tuples(st.sampled_from(PEOPLE), TIMES, st.booleans()), max_size=20), WANTED, st.data())
def test_as_if_everything_were_sorted(
    messages: list[tuple[str, int, bool]], wanted: Range, data: st.DataObject
) -> None:  # fmt: skip
    connection = apsw.Connection(":memory:")
    migrate(connection)
    store = Store(connection)
    ids = [found for person, at, outgoing in messages if (found := add(store, person, at, outgoing=outgoing))]
    everything = sorted(store.messages.rows("", ()), key=lambda row: (row.sent_ms, row.id))
    assert len(everything) == len(ids)
    places = st.none() | (st.sampled_from([(row.sent_ms, row.id) for row in everything]) if everything else st.none())
    wanted = replace(wanted, before=data.draw(places), after=data.draw(places))
    expected = [
        row
        for row in everything
        if wanted.conversation in (None, row.conversation)
        and wanted.sender in (None, row.sender)
        and (wanted.since_ms is None or row.sent_ms >= wanted.since_ms)
        and (wanted.until_ms is None or row.sent_ms <= wanted.until_ms)
        and (wanted.before is None or (row.sent_ms, row.id) < wanted.before)
        and (wanted.after is None or (row.sent_ms, row.id) > wanted.after)
        and (row.attachments or not wanted.has_attachment)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "PAGE", data.draw(st.integers(1, 4)))
        assert list(store.history.stream(wanted)) == expected
        number = data.draw(st.integers(1, 6))
        start = store.history.nth_last(wanted, number)
        assert (start is None) == (number > len(expected))
        assert list(store.history.stream(wanted, start=start)) == expected[-number:]


def test_what_comes_while_one_reads_is_neither_missed_nor_seen_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE", 2)
    for sent_ms in range(10, 16):
        add(store, PEOPLE[0], sent_ms)
    seen = []
    for row in store.history.stream(Range()):
        seen.append(row.sent_ms)
        if row.sent_ms == 12:
            add(store, PEOPLE[1], 5)
            add(store, PEOPLE[1], 20)
    assert seen == [10, 11, 12, 13, 14, 15, 20]


def test_conversations(store: Store) -> None:
    alice, bob, _ = PEOPLE
    with store.transaction():
        store.people.set_name(bob, "Bob", 1)
        add(store, alice, 50, event=True)
        add(store, alice, 20, event=True)
        add(store, bob, 40, event=True)
        last = add(store, bob, 60, outgoing=True)
        store.people.approve(bob, by_us=True)
    first, second = store.history.conversations("default")
    assert (first.address, first.name, first.approved, first.unread) == (bob, "Bob", True, 1)
    assert first.last_message is not None
    assert first.last_message.id == last
    assert (second.address, second.approved, second.unread) == (alice, False, 2)
    assert second.last_message is not None
    assert second.last_message.sent_ms == 50
    with store.transaction():
        store.readers.take("default", [1, 3])
    assert [row.unread for row in store.history.conversations("default")] == [0, 1]
    assert [row.unread for row in store.history.conversations("other")] == [1, 2]


def test_a_conversation_whose_messages_are_gone_comes_last(store: Store) -> None:
    add(store, PEOPLE[0], 50)
    add(store, PEOPLE[1], 40)
    store._connection.execute("DELETE FROM messages WHERE sent_ms = 50")
    first, second = store.history.conversations("default")
    assert (first.address, second.address) == (PEOPLE[1], PEOPLE[0])
    assert second.last_message is None


def test_a_message_by_its_name_across_devices(store: Store) -> None:
    message_id = add(store, PEOPLE[0], 50)
    found = store.history.named(PEOPLE[0], PEOPLE[0], 50)
    assert found is not None
    assert found.id == message_id
    assert store.history.named(PEOPLE[0], PEOPLE[1], 50) is None
    assert store.history.named(PEOPLE[0], PEOPLE[0], 51) is None
