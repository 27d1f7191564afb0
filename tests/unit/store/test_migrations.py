"""What the steps make of single rows. Stores as a whole, and kills: see tests/faults/test_old_stores.py."""

from __future__ import annotations

from collections.abc import Mapping

import apsw
import pytest

from session_cli.protocol.config import dump as dumps
from session_cli.protocol.config.dump import Base
from session_cli.protocol.config.kinds import ConfigKind
from session_cli.protocol.config.state import ConfigState
from session_cli.protocol.config.tree import EMPTY
from session_cli.store.configs import ConfigRow
from session_cli.store.database import migrate
from session_cli.store.history import Range
from session_cli.store.migrations import m0001_initial, m0006_config_bases
from session_cli.store.records import MessageRow, NewMessage
from session_cli.store.store import Store

ME, ALICE, BOB = ("05" + letter * 64 for letter in "eab")
_DEFAULTS: dict[str, object] = {
    "direction": "incoming",
    "sender": ALICE,
    "sent_ms": 50,
    "stored_ms": 51,
    "body": "x",
    "status": "received",
    "quote_author": None,
    "quote_ms": None,
    "expire_mode": "off",
    "expire_s": 0,
    "request": 0,
}


def migrated(*messages: Mapping[str, object]) -> Store:
    """A store of the first version with these messages, brought over. Conversation 1 is with Alice, 2 with Bob."""
    connection = apsw.Connection(":memory:")
    connection.pragma("foreign_keys", True)
    migrate(connection, [m0001_initial])
    connection.execute("INSERT INTO conversations VALUES (1, 'contact', ?), (2, 'contact', ?)", (ALICE, BOB))
    for message in messages:
        row = {**_DEFAULTS, "conversation_id": 1, **message}
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO messages ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - names of columns
    migrate(connection)
    assert list(connection.execute("PRAGMA foreign_key_check")) == []
    store = Store(connection)
    store.now_ms = lambda: 0  # nothing has disappeared yet
    return store


def only(store: Store) -> MessageRow:
    (row,) = store.history.stream(Range())
    return row


@pytest.mark.parametrize(
    ("direction", "status", "becomes"),
    [
        ("incoming", "received", "received"),
        ("incoming", "sent", "received"),
        ("outgoing", "pending", "pending"),
        ("outgoing", "sent", "sent"),
        ("outgoing", "failed", "failed"),
        ("outgoing", "received", "sent"),
    ],
)
def test_directions_and_states(direction: str, status: str, becomes: str) -> None:
    row = only(migrated({"direction": direction, "status": status}))
    assert (row.direction, row.status) == (direction, becomes)


@pytest.mark.parametrize(
    ("quote", "becomes"),
    [((None, None), (None, None)), ((BOB, 7), (BOB, 7)), ((BOB, None), (None, None)), ((None, 7), (None, None))],
)
def test_quotes(quote: tuple[str | None, int | None], becomes: tuple[str | None, int | None]) -> None:
    """Half a quote names nothing."""
    row = only(migrated({"quote_author": quote[0], "quote_ms": quote[1]}))
    assert (row.quote_author, row.quote_ms) == becomes


@pytest.mark.parametrize(
    "expiration", [("off", 0), ("after_send", 60), ("after_read", 5), ("after_read", 0), ("off", 9)]
)
def test_expirations(expiration: tuple[str, int]) -> None:
    row = only(migrated({"expire_mode": expiration[0], "expire_s": expiration[1]}))
    assert (row.expire_mode, row.expire_s) == expiration


def test_a_copy_of_a_message_from_before_is_still_known() -> None:
    """The first version took a sender's time for a message's name in all conversations, so none is there twice."""
    store = migrated({"direction": "outgoing", "sender": ME, "status": "sent"})
    copy = NewMessage(ALICE, "outgoing", ME, 50, "x", "sent")
    assert store.messages.add(copy) is None
    elsewhere = NewMessage(BOB, "outgoing", ME, 50, "to somebody else in the same moment", "sent")
    assert store.messages.add(elsewhere) is not None
    assert store.messages.add(elsewhere) is None
    assert [row.conversation for row in store.history.stream(Range())] == [ALICE, BOB]


def test_order_of_equal_times_is_kept() -> None:
    sent = {"direction": "outgoing", "sender": ME, "status": "sent"}
    store = migrated({"conversation_id": 2, "sender": BOB}, {"sender": ALICE}, sent)
    assert [row.sender for row in store.history.stream(Range())] == [BOB, ALICE, ME]


def test_what_the_swarm_has_of_a_config_gets_the_number_before_that_of_what_is_to_be_pushed() -> None:
    store = migrated()
    before, after = (EMPTY.with_value([b"k"], value) for value in (1, 2))
    pushed = ConfigState(ConfigKind.USER_PROFILE).with_data(before)
    pending = ConfigState(ConfigKind.CONTACTS).with_data(after)
    store.configs.put(pushed.kind.namespace, ConfigRow(dumps.dump(pushed), None), dirty=False)
    store.configs.put(pending.kind.namespace, ConfigRow(dumps.dump(pending), before.encode()), dirty=True)
    m0006_config_bases.apply(store._connection)
    pushed_row, pending_row = (store.configs.get(state.kind.namespace) for state in (pushed, pending))
    assert pushed_row == ConfigRow(dumps.dump(pushed), None)
    assert pending_row
    assert dumps.load_base(pending_row.base or b"") == Base(pending.seqno - 1, before)
