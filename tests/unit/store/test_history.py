"""Pages of the history against sorting everything; and what conversations are made of."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.store import history
from session_cli.store.database import migrate, open_database
from session_cli.store.history import Range
from session_cli.store.records import AttachmentRow, NewMessage
from session_cli.store.store import Store

from .worker import KEY

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
        patch.setattr(history, "_FIRST_RUN", data.draw(st.integers(1, 3)))
        patch.setattr(history, "_LONGEST_RUN", data.draw(st.integers(1, 4)))
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


def test_a_conversation_whose_messages_are_gone_is_shown_if_it_is_pinned(store: Store) -> None:
    add(store, PEOPLE[0], 50)
    add(store, PEOPLE[1], 40)
    store._connection.execute("DELETE FROM messages WHERE sent_ms = 50")
    assert [row.address for row in store.history.conversations("default")] == [PEOPLE[1]]
    store.configs.set_conversation(replace(store.configs.conversation(PEOPLE[0]), pinned=1))
    first, second = store.history.conversations("default")
    assert (first.address, second.address) == (PEOPLE[0], PEOPLE[1])
    assert first.last_message is None


def test_a_message_by_its_name_across_devices(store: Store) -> None:
    message_id = add(store, PEOPLE[0], 50)
    found = store.history.named(PEOPLE[0], PEOPLE[0], 50)
    assert found is not None
    assert found.id == message_id
    assert store.history.named(PEOPLE[0], PEOPLE[1], 50) is None
    assert store.history.named(PEOPLE[0], PEOPLE[0], 51) is None


def test_equal_times_in_several_conversations_stand_in_the_order_of_the_ids(store: Store) -> None:
    alice, bob, me = PEOPLE
    ids = [add(store, person, 50, outgoing=outgoing) for outgoing in (True, False) for person in (bob, alice, me)]
    earlier, later = add(store, alice, 40), add(store, bob, 60)
    assert [row.id for row in store.history.stream(Range())] == [earlier, *ids[:5], later]
    assert ids[5] is None, "what one writes to oneself goes out and comes in as one message"
    for number, message_id in enumerate(ids[:5]):
        assert message_id is not None
        place = store.history.position(message_id)
        assert [row.id for row in store.history.stream(Range(before=place))] == [earlier, *ids[:number]]
        assert [row.id for row in store.history.stream(Range(after=place))] == [*ids[number + 1 : 5], later]
        assert store.history.nth_last(Range(before=place), 1) == (
            store.history.position(ids[number - 1] or 0) if number else (40, earlier)
        )


def test_a_conversation_that_begins_while_one_reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 2)
    for sent_ms in range(10, 15):
        add(store, PEOPLE[0], sent_ms)
    reading = store.history.stream(Range())
    assert next(reading).sent_ms == 10
    add(store, PEOPLE[1], 12)
    assert [(row.sent_ms, row.conversation) for row in reading] == [
        (11, PEOPLE[0]),
        (12, PEOPLE[0]),
        (12, PEOPLE[1]),
        (13, PEOPLE[0]),
        (14, PEOPLE[0]),
    ]


def test_what_another_process_adds_while_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 2)
    path = tmp_path / "store.db"
    with closing(open_database(path, KEY, create=True)) as one, closing(open_database(path, KEY, create=False)) as two:
        migrate(one)
        reader, writer = Store(one), Store(two)
        for sent_ms in range(10, 15):
            add(writer, PEOPLE[0], sent_ms)
        reading = reader.history.stream(Range())
        assert next(reading).sent_ms == 10
        add(writer, PEOPLE[1], 5)
        add(writer, PEOPLE[1], 13)
        assert [row.sent_ms for row in reading] == [11, 12, 13, 13, 14]


def test_one_sender_at_one_time_in_one_conversation_is_one_message(store: Store) -> None:
    alice, bob, _ = PEOPLE
    to_alice = add(store, alice, 50, outgoing=True)
    assert add(store, alice, 50, outgoing=True) is None
    from_alice = add(store, alice, 50)
    to_bob = add(store, bob, 50, outgoing=True)  # from another of one's devices
    assert len({to_alice, from_alice, to_bob, None}) == 4
    for conversation, message_id in ((alice, to_alice), (bob, to_bob)):
        found = store.history.named(conversation, PEOPLE[2], 50)
        assert found is not None
        assert found.id == message_id


def test_what_few_messages_have(store: Store) -> None:
    plain = NewMessage(PEOPLE[0], "incoming", PEOPLE[0], 50, "x", "received")
    quoting = replace(plain, sent_ms=51, quote_author=PEOPLE[2], quote_ms=40)
    vanishing = replace(plain, sent_ms=52, expire_mode="after_read", expire_s=60)
    both = replace(quoting, sent_ms=53, expire_mode="after_send", expire_s=5, request=True)
    for message in (plain, quoting, vanishing, both):
        message_id = store.messages.add(message)
        assert message_id is not None
        row = store.messages.get(message_id)
        for field in fields(NewMessage):
            assert getattr(row, field.name) == getattr(message, field.name)
    connection = store._connection
    connection.pragma("foreign_keys", True)
    assert connection.execute("SELECT (SELECT count(*) FROM quotes), (SELECT count(*) FROM expirations)").get == (2, 2)
    connection.execute("DELETE FROM messages")
    assert connection.execute("SELECT (SELECT count(*) FROM quotes), (SELECT count(*) FROM expirations)").get == (0, 0)


@pytest.mark.parametrize(("direction", "status"), [("incoming", "sent"), ("outgoing", "received")])
def test_no_message_goes_and_comes(store: Store, direction: str, status: str) -> None:
    with pytest.raises(ValueError, match=status):
        store.messages.add(NewMessage(PEOPLE[0], direction, PEOPLE[0], 1, "x", status))


def test_the_last_time_of_a_sender_in_all_conversations(store: Store) -> None:
    alice, bob, me = PEOPLE
    add(store, alice, 70, outgoing=True)
    add(store, bob, 60, outgoing=True)
    add(store, bob, 80)
    last = add(store, bob, 90, outgoing=True)
    assert last is not None
    assert store.messages.last_sent_ms(me, before_id=last) == 70
    assert store.messages.last_sent_ms(me, before_id=last + 1) == 90
    assert store.messages.last_sent_ms(me, before_id=1) == store.messages.last_sent_ms("05", before_id=9) == 0


def test_no_question_about_a_few_reads_all_messages(store: Store) -> None:
    add(store, PEOPLE[0], 50)
    asked: list[tuple[str, Any]] = []

    def note(_: object, statement: str, values: Any) -> bool:
        asked.append((statement, values or ()))
        return True

    store._connection.set_exec_trace(note)
    wanted = Range(since_ms=1, until_ms=99)
    store.history.nth_last(wanted, 1)
    list(store.history.stream(replace(wanted, after=(2, 3), before=(60, 3))))
    store.history.named(PEOPLE[0], PEOPLE[0], 50)
    store.history.conversations("default")
    store.messages.last_sent_ms(PEOPLE[0], before_id=9)
    store.search.find(store.search.parse("x"), wanted, 1)
    store._connection.set_exec_trace(None)
    queries = [each for each in asked if each[0].lstrip().startswith("SELECT")]
    assert len(queries) >= 8
    for statement, values in queries:
        for *_, step in store._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values):
            assert not step.startswith("SCAN m "), statement
            assert step != "SCAN m", statement
