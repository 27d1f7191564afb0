"""Direct messages that a community server keeps for blinded people: the same rows are inbox and outbox."""

from __future__ import annotations

import base64
from typing import Any, Literal

from .community_store import CommunityStore, User
from .options import DAY

_TTL_SECONDS = 15 * DAY
_SELECT = (
    "SELECT i.id, posted, expires, s.session_id, r.session_id, message FROM community_inbox i "
    "JOIN community_users s ON i.sender = s.id JOIN community_users r ON i.recipient = r.id"
)


class CommunityInbox:
    """The messages of one server. It can't read them."""

    def __init__(self, store: CommunityStore) -> None:
        self._store = store

    def add(self, sender: User, recipient: User, message: bytes) -> dict[str, Any]:
        """Keep a message; returns what its sender is told."""
        now = self._store.clock()
        cursor = self._store.execute(
            "INSERT INTO community_inbox (recipient, sender, message, posted, expires) VALUES (?, ?, ?, ?, ?)",
            recipient.id,
            sender.id,
            message,
            now,
            now + _TTL_SECONDS,
        )
        return {
            "id": int(cursor.lastrowid or 0),
            "posted_at": now,
            "expires_at": now + _TTL_SECONDS,
            "sender": sender.session_id,
            "recipient": recipient.session_id,
        }

    def received(self, user: User, since: int, limit: int) -> list[dict[str, Any]]:
        """What came for somebody, oldest first."""
        return self._select("recipient", user, since, limit)

    def sent(self, user: User, since: int, limit: int) -> list[dict[str, Any]]:
        """What somebody has sent, oldest first."""
        return self._select("sender", user, since, limit)

    def empty(self, user: User) -> int:
        """Delete what came for somebody, for its senders too; returns how much it was."""
        return self._store.execute("DELETE FROM community_inbox WHERE recipient = ?", user.id).rowcount

    def sweep(self) -> None:
        """Remove what has expired."""
        self._store.execute("DELETE FROM community_inbox WHERE expires <= ?", self._store.clock())

    def _select(
        self, column: Literal["sender", "recipient"], user: User, since: int, limit: int
    ) -> list[dict[str, Any]]:
        sql = f"{_SELECT} WHERE {column} = ? AND i.id > ? AND expires > ? ORDER BY i.id LIMIT ?"
        rows = self._store.execute(sql, user.id, since, self._store.clock(), limit).fetchall()
        return [
            {
                "id": row[0],
                "posted_at": row[1],
                "expires_at": row[2],
                "sender": row[3],
                "recipient": row[4],
                "message": base64.b64encode(row[5]).decode(),
            }
            for row in rows
        ]
