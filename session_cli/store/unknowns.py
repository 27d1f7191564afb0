"""Messages of kinds that this version does not know, kept as the swarm gave them until a later one does."""

from __future__ import annotations

from dataclasses import dataclass, field

import apsw

from .events import KINDS
from .queries import fetch_all, fetch_one

MOST_NAMELESS = 1_000
MOST_NAMELESS_BYTES = 20_000_000
"""Of messages of which nobody knows from whom they are: anybody can write them, and as many as he likes."""


@dataclass(frozen=True, slots=True)
class UnknownRow:
    """A message that could not be understood. Times are the swarm's, in ms; `reason` says what it is, in words.

    `fetched_ms` is when it came here, `event_seq` the event which says so, `message_id` that of the notice in its
    place, where it is known from whom it came.
    """

    hash: str
    namespace: int
    timestamp_ms: int
    expiration_ms: int
    data: bytes = field(repr=False)
    reason: str
    fetched_ms: int
    event_seq: int
    message_id: int | None = None


class Unknowns:
    """Reads and writes them. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(self, row: UnknownRow) -> None:
        """Keep a message. Of those from nobody knows whom the oldest are forgotten, if they become too many."""
        self._connection.execute(
            """
            INSERT INTO unknowns
            (hash, namespace, timestamp_ms, expiration_ms, data, reason, fetched_ms, event_seq, message_id)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING
            """,
            (
                row.hash,
                row.namespace,
                row.timestamp_ms,
                row.expiration_ms,
                row.data,
                row.reason,
                row.fetched_ms,
                row.event_seq,
                row.message_id,
            ),
        )
        if row.message_id is None:
            self._forget_nameless()

    def _forget_nameless(self) -> None:
        newest_first = fetch_all(
            self._connection,
            "SELECT id, event_seq, length(data) FROM unknowns WHERE message_id IS NULL ORDER BY id DESC",
        )
        size = 0
        for number, (row_id, seq, length) in enumerate(newest_first, 1):
            size += length
            if number > MOST_NAMELESS or size > MOST_NAMELESS_BYTES:
                self._connection.execute("DELETE FROM unknowns WHERE id = ?", (row_id,))
                self._connection.execute("DELETE FROM events WHERE seq = ?", (seq,))

    def hashes(self) -> list[str]:
        """The hashes of all that are kept, in the order in which they came."""
        return [hash for (hash,) in fetch_all(self._connection, "SELECT hash FROM unknowns ORDER BY id")]

    def get(self, hash: str) -> UnknownRow | None:
        """The message of a hash, if it is kept."""
        row = fetch_one(
            self._connection,
            """
            SELECT hash, namespace, timestamp_ms, expiration_ms, data, reason, fetched_ms, event_seq, message_id
            FROM unknowns WHERE hash = ?
            """,
            (hash,),
        )
        return UnknownRow(*row) if row else None

    def take_out(self, row: UnknownRow) -> bool:
        """Forget one, and the event that it is here, for it has been understood; False if it is gone already."""
        self._connection.execute("DELETE FROM unknowns WHERE hash = ?", (row.hash,))
        if not self._connection.changes():
            return False
        self._connection.execute("DELETE FROM events WHERE seq = ?", (row.event_seq,))
        return True

    def drop_notice(self, message_id: int) -> None:
        """Delete the notice that stood for one, and what happened to it, if nothing took its place."""
        self._connection.execute(
            "DELETE FROM messages WHERE id = (SELECT message_id FROM details WHERE message_id = ? AND kind = ?)",
            (message_id, KINDS.index("unknown")),
        )
        if self._connection.changes():
            self._connection.execute("DELETE FROM events WHERE message_id = ?", (message_id,))
