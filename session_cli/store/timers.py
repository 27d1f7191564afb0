"""When messages disappear, and what our swarm has still to be told of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import apsw

from .messages import EXPIRE_MODES
from .queries import fetch_all, fetch_one


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A message whose clock starts when it is read.

    Where it came (an address) and when, for how long it stays then, its hash, and until when (ms) our swarm was to keep
    it before anybody read it.
    """

    message_id: int
    conversation: str
    sent_ms: int
    seconds: int
    hash: str
    kept_ms: int


class Timers:
    """The clocks of disappearing messages. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def due(self, now_ms: int) -> list[int]:
        """The messages whose time has come: those that are to end now, or before."""
        rows = fetch_all(
            self._connection, "SELECT message_id FROM expirations WHERE ends_ms <= ? ORDER BY ends_ms", (now_ms,)
        )
        return [row[0] for row in rows]

    def start(self, message_id: int, started_ms: int) -> int | None:
        """Start a message's clock, if it has one that does not run; returns when it ends."""
        ends_ms: int | None = self._connection.execute(
            """
            UPDATE expirations SET ends_ms = ?2 + 1000 * seconds
            WHERE message_id = ?1 AND ends_ms IS NULL AND mode <> 0 AND seconds > 0 RETURNING ends_ms
            """,
            (message_id, started_ms),
        ).get
        return ends_ms

    def end_earlier(self, message_id: int, ends_ms: int) -> bool:
        """Let a message disappear at a time, unless it does so before; returns whether that changes anything."""
        self._connection.execute(
            "UPDATE expirations SET ends_ms = ?2 WHERE message_id = ?1 AND (ends_ms IS NULL OR ends_ms > ?2)",
            (message_id, ends_ms),
        )
        return self._connection.changes() == 1

    def waiting_for_reader(self, conversation: str, until_ms: int) -> list[int]:
        """The messages that came to a conversation up to a time and whose clocks start when they are read."""
        rows = fetch_all(
            self._connection,
            """
            SELECT x.message_id FROM expirations x JOIN messages m ON m.id = x.message_id
            JOIN conversations c ON c.id = m.conversation_id
            WHERE x.ends_ms IS NULL AND x.mode = ? AND c.address = ? AND m.outgoing = 0 AND m.sent_ms <= ?
            ORDER BY m.sent_ms
            """,
            (EXPIRE_MODES.index("after_read"), conversation, until_ms),
        )
        return [row[0] for row in rows]

    def any_waiting(self) -> bool:
        """Whether there are messages whose clocks start when they are read."""
        query = "SELECT 1 FROM expirations WHERE ends_ms IS NULL AND mode = ? LIMIT 1"
        return fetch_one(self._connection, query, (EXPIRE_MODES.index("after_read"),)) is not None

    def waiting(self, now_ms: int, limit: int) -> list[WaitingRow]:
        """The messages whose clocks start when they are read, and which our swarm holds; those that came last first.

        Of notices only those that it is to keep for as long as a message: the others expire long before they are read.
        """
        rows = fetch_all(
            self._connection,
            """
            SELECT x.message_id, c.address, m.sent_ms, x.seconds, h.hash, h.expires_ms
            FROM expirations x JOIN messages m ON m.id = x.message_id JOIN conversations c ON c.id = m.conversation_id
            JOIN seen_hashes h ON h.message_id = m.id
            WHERE x.ends_ms IS NULL AND x.mode = ? AND m.outgoing = 0 AND h.expires_ms > ?
            AND NOT EXISTS (SELECT 1 FROM details d WHERE d.message_id = m.id AND d.kind > 1)
            ORDER BY x.message_id DESC LIMIT ?
            """,
            (EXPIRE_MODES.index("after_read"), now_ms, limit),
        )
        return [WaitingRow(*row) for row in rows]


class Chores:
    """What our own swarm has still to be told of its messages, by hash. Writing happens in the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add_deletions(self, message_ids: Iterable[int]) -> None:
        """Have those messages deleted which the swarm still holds, as far as we know."""
        self._connection.executemany(
            """
            INSERT INTO chores (hash, expires_ms)
            SELECT hash, NULL FROM seen_hashes WHERE message_id = ? AND namespace = 0
            ON CONFLICT (hash) DO UPDATE SET expires_ms = NULL
            """,
            [(message_id,) for message_id in message_ids],
        )

    def add_hashes(self, hashes: Iterable[str]) -> None:
        """Have what these name deleted, which is no message of ours, and which the swarm may hold."""
        self._connection.executemany(
            "INSERT INTO chores (hash, expires_ms) VALUES (?, NULL) ON CONFLICT (hash) DO UPDATE SET expires_ms = NULL",
            [(hash,) for hash in hashes],
        )

    def add_shortening(self, message_id: int, expires_ms: int) -> None:
        """Have a message kept until a time and no longer, where the swarm is to keep it longer than that."""
        self._connection.execute(
            """
            INSERT INTO chores (hash, expires_ms)
            SELECT hash, ?2 FROM seen_hashes WHERE message_id = ?1 AND namespace = 0 AND expires_ms > ?2
            ON CONFLICT (hash) DO UPDATE SET expires_ms = min(expires_ms, excluded.expires_ms)
            """,
            (message_id, expires_ms),
        )

    def deletions(self) -> list[str]:
        """The hashes to be deleted."""
        return [row[0] for row in fetch_all(self._connection, "SELECT hash FROM chores WHERE expires_ms IS NULL")]

    def shortenings(self) -> dict[int, list[str]]:
        """The hashes to be kept no longer than to a time, by that time (ms)."""
        found: dict[int, list[str]] = {}
        for hash, expires_ms in fetch_all(
            self._connection, "SELECT hash, expires_ms FROM chores WHERE expires_ms IS NOT NULL ORDER BY expires_ms"
        ):
            found.setdefault(expires_ms, []).append(hash)
        return found

    def any(self) -> bool:
        """Whether there is anything to be told."""
        return fetch_one(self._connection, "SELECT 1 FROM chores LIMIT 1") is not None

    def done(self, hashes: Iterable[str], expires_ms: int | None = None) -> None:
        """Forget what the swarm has been told: to delete (None), or to keep until a time. What is new since stays."""
        self._connection.executemany(
            "DELETE FROM chores WHERE hash = ? AND expires_ms IS ?", [(hash, expires_ms) for hash in hashes]
        )
