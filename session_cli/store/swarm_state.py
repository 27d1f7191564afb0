"""What has to reach a swarm, and how far we have read our own."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from .queries import fetch_all
from .records import DeliveryRow, NewDelivery


class Deliveries:
    """Sealed bytes on their way. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(self, message_id: int, delivery: NewDelivery) -> int:
        """Note what has to be stored for a message. Returns the delivery's id."""
        added = self._connection.execute(
            """
            INSERT INTO deliveries (message_id, role, account, ttl_ms, data, hash)
            VALUES (?, ?, ?, ?, ?, ?) RETURNING id
            """,
            (message_id, delivery.role, delivery.account, delivery.ttl_ms, delivery.data, delivery.hash),
        ).get
        return int(added)

    def replace(self, delivery_id: int, data: bytes, hash: str) -> None:
        """Put other sealed bytes in the place of those that no swarm has taken."""
        self._connection.execute("UPDATE deliveries SET data = ?, hash = ? WHERE id = ?", (data, hash, delivery_id))

    def finish(self, delivery: DeliveryRow) -> None:
        """Forget a delivery that has reached its swarm, or never will.

        If another process has done so before, or has put other bytes in its place, nothing is done: the number may be
        another delivery's by now.
        """
        self._connection.execute("DELETE FROM deliveries WHERE id = ? AND hash = ?", (delivery.id, delivery.hash))

    def own_copies_left(self) -> list[DeliveryRow]:
        """Copies for our own devices that are still to be stored, of messages that did reach their recipient."""
        return [
            DeliveryRow(*row)
            for row in fetch_all(
                self._connection,
                """
                SELECT d.id, d.message_id, d.role, d.account, d.ttl_ms, d.data, d.hash
                FROM deliveries d JOIN messages m ON m.id = d.message_id
                WHERE d.role = 'own' AND m.status = 1 ORDER BY d.id
                """,
            )
        ]

    def of_message(self, message_id: int) -> list[DeliveryRow]:
        """What of a message has not reached its swarm yet, the recipient's first."""
        return [
            DeliveryRow(*row)
            for row in fetch_all(
                self._connection,
                """
                SELECT id, message_id, role, account, ttl_ms, data, hash FROM deliveries
                WHERE message_id = ? ORDER BY role DESC
                """,
                (message_id,),
            )
        ]


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

    def mark_seen(
        self, account: str, namespace: int, hash: str, expires_ms: int, *, message_id: int | None = None
    ) -> bool:
        """Remember a hash until its message expires, and perhaps which message of ours it names. False if known."""
        self._connection.execute(
            """
            INSERT INTO seen_hashes (account, namespace, hash, expires_ms, message_id) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO NOTHING
            """,
            (account, namespace, hash, expires_ms, message_id),
        )
        return self._connection.changes() == 1

    def name_message(self, account: str, namespace: int, hash: str, message_id: int) -> None:
        """Note which message of ours a hash that was marked as seen names."""
        self._connection.execute(
            "UPDATE seen_hashes SET message_id = ? WHERE account = ? AND namespace = ? AND hash = ?",
            (message_id, account, namespace, hash),
        )

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

    def forget_expired(self, before_ms: int) -> None:
        """Drop hashes of messages that no swarm can hold any more."""
        self._connection.execute("DELETE FROM seen_hashes WHERE expires_ms < ?", (before_ms,))

    def skip(self, hash: str, reason: str, now_ms: int) -> None:
        """Remember that a message was of no use, and why."""
        self._connection.execute(
            "INSERT INTO skipped (hash, reason, seen_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (hash, reason, now_ms),
        )
