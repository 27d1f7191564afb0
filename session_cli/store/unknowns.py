"""Messages of kinds that this version does not know, kept as the swarm gave them until a later one does."""

from __future__ import annotations

from dataclasses import dataclass, field

import apsw

from .queries import fetch_all, fetch_one


@dataclass(frozen=True, slots=True)
class UnknownRow:
    """A message that could not be understood. Times are the swarm's, in ms; `reason` says what it is, in words.

    `message_id` is that of the notice in its place, where it is known from whom it came.
    """

    hash: str
    namespace: int
    timestamp_ms: int
    expiration_ms: int
    data: bytes = field(repr=False)
    reason: str
    message_id: int | None = None


class Unknowns:
    """Reads and writes them. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(self, row: UnknownRow) -> None:
        """Keep a message."""
        self._connection.execute(
            """
            INSERT INTO unknowns (hash, namespace, timestamp_ms, expiration_ms, data, reason, message_id)
            VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING
            """,
            (row.hash, row.namespace, row.timestamp_ms, row.expiration_ms, row.data, row.reason, row.message_id),
        )

    def all(self) -> list[UnknownRow]:
        """All that are kept, in the order in which they came."""
        rows = fetch_all(
            self._connection,
            """
            SELECT hash, namespace, timestamp_ms, expiration_ms, data, reason, message_id FROM unknowns ORDER BY id
            """,
        )
        return [UnknownRow(*row) for row in rows]

    def count(self) -> int:
        """How many are kept."""
        row = fetch_one(self._connection, "SELECT count(*) FROM unknowns")
        return int(row[0]) if row else 0

    def remove(self, hash: str) -> None:
        """Forget one, for it has been understood."""
        self._connection.execute("DELETE FROM unknowns WHERE hash = ?", (hash,))
