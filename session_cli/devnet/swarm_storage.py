"""What one service node keeps: messages in its own order of arrival, and revoked tokens."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .account_requests import MAX_REVOKED
from .namespaces import ALL_NAMESPACES, Namespaces

SWEEP_SECONDS = 10
MAX_RETRIEVE_SIZE = 7_800_000
_DEFAULT_RETRIEVE_SIZE = MAX_RETRIEVE_SIZE // 5
_MESSAGE_OVERHEAD = 100
_LARGEST = 2**62
"""Larger numbers are cut to this, which the database can hold and nobody can tell from more."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message with all that its swarm knows of it. Times are in milliseconds."""

    account: str
    namespace: int
    hash: str
    timestamp: int
    expiry: int
    data: bytes = field(repr=False)

    @property
    def counted_size(self) -> int:
        """Its size as the limit of an answer counts it."""
        return _MESSAGE_OVERHEAD + len(self.hash) + len(self.data) * 4 // 3


_COLUMNS = "account, namespace, hash, timestamp, expiry, data"


def size_limit(max_count: int | None, max_size: int | None) -> int:
    """How large an answer may be; negative -k means the k-th part of the maximum, None not given."""
    if max_size is None:
        return _DEFAULT_RETRIEVE_SIZE if max_count is None else MAX_RETRIEVE_SIZE
    return MAX_RETRIEVE_SIZE // -max_size if max_size < 0 else min(max_size, MAX_RETRIEVE_SIZE)


