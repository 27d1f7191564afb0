"""The log of events that readers of `recv` follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import apsw

from .queries import fetch_all, fetch_one

if TYPE_CHECKING:
    from .messages import Messages
    from .records import EventRow

TYPES = ("message",)
"""What the numbers in the table mean."""

UNREAD = """
    e.seq > coalesce((SELECT r.seq FROM readers r WHERE r.name = ?1), 0)
    AND NOT EXISTS (SELECT 1 FROM taken t WHERE t.reader = ?1 AND t.seq = e.seq)
"""
"""What holds for the events `e` that the reader ?1 has not taken."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events are wanted: those of one sender (an address), of some types, sent at or after a time in ms.

    What is left out stays unread.
    """

    sender: str | None = None
    types: tuple[str, ...] = ()
    since_ms: int | None = None


EVERYTHING = Selection()


class Events:
    """Appends events and finds what a reader has not had. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection, messages: Callable[[], Messages]) -> None:
        self._connection = connection
        self._messages = messages

    def add(self, type: str, message_id: int) -> None:
        """Append an event about a message."""
        self._connection.execute("INSERT INTO events (type, message_id) VALUES (?, ?)", (TYPES.index(type), message_id))

    def unread(self, reader: str, selection: Selection, limit: int, after: int = 0) -> list[EventRow]:
        """The first events, at most `limit`, that a reader has not taken yet, oldest first, and beyond seq `after`."""
        condition, parameters = _condition(selection)
        rows = fetch_all(
            self._connection,
            f"SELECT e.seq, e.type, e.message_id FROM events e {condition} AND e.seq > ?2 ORDER BY e.seq LIMIT ?3",  # noqa: S608 - put together of constants
            (reader, after, limit, *parameters),
        )
        return self._with_messages(rows)

    def _with_messages(self, rows: list[tuple[Any, ...]]) -> list[EventRow]:
        if not rows:
            return []
        from .records import EventRow

        marks = ", ".join("?" * len(rows))
        messages = {
            message.id: message
            for message in self._messages().rows(f"WHERE m.id IN ({marks})", tuple(row[2] for row in rows))
        }
        return [
            EventRow(seq, TYPES[type], messages[message_id]) for seq, type, message_id in rows if message_id in messages
        ]

    def count_unread(self, reader: str) -> int:
        """How many events a reader has waiting."""
        row = fetch_one(self._connection, f"SELECT count(*) FROM events e WHERE {UNREAD}", (reader,))  # noqa: S608
        return int(row[0]) if row else 0


def _condition(selection: Selection) -> tuple[str, tuple[Any, ...]]:
    """Joins and conditions for a selection; ?1 is the reader, ?2 and ?3 are the caller's."""
    joins, conditions, parameters = "", [UNREAD], list[Any]()
    if selection.sender is not None or selection.since_ms is not None:
        joins = "JOIN messages m ON m.id = e.message_id JOIN people s ON s.id = m.sender_id"
    for column, value in (("s.address =", selection.sender), ("m.sent_ms >=", selection.since_ms)):
        if value is not None:
            parameters.append(value)
            conditions.append(f"{column} ?{len(parameters) + 3}")
    if selection.types:
        numbers = ", ".join(str(TYPES.index(type)) for type in selection.types)
        conditions.append(f"e.type IN ({numbers})")
    return f"{joins} WHERE {' AND '.join(conditions)}", tuple(parameters)
