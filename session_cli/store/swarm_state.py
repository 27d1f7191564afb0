"""How far we have read our own swarm."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from .queries import fetch_all


class SwarmState:
    """Positions in swarms and hashes already seen. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def positions(self, account: str, namespace: int, now_ms: int) -> tuple[dict[str, str], str | None]:
        """Member → last hash for an account's namespace, and the member used last. Expired hashes are left out."""
        rows = fetch_all(
            self._connection,
            """
            SELECT node, hash, expires_ms FROM swarm_positions WHERE account = ? AND namespace = ?
            ORDER BY used_ms DESC
            """,
            (account, namespace),
        )
        return {node: hash for node, hash, expires_ms in rows if expires_ms > now_ms}, rows[0][0] if rows else None

    def asked(self, account: str, namespace: int) -> dict[str, int]:
        """When each member was last asked for an account's namespace, in ms."""
        return dict(
            fetch_all(
                self._connection,
                "SELECT node, used_ms FROM swarm_positions WHERE account = ? AND namespace = ?",
                (account, namespace),
            )
        )

    def advance(self, node: str, account: str, namespace: int, *, last: tuple[str, int] | None, now_ms: int) -> None:
        """Remember the last message (hash, expiry in ms) that a member gave, or only that it was asked."""
        if last is None:
            # Without a position: a hash that has expired counts as none.
            self._connection.execute(
                """
                INSERT INTO swarm_positions (node, account, namespace, hash, expires_ms, used_ms)
                VALUES (?, ?, ?, '', 0, ?)
                ON CONFLICT (node, account, namespace) DO UPDATE SET used_ms = excluded.used_ms
                """,
                (node, account, namespace, now_ms),
            )
            return
        self._connection.execute(
            """
            INSERT INTO swarm_positions (node, account, namespace, hash, expires_ms, used_ms) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (node, account, namespace)
            DO UPDATE SET hash = excluded.hash, expires_ms = excluded.expires_ms, used_ms = excluded.used_ms
            """,
            (node, account, namespace, *last, now_ms),
        )

    def forget_positions(self, account: str, namespaces: Iterable[int]) -> None:
        """Fetch all that there is in some namespaces once more."""
        self._connection.executemany(
            "DELETE FROM swarm_positions WHERE account = ? AND namespace = ?",
            [(account, namespace) for namespace in namespaces],
        )

    def forget_account(self, account: str) -> None:
        """Know nothing of an account's swarm any more, so that all there is in it comes as new."""
        for table in ("swarm_positions", "seen_hashes"):
            self._connection.execute(f"DELETE FROM {table} WHERE account = ?", (account,))  # noqa: S608 - a constant

    def mark_seen(
        self,
        account: str,
        namespace: int,
        hash: str,
        expires_ms: int,
        *,
        message_id: int | None = None,
        seen_ms: int = 0,
    ) -> bool:
        """Remember a hash until its message expires, and perhaps which message of ours it names. False if known.

        `seen_ms`: when it was, where it is the word of a swarm when the message expires.
        """
        self._connection.execute(
            """
            INSERT INTO seen_hashes (account, namespace, hash, expires_ms, message_id, seen_ms)
            VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
            """,
            (account, namespace, hash, expires_ms, message_id, seen_ms),
        )
        return self._connection.changes() == 1

    def name_message(self, account: str, namespace: int, hash: str, message_id: int) -> None:
        """Note which message of ours a hash that was marked as seen names."""
        self._connection.execute(
            "UPDATE seen_hashes SET message_id = ? WHERE account = ? AND namespace = ? AND hash = ?",
            (message_id, account, namespace, hash),
        )

    def message_of(self, account: str, namespace: int, hash: str) -> int | None:
        """The message of ours that a hash names."""
        rows = fetch_all(
            self._connection,
            "SELECT message_id FROM seen_hashes WHERE account = ? AND namespace = ? AND hash = ?",
            (account, namespace, hash),
        )
        return rows[0][0] if rows else None

    def unseen(self, account: str, namespace: int, hashes: Iterable[str]) -> set[str]:
        """Those of the hashes that were not seen yet."""
        return {
            hash
            for hash in hashes
            if not fetch_all(
                self._connection,
                "SELECT 1 FROM seen_hashes WHERE account = ? AND namespace = ? AND hash = ?",
                (account, namespace, hash),
            )
        }

    def forget_expired(self, before_ms: int, *, seen_before_ms: int) -> None:
        """Drop hashes of messages that no swarm can hold any more: expired before a time, and seen before another."""
        self._connection.execute(
            "DELETE FROM seen_hashes WHERE expires_ms < ? AND seen_ms < ?", (before_ms, seen_before_ms)
        )

    def skip(self, hash: str, reason: str, now_ms: int) -> None:
        """Remember that a message was of no use, and why."""
        self._connection.execute(
            "INSERT INTO skipped (hash, reason, seen_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (hash, reason, now_ms),
        )
