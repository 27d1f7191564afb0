"""The log of events that readers of `recv` follow, each at its own pace."""

from __future__ import annotations

import apsw

from .messages import Messages
from .queries import fetch_all, fetch_one
from .records import EventRow


class Events:
    """Appends events, and keeps each reader's place. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection, messages: Messages) -> None:
        self._connection = connection
        self._messages = messages

    def add(self, type: str, message_id: int) -> None:
        """Append an event about a message."""
        self._connection.execute("INSERT INTO events (type, message_id) VALUES (?, ?)", (type, message_id))

    def after_reader(self, reader: str, limit: int, after: int | None = None) -> list[EventRow]:
        """The first events, at most `limit`, that a reader has not taken yet, oldest first, perhaps `after` a place."""
        rows = fetch_all(
            self._connection,
            """
            SELECT seq, type, message_id FROM events
            WHERE seq > max(coalesce((SELECT seq FROM readers WHERE name = ?), 0), ?) AND message_id IS NOT NULL
            ORDER BY seq LIMIT ?
            """,
            (reader, after or 0, limit),
        )
        marks = ", ".join("?" * len(rows))
        messages = {
            message.id: message
            for message in self._messages.rows(f"WHERE m.id IN ({marks})", tuple(row[2] for row in rows))
        }
        return [EventRow(seq, type, messages[message_id]) for seq, type, message_id in rows if message_id in messages]

    def take(self, reader: str, seq: int) -> None:
        """Note that a reader has taken everything up to `seq`. Never goes back."""
        self._connection.execute(
            """
            INSERT INTO readers (name, seq) VALUES (?, ?)
            ON CONFLICT (name) DO UPDATE SET seq = max(seq, excluded.seq)
            """,
            (reader, seq),
        )

    def has_unread(self, reader: str) -> bool:
        """Whether a reader has events waiting."""
        return (
            fetch_one(
                self._connection,
                "SELECT 1 FROM events WHERE seq > coalesce((SELECT seq FROM readers WHERE name = ?), 0) LIMIT 1",
                (reader,),
            )
            is not None
        )
