"""What has to reach a swarm."""

from __future__ import annotations

import apsw

from .queries import fetch_all, fetch_one
from .records import DeliveryRow, NewDelivery


class Deliveries:
    """Sealed bytes on their way. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(self, message_id: int | None, delivery: NewDelivery, *, receipt: bool = False) -> int:
        """Note what has to be stored, for a message or (None) by itself; `receipt`: it says what we have read.

        Returns the delivery's id.
        """
        added = self._connection.execute(
            """
            INSERT INTO deliveries (message_id, role, account, ttl_ms, data, hash, receipt)
            VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id
            """,
            (message_id, delivery.role, delivery.account, delivery.ttl_ms, delivery.data, delivery.hash, receipt),
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

    def forget_apart(self, account: str) -> None:
        """Send somebody nothing of what belongs to no message."""
        self._connection.execute("DELETE FROM deliveries WHERE message_id IS NULL AND account = ?", (account,))

    def forget_receipts(self) -> None:
        """Tell nobody any more what we have read."""
        self._connection.execute("DELETE FROM deliveries WHERE receipt = 1")

    def has_receipts(self) -> bool:
        """Whether somebody has still to be told what we have read."""
        return fetch_one(self._connection, "SELECT 1 FROM deliveries WHERE receipt = 1 LIMIT 1") is not None

    def left(self) -> list[DeliveryRow]:
        """What is still to be stored: copies for our own devices of messages that did reach their recipient, and what
        belongs to no message."""
        return [
            DeliveryRow(*row)
            for row in fetch_all(
                self._connection,
                """
                SELECT d.id, d.message_id, d.role, d.account, d.ttl_ms, d.data, d.hash
                FROM deliveries d LEFT JOIN messages m ON m.id = d.message_id
                WHERE d.message_id IS NULL OR (d.role = 'own' AND m.status = 1) ORDER BY d.id
                """,
            )
        ]

    def apart(self, account: str) -> list[DeliveryRow]:
        """What has still to be stored for somebody, and belongs to no message."""
        return [delivery for delivery in self.left() if delivery.message_id is None and delivery.account == account]

    def count_left(self) -> tuple[int, int, int]:
        """How many have not reached their swarm: of messages in the outbox, of unfinished ones, and own copies."""
        found = dict(
            fetch_all(
                self._connection,
                """
                SELECT CASE WHEN m.status = 4 THEN 'queued' WHEN coalesce(m.status, 1) = 1 THEN 'own'
                            ELSE 'unfinished' END, count(*)
                FROM deliveries d LEFT JOIN messages m ON m.id = d.message_id
                WHERE d.role = 'recipient' OR coalesce(m.status, 1) = 1 GROUP BY 1
                """,
            )
        )
        return found.get("queued", 0), found.get("unfinished", 0), found.get("own", 0)

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
