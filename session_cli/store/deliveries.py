"""What has to reach a swarm."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import apsw

from .queries import fetch_all, fetch_one
from .records import DeliveryRow, NewDelivery


class Deliveries:
    """Sealed bytes on their way. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(
        self,
        message_id: int | None,
        delivery: NewDelivery,
        *,
        effect: Mapping[str, Any] | None = None,
        follows: int | None = None,
        free_ms: int = 0,
        receipt: bool = False,
    ) -> DeliveryRow:
        """Note what has to be stored, for a message or (None) by itself.

        `effect`: what is done here when it has arrived. `follows`: the delivery without whose arrival it goes nowhere.
        `free_ms`: until then the caller is at it. `receipt`: it says what we have read.
        """
        added = self._connection.execute(
            """
            INSERT INTO deliveries (message_id, role, account, ttl_ms, data, hash, effect, follows, free_ms, receipt)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
            """,
            (
                message_id,
                delivery.role,
                delivery.account,
                delivery.ttl_ms,
                delivery.data,
                delivery.hash,
                json.dumps(effect) if effect is not None else None,
                follows,
                free_ms,
                receipt,
            ),
        ).get
        return DeliveryRow(
            int(added),
            message_id,
            delivery.role,
            delivery.account,
            delivery.ttl_ms,
            delivery.data,
            delivery.hash,
            effect,
        )

    def replace(self, delivery_id: int, data: bytes, hash: str) -> None:
        """Put other sealed bytes in the place of those that no swarm has taken."""
        self._connection.execute(
            "UPDATE deliveries SET data = ?, hash = ?, tried_ms = 0 WHERE id = ?", (data, hash, delivery_id)
        )

    def finish(self, delivery: DeliveryRow) -> None:
        """Forget a delivery that has reached its swarm, or never will.

        If another process has done so before, or has put other bytes in its place, nothing is done: the number may be
        another delivery's by now.
        """
        self._connection.execute("DELETE FROM deliveries WHERE id = ? AND hash = ?", (delivery.id, delivery.hash))

    def forget_person(self, address: str) -> None:
        """Store nothing more for somebody but messages."""
        self._connection.execute("DELETE FROM deliveries WHERE account = ? AND message_id IS NULL", (address,))

    def forget_receipts(self) -> None:
        """Tell nobody any more what we have read."""
        self._connection.execute("DELETE FROM deliveries WHERE receipt = 1")

    def has_receipts(self) -> bool:
        """Whether somebody has still to be told what we have read."""
        return fetch_one(self._connection, "SELECT 1 FROM deliveries WHERE receipt = 1 LIMIT 1") is not None

    def left(self, before_ms: int, until_ms: int, most: int) -> list[DeliveryRow]:
        """What is still to be stored, and nobody was at since `before_ms`; what was tried last comes last.

        That is copies for our own devices of messages that did reach their recipient, and what belongs to no message
        and follows nothing. `until_ms`: nobody can have said that he is at it until later than that.
        """
        return self._rows(
            """
            LEFT JOIN messages m ON m.id = d.message_id
            WHERE (d.message_id IS NULL OR (d.role = 'own' AND m.status = 1)) AND d.follows IS NULL
            AND (d.free_ms <= ? OR d.free_ms > ?) ORDER BY d.free_ms, d.id LIMIT ?
            """,
            (before_ms, until_ms, most),
        )

    def hold(self, deliveries: Iterable[DeliveryRow], until_ms: int) -> None:
        """Note that nobody else is to try these before a time; that is over when it is now."""
        self._connection.executemany(
            "UPDATE deliveries SET free_ms = ? WHERE id = ? AND hash = ?",
            [(until_ms, delivery.id, delivery.hash) for delivery in deliveries],
        )

    def note_tried(self, delivery: DeliveryRow, tried_ms: int) -> None:
        """Note since when a community server may have it, whatever becomes of the answer; 0: it has not."""
        self._connection.execute(
            "UPDATE deliveries SET tried_ms = ? WHERE id = ? AND hash = ?", (tried_ms, delivery.id, delivery.hash)
        )

    def give_up(self, delivery: DeliveryRow) -> list[str]:
        """Forget what never reached its swarm, and what follows it; returns the hashes of that, which may have."""
        followers = "SELECT hash FROM deliveries WHERE follows = (SELECT id FROM deliveries WHERE id = ? AND hash = ?)"
        hashes = [row[0] for row in fetch_all(self._connection, followers, (delivery.id, delivery.hash))]
        self._connection.executemany("DELETE FROM deliveries WHERE hash = ?", [(hash,) for hash in hashes])
        self.finish(delivery)
        return hashes

    def cancel(self, account: str) -> list[str]:
        """Let somebody never be told what he has not been told yet, but for messages; returns what `give_up` does."""
        doomed = self._rows("WHERE d.message_id IS NULL AND d.role = 'recipient' AND d.account = ?", (account,))
        return [hash for delivery in doomed for hash in self.give_up(delivery)]

    def acceptances(self, account: str) -> list[DeliveryRow]:
        """What tells somebody that we want to talk, if it has still to be stored."""
        return self._rows("WHERE d.account = ? AND json_extract(d.effect, '$.type') = 'accept'", (account,))

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
        return self._rows("WHERE d.message_id = ? ORDER BY d.role DESC", (message_id,))

    def _rows(self, condition: str, parameters: tuple[Any, ...]) -> list[DeliveryRow]:
        query = "SELECT d.id, d.message_id, d.role, d.account, d.ttl_ms, d.data, d.hash, d.effect, d.tried_ms "
        query += "FROM deliveries d "
        return [_row(row) for row in fetch_all(self._connection, query + condition, parameters)]


def _row(row: tuple[Any, ...]) -> DeliveryRow:
    id, message_id, role, account, ttl_ms, data, hash, effect, tried_ms = row
    done = json.loads(effect) if effect is not None else None
    return DeliveryRow(id, message_id, role, account, ttl_ms, data, hash, done, tried_ms)
