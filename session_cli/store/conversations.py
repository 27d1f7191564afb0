"""What is set for a conversation: how far it is read, whether it is hidden, how what we write there disappears."""

from __future__ import annotations

import json
from collections.abc import Iterable

import apsw

from .messages import EXPIRE_MODES
from .queries import fetch_all, fetch_one

AHEAD_MS = 10 * 60_000
"""How far ahead of our clock a message that is read may be dated: all that comes before its time would be, too."""


class Conversations:
    """Settings of conversations, by address. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def expiration(self, address: str) -> tuple[str, int]:
        """How what we write there disappears: `off`, `after_send` or `after_read`, and after how many seconds."""
        row = fetch_one(
            self._connection, "SELECT expire_mode, expire_s FROM conversations WHERE address = ?", (address,)
        )
        return (EXPIRE_MODES[row[0]], row[1]) if row else ("off", 0)

    def set_expiration(self, address: str, mode: str, seconds: int, said_ms: int) -> None:
        """Let what we write there disappear from now on, or (`off`, 0) stay, unless something else was said later."""
        self._ensure(address)
        self._connection.execute(
            "UPDATE conversations SET expire_mode = ?1, expire_s = ?2, rule_ms = ?3 "
            "WHERE address = ?4 AND rule_ms < ?3",
            (EXPIRE_MODES.index(mode), seconds, said_ms, address),
        )

    def read_ms(self, address: str) -> int:
        """The time up to which messages there are read."""
        row = fetch_one(self._connection, "SELECT read_ms FROM conversations WHERE address = ?", (address,))
        return int(row[0]) if row else 0

    def mark_read(self, address: str, until_ms: int) -> None:
        """Note that messages up to a time are read, and that the user has seen to them. What was read stays so."""
        self._ensure(address)
        self._connection.execute(
            "UPDATE conversations SET read_ms = max(read_ms, ?), unread = 0 WHERE address = ?", (until_ms, address)
        )

    def clear_unread(self, address: str) -> None:
        """Take back that the user marked a conversation as unread."""
        self._connection.execute("UPDATE conversations SET unread = 0 WHERE address = ?", (address,))

    def last_arrival_ms(self, address: str, until_ms: int) -> int:
        """The time of the last message that came there up to a time; 0 if there is none."""
        row = fetch_one(
            self._connection,
            """
            SELECT m.sent_ms FROM messages m WHERE m.conversation_id = (SELECT id FROM conversations WHERE address = ?)
            AND m.outgoing = 0 AND m.sent_ms <= ? ORDER BY m.sent_ms DESC LIMIT 1
            """,
            (address, until_ms),
        )
        return int(row[0]) if row else 0

    def unread(self, address: str, until_ms: int) -> dict[int, int]:
        """The ids of the messages and notices that came there up to a time and are not read, and their times."""
        rows = fetch_all(
            self._connection,
            """
            SELECT m.id, m.sent_ms FROM messages m JOIN conversations c ON c.id = m.conversation_id
            WHERE c.address = ? AND m.outgoing = 0 AND m.sent_ms > c.read_ms AND m.sent_ms <= ? ORDER BY m.sent_ms
            """,
            (address, until_ms),
        )
        return dict(rows)

    def unread_times(self, address: str, until_ms: int, only: Iterable[int] | None = None) -> list[int]:
        """When the messages were sent that came there up to a time and are not read, oldest first; perhaps `only` some.

        Notices are none of them, nor is what was deleted.
        """
        rows = fetch_all(
            self._connection,
            """
            SELECT m.sent_ms FROM messages m JOIN conversations c ON c.id = m.conversation_id
            WHERE c.address = ?1 AND m.outgoing = 0 AND m.sent_ms > c.read_ms AND m.sent_ms <= ?2
            AND NOT EXISTS (SELECT 1 FROM details d WHERE d.message_id = m.id AND d.kind <> 0)
            AND NOT EXISTS (SELECT 1 FROM tombstones t WHERE t.message_id = m.id)
            AND (?3 IS NULL OR m.id IN (SELECT value FROM json_each(?3)))
            ORDER BY m.sent_ms
            """,
            (address, until_ms, None if only is None else json.dumps(list(only))),
        )
        return [row[0] for row in rows]

    def gone_ms(self, address: str) -> int:
        """When the conversation was deleted last, or hidden on another device; 0: never."""
        row = fetch_one(self._connection, "SELECT gone_ms FROM conversations WHERE address = ?", (address,))
        return int(row[0]) if row else 0

    def note_gone(self, address: str, time_ms: int) -> None:
        """Note that a conversation was deleted or hidden at a time."""
        self._ensure(address)
        self._connection.execute(
            "UPDATE conversations SET gone_ms = max(gone_ms, ?) WHERE address = ?", (time_ms, address)
        )

    def hide(self, address: str) -> None:
        """Show a conversation no more until something new comes."""
        self._connection.execute("UPDATE conversations SET hidden = 1 WHERE address = ?", (address,))

    def show(self, address: str) -> None:
        """Show a conversation again."""
        self._connection.execute("UPDATE conversations SET hidden = 0 WHERE address = ?", (address,))

    def requests(self) -> list[tuple[int, int, int]]:
        """The message requests that are shown: how many messages, the last one's time (ms), the first one's id.

        The one that begins first comes first.
        """
        return fetch_all(
            self._connection,
            """
            SELECT count(*), max(m.sent_ms),
                   (SELECT f.id FROM messages f WHERE f.conversation_id = c.id ORDER BY f.sent_ms, f.id LIMIT 1)
            FROM people p JOIN conversations c ON c.address = p.address JOIN messages m ON m.conversation_id = c.id
            WHERE p.approved_me = 1 AND p.approved = 0 AND p.blocked = 0 AND c.hidden = 0
            GROUP BY c.id ORDER BY min(m.sent_ms)
            """,
        )

    def _ensure(self, address: str) -> None:
        self._connection.execute(
            "INSERT INTO conversations (kind, address) VALUES ('contact', ?) ON CONFLICT (address) DO NOTHING",
            (address,),
        )
