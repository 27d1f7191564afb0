"""The log of events that readers of `recv` follow."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import apsw

from .people import person_id
from .queries import fetch_all, fetch_one

if TYPE_CHECKING:
    from .messages import Messages
    from .records import EventDetail, EventRow

KINDS = ("message", "expiration_update", "call", "media_saved", "unknown", "group_update", "community_update")
"""The kinds of rows of `messages`, as the numbers in the tables mean them."""
TYPES = (
    *("message", "expiration_update", "call", "media_saved", "unknown"),
    *("reaction", "unsend", "receipt", "typing", "contact_request", "profile"),
    *("group_update", "community_update"),
)
"""What the numbers in the table mean."""
ENTRIES = ", ".join(str(TYPES.index(kind)) for kind in KINDS)
"""The numbers of the types that say that a row of `messages` is here, for use in a query."""

UNREAD = """
    e.seq > coalesce((SELECT r.seq FROM readers r WHERE r.name = ?1), 0)
    AND NOT EXISTS (SELECT 1 FROM taken t WHERE t.reader = ?1 AND t.seq = e.seq)
"""
"""What holds for the events `e` that the reader ?1 has not taken."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events are wanted: those of one sender or in one place (addresses), of some types, sent at or after a time.

    The time is in ms. What is left out stays unread.
    """

    sender: str | None = None
    types: tuple[str, ...] = ()
    since_ms: int | None = None
    place: str | None = None


EVERYTHING = Selection()


class Events:
    """Appends events and finds what a reader has not had. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection, messages: Callable[[], Messages]) -> None:
        self._connection = connection
        self._messages = messages

    def add(self, type: str, message_id: int) -> int:
        """Append the event that a message, or a notice of another type, is here; returns its seq."""
        self._connection.execute("INSERT INTO events (type, message_id) VALUES (?, ?)", (TYPES.index(type), message_id))
        return self._connection.last_insert_rowid()

    def add_detail(
        self,
        type: str,
        *,
        message_id: int | None = None,
        conversation: str | None,
        sender: str | None,
        sent_ms: int,
        content: Mapping[str, Any],
        ends_ms: int | None = None,
    ) -> int:
        """Append the event that something happened, perhaps to a message; returns its seq.

        `conversation` and `sender` are addresses. `ends_ms`: when it is no news any more.
        """
        seq = self._connection.execute(
            "INSERT INTO events (type, message_id) VALUES (?, ?) RETURNING seq", (TYPES.index(type), message_id)
        ).get
        self._connection.execute(
            """
            INSERT INTO event_details (seq, conversation, sender_id, sent_ms, content, ends_ms)
            VALUES (?, ?, ?, ?, ?, ?)
            """,
            (
                seq,
                conversation,
                person_id(self._connection, sender) if sender is not None else None,
                sent_ms,
                json.dumps(content, ensure_ascii=False, separators=(",", ":")),
                ends_ms,
            ),
        )
        return int(seq)

    def has_stale(self, now_ms: int) -> bool:
        """Whether there are events that are no news any more."""
        query = "SELECT 1 FROM event_details WHERE ends_ms <= ? LIMIT 1"
        return fetch_one(self._connection, query, (now_ms,)) is not None

    def forget_stale(self, now_ms: int) -> None:
        """Delete the events that are no news any more."""
        self._connection.execute(
            "DELETE FROM events WHERE seq IN (SELECT seq FROM event_details WHERE ends_ms <= ?)", (now_ms,)
        )

    def forget_person(self, address: str) -> None:
        """Delete the events of a person or the conversation with one that are no messages."""
        self._connection.execute(
            """
            DELETE FROM events WHERE seq IN (
                SELECT seq FROM event_details
                WHERE conversation = ?1 OR sender_id = (SELECT id FROM people WHERE address = ?1)
            )
            """,
            (address,),
        )

    def unread(self, reader: str, selection: Selection, limit: int, after: int = 0) -> list[EventRow]:
        """The first events, at most `limit`, that a reader has not taken yet, oldest first, and beyond seq `after`."""
        condition, parameters = _condition(selection)
        while True:
            rows = fetch_all(
                self._connection,
                f"SELECT e.seq, e.type, e.message_id FROM events e {condition} AND e.seq > ?2 ORDER BY e.seq LIMIT ?3",  # noqa: S608 - put together of constants
                (reader, after, limit, *parameters),
            )
            found = self._with_messages(rows)
            if found or not rows:
                return found
            # All of them are of messages that have disappeared, and are not deleted yet.
            after = rows[-1][0]

    def _with_messages(self, rows: list[tuple[Any, ...]]) -> list[EventRow]:
        if not rows:
            return []
        from .records import EventRow

        marks = ", ".join("?" * len(rows))
        messages = {
            message.id: message
            for message in self._messages().rows(f"WHERE m.id IN ({marks})", tuple(row[2] for row in rows))
        }
        # An unknown may be a row of `messages`, and need not be.
        details = self._details([seq for seq, type, _ in rows if TYPES[type] not in KINDS or TYPES[type] == "unknown"])
        return [
            EventRow(seq, TYPES[type], messages.get(message_id), details.get(seq))
            for seq, type, message_id in rows
            if message_id in messages or seq in details
        ]

    def _details(self, seqs: list[int]) -> dict[int, EventDetail]:
        if not seqs:
            return {}
        from .records import EventDetail

        rows = fetch_all(
            self._connection,
            f"""
            SELECT d.seq, d.content, d.conversation, coalesce(c.nickname, c.name), s.address,
                   coalesce(s.nickname, s.name), d.sent_ms
            FROM event_details d LEFT JOIN people c ON c.address = d.conversation
            LEFT JOIN people s ON s.id = d.sender_id WHERE d.seq IN ({", ".join("?" * len(seqs))})
            """,  # noqa: S608 - only question marks are put in
            tuple(seqs),
        )
        return {
            seq: EventDetail(place, place_name, sender, sender_name, sent_ms, json.loads(content))
            for seq, content, place, place_name, sender, sender_name, sent_ms in rows
        }

    def left(self, message_ids: Collection[int], reader: str | None = None) -> set[int]:
        """Those of the messages whose event a reader, or (None) any reader, has still before him."""
        if not message_ids:
            return set()
        rows = fetch_all(
            self._connection,
            f"""
            SELECT e.message_id FROM events e
            WHERE e.message_id IN (SELECT value FROM json_each(?1)) AND e.type IN ({ENTRIES}) AND NOT EXISTS (
                SELECT 1 FROM readers r WHERE (?2 IS NULL OR r.name = ?2)
                AND (e.seq <= r.seq OR EXISTS (SELECT 1 FROM taken t WHERE t.reader = r.name AND t.seq = e.seq))
            )
            """,  # noqa: S608 - a constant
            (json.dumps(list(message_ids)), reader),
        )
        return {message_id for (message_id,) in rows}

    def count_unread(self, reader: str) -> int:
        """How many events a reader has waiting."""
        row = fetch_one(self._connection, f"SELECT count(*) FROM events e WHERE {UNREAD}", (reader,))  # noqa: S608
        return int(row[0]) if row else 0


def _condition(selection: Selection) -> tuple[str, tuple[Any, ...]]:
    """Joins and conditions for a selection; ?1 is the reader, ?2 and ?3 are the caller's."""
    joins, conditions, parameters = "", [UNREAD], list[Any]()
    if (selection.sender, selection.place, selection.since_ms) != (None, None, None):
        joins = "LEFT JOIN messages m ON m.id = e.message_id LEFT JOIN event_details d ON d.seq = e.seq"
    for condition, value in (
        ("coalesce(d.sender_id, m.sender_id) = (SELECT id FROM people WHERE address = ?{})", selection.sender),
        (
            "coalesce(d.conversation, (SELECT address FROM conversations WHERE id = m.conversation_id)) = ?{}",
            selection.place,
        ),
        ("coalesce(d.sent_ms, m.sent_ms) >= ?{}", selection.since_ms),
    ):
        if value is not None:
            parameters.append(value)
            conditions.append(condition.format(len(parameters) + 3))
    if selection.types:
        numbers = ", ".join(str(TYPES.index(type)) for type in selection.types)
        conditions.append(f"e.type IN ({numbers})")
    return f"{joins} WHERE {' AND '.join(conditions)}", tuple(parameters)