class NodeStorage:
    """The part of the database that belongs to one node. Used from the network's thread only.

    Expired messages stay until a sweep, one every ten seconds. A sweep that was due is made up for before anything
    is read or written, which nobody can tell from a timer, and which follows a clock that tests move.
    """

    def __init__(self, database: sqlite3.Connection, node: bytes, clock: Callable[[], float]) -> None:
        self._database = database
        self._node = node
        self._clock = clock
        self._first_sweep = clock()
        self._last_sweep = float("-inf")

    def _db(self) -> sqlite3.Connection:
        ticks = (self._clock() - self._first_sweep) // SWEEP_SECONDS
        due = self._first_sweep + ticks * SWEEP_SECONDS
        if due > self._last_sweep:
            self._last_sweep = due
            self._database.execute("DELETE FROM messages WHERE node = ? AND expiry <= ?", (self._node, int(due * 1000)))
        return self._database

    def store(self, message: StoredMessage, *, replace_others: bool = False) -> tuple[bool, int]:
        """Keep a message. Returns whether it was there already, and its expiry, which never moves back.

        With `replace_others` it becomes the only one of its account and namespace.
        """
        database = self._db()
        key = (self._node, message.hash)
        database.execute("BEGIN")
        with database:
            found = database.execute("SELECT expiry FROM messages WHERE node = ? AND hash = ?", key).fetchone()
            if replace_others:
                database.execute(
                    "DELETE FROM messages WHERE node = ? AND account = ? AND namespace = ? AND hash <> ?",
                    (self._node, message.account, message.namespace, message.hash),
                )
            if found is None:
                database.execute(
                    f"INSERT INTO messages (node, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
                    (
                        self._node,
                        message.account,
                        message.namespace,
                        message.hash,
                        message.timestamp,
                        message.expiry,
                        message.data,
                    ),
                )
                return False, message.expiry
            expiry = max(int(found[0]), message.expiry)
            database.execute("UPDATE messages SET expiry = ? WHERE node = ? AND hash = ?", (expiry, *key))
            return True, expiry

    def retrieve(
        self, account: str, namespace: int, last_hash: str | None, max_count: int | None, max_size: int | None
    ) -> tuple[list[StoredMessage], bool]:
        """Messages in order of arrival after `last_hash` (an unknown one: from the beginning), and whether more wait.

        A `max_count` of -1 returns nothing and a smaller one everything, because the real server hands count + 1 to
        its database as the limit.
        """
        database = self._db()
        start = 0
        if last_hash is not None:
            found = database.execute(
                "SELECT id FROM messages WHERE node = ? AND hash = ? AND account = ? AND namespace = ?",
                (self._node, last_hash, account, namespace),
            ).fetchone()
            start = found[0] if found else 0
        rows = database.execute(
            f"SELECT {_COLUMNS} FROM messages WHERE node = ? AND account = ? AND namespace = ? AND id > ? "  # noqa: S608
            "ORDER BY id LIMIT ?",
            (
                self._node,
                account,
                namespace,
                start,
                -1 if max_count is None else max(-_LARGEST, min(max_count, _LARGEST)) + 1,
            ),
        )
        limit, size = size_limit(max_count, max_size), 0
        messages: list[StoredMessage] = []
        for row in rows:
            message = StoredMessage(*row)
            size += message.counted_size
            if messages and (size > limit or len(messages) == max_count):
                return messages, True
            messages.append(message)
        return messages, False

    def _remove(self, rows: Iterable[tuple[int, int, str]]) -> list[tuple[int, str]]:
        removed = list(rows)
        self._database.executemany("DELETE FROM messages WHERE id = ?", [(row[0],) for row in removed])
        return [(namespace, message_hash) for _, namespace, message_hash in removed]

    def delete(self, account: str, hashes: Sequence[str]) -> list[str]:
        """Remove messages by hash; returns those that were there, sorted."""
        rows = self._find(account, hashes)
        return sorted(message_hash for _, message_hash in self._remove((row[0], row[1], row[2]) for row in rows))

    def delete_where(self, account: str, namespaces: Namespaces, before: int | None = None) -> list[tuple[int, str]]:
        """Remove all messages, or those with a timestamp up to `before`; returns (namespace, hash) of each."""
        condition, values = self._selection(account, namespaces)
        if before is not None:
            condition, values = f"{condition} AND timestamp <= ?", (*values, before)
        return self._remove(
            self._db().execute(f"SELECT id, namespace, hash FROM messages WHERE {condition}", values).fetchall()  # noqa: S608
        )

    def _selection(self, account: str, namespaces: Namespaces) -> tuple[str, tuple[object, ...]]:
        if namespaces == ALL_NAMESPACES:
            return "node = ? AND account = ?", (self._node, account)
        return "node = ? AND account = ? AND namespace = ?", (self._node, account, namespaces)

    def expire_where(self, account: str, namespaces: Namespaces, expiry: int) -> list[tuple[int, str]]:
        """Shorten the life of messages to `expiry`; returns (namespace, hash) of each that was longer."""
        expiry = min(expiry, _LARGEST)
        condition, values = self._selection(account, namespaces)
        rows = (
            self._db()
            .execute(f"SELECT id, namespace, hash FROM messages WHERE {condition} AND expiry > ?", (*values, expiry))  # noqa: S608
            .fetchall()
        )
        self._database.executemany("UPDATE messages SET expiry = ? WHERE id = ?", [(expiry, row[0]) for row in rows])
        return [(row[1], row[2]) for row in rows]

    def _find(self, account: str, hashes: Sequence[str]) -> list[tuple[int, int, str, int]]:
        database = self._db()
        found = []
        for message_hash in dict.fromkeys(hashes):
            row = database.execute(
                "SELECT id, namespace, hash, expiry FROM messages WHERE node = ? AND hash = ? AND account = ?",
                (self._node, message_hash, account),
            ).fetchone()
            if row:
                found.append(row)
        return found

    def expiries(self, account: str, hashes: Sequence[str]) -> dict[str, int]:
        """When the messages that are there expire."""
        return {row[2]: row[3] for row in self._find(account, hashes)}

    def set_expiry(self, message_hash: str, expiry: int) -> None:
        """Change when a message expires."""
        self._database.execute(
            "UPDATE messages SET expiry = ? WHERE node = ? AND hash = ?", (expiry, self._node, message_hash)
        )

    def revoke(self, account: str, tokens: Sequence[bytes]) -> None:
        """Revoke tokens; an account keeps its latest fifty.

        As on a real node, an account is known as long as it has messages: without any, nothing is noted, and when the
        last one goes, so does what was revoked.
        """
        database = self._db()
        key = (self._node, account)
        if database.execute("SELECT 1 FROM messages WHERE node = ? AND account = ? LIMIT 1", key).fetchone() is None:
            return
        database.executemany(
            "INSERT OR REPLACE INTO revoked (node, account, token) VALUES (?, ?, ?)",
            [(self._node, account, token) for token in tokens],
        )
        database.execute(
            "DELETE FROM revoked WHERE node = ?1 AND account = ?2 AND id NOT IN "
            "(SELECT id FROM revoked WHERE node = ?1 AND account = ?2 ORDER BY id DESC LIMIT ?3)",
            (self._node, account, MAX_REVOKED),
        )

    def unrevoke(self, account: str, tokens: Sequence[bytes]) -> int:
        """Take revocations back; returns how many there were."""
        database = self._db()
        return sum(
            database.execute(
                "DELETE FROM revoked WHERE node = ? AND account = ? AND token = ?", (self._node, account, token)
            ).rowcount
            for token in tokens
        )

    def is_revoked(self, account: str, token: bytes) -> bool:
        """Whether this very token was revoked."""
        found = (
            self._db()
            .execute("SELECT 1 FROM revoked WHERE node = ? AND account = ? AND token = ?", (self._node, account, token))
            .fetchone()
        )
        return found is not None

    def everything(self) -> Iterator[StoredMessage]:
        """All messages, in order of arrival."""
        rows = self._db().execute(
            f"SELECT {_COLUMNS} FROM messages WHERE node = ? ORDER BY id",  # noqa: S608
            (self._node,),
        )
        for row in rows.fetchall():
            yield StoredMessage(*row)

    def wipe(self) -> None:
        """Forget everything."""
        self._database.execute("DELETE FROM messages WHERE node = ?", (self._node,))
        self._database.execute("DELETE FROM revoked WHERE node = ?", (self._node,))
