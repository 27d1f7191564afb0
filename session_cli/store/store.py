"""A profile's database as one object."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

from ..errors import StoreUnwritable
from .database import (
    is_full,
    migrate,
    open_database,
    open_read_only,
    quick_check,
    table_version,
    transaction,
    translate_errors,
)
from .queries import fetch_one
from .sharing import share_store

if TYPE_CHECKING:
    from ..file_lock import SharedLock
    from .communities import Communities
    from .configs import Configs
    from .conversations import Conversations
    from .deliveries import Deliveries
    from .events import Events
    from .groups import Groups
    from .history import History
    from .marks import Marks
    from .messages import Messages
    from .people import People
    from .readers import Readers
    from .search import Search
    from .swarm_state import SwarmState
    from .timers import Chores, Timers
    from .unknowns import Unknowns
    from .upkeep import Upkeep

DATABASE_NAME = "messages.db"


class Settings:
    """Single values of the profile, by name. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> Any:
        """The value, or None."""
        row = fetch_one(self._connection, "SELECT value FROM settings WHERE name = ?", (name,))
        return row[0] if row else None

    def set(self, name: str, value: str | int | bytes) -> None:
        """Set a value."""
        self._connection.execute(
            "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def remove(self, name: str) -> None:
        """Have no value."""
        self._connection.execute("DELETE FROM settings WHERE name = ?", (name,))


class Store:
    """An open profile database: its tables, each loaded on first use, and the transactions around them."""

    def __init__(self, connection: apsw.Connection, lock: SharedLock | None = None) -> None:
        self._connection = connection
        self._lock = lock
        self.settings = Settings(connection)
        self.now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
        """What time it is, as far as disappearing messages are concerned."""

    def _time_ms(self) -> int:
        return self.now_ms()

    @cached_property
    def messages(self) -> Messages:
        from .messages import Messages

        return Messages(self._connection, self._time_ms)

    @cached_property
    def people(self) -> People:
        from .people import People

        return People(self._connection)

    @cached_property
    def conversations(self) -> Conversations:
        from .conversations import Conversations

        return Conversations(self._connection)

    @cached_property
    def configs(self) -> Configs:
        from .configs import Configs

        return Configs(self._connection)

    @cached_property
    def communities(self) -> Communities:
        from .communities import Communities

        return Communities(self._connection)

    @cached_property
    def groups(self) -> Groups:
        from .groups import Groups

        return Groups(self._connection)

    @cached_property
    def marks(self) -> Marks:
        from .marks import Marks

        return Marks(self._connection, self.messages, self._time_ms)

    @cached_property
    def timers(self) -> Timers:
        from .timers import Timers

        return Timers(self._connection)

    @cached_property
    def chores(self) -> Chores:
        from .timers import Chores

        return Chores(self._connection)

    @cached_property
    def unknowns(self) -> Unknowns:
        from .unknowns import Unknowns

        return Unknowns(self._connection)

    @cached_property
    def deliveries(self) -> Deliveries:
        from .deliveries import Deliveries

        return Deliveries(self._connection)

    @cached_property
    def swarm(self) -> SwarmState:
        from .swarm_state import SwarmState

        return SwarmState(self._connection)

    @cached_property
    def events(self) -> Events:
        from .events import Events

        return Events(self._connection, lambda: self.messages)

    @cached_property
    def readers(self) -> Readers:
        from .readers import Readers

        return Readers(self._connection)

    @cached_property
    def history(self) -> History:
        from .history import History

        return History(self._connection, self.messages, self.configs)

    @cached_property
    def search(self) -> Search:
        from .search import Search

        return Search(self._connection)

    @cached_property
    def upkeep(self) -> Upkeep:
        from .upkeep import Upkeep

        return Upkeep(self._connection)

    @classmethod
    def open(cls, profile_dir: Path, key: bytes, *, lock: SharedLock | None = None) -> Store:
        """Open the database in a profile's folder with its 32-byte key. Raises what `open_database` raises.

        `lock`, left when the store is closed, is that of `share_store`, if it was entered before the key was sought.
        """
        lock = lock or share_store(profile_dir)
        try:
            connection = open_database(profile_dir / DATABASE_NAME, key, create=False)
            migrate(connection)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        return cls(connection, lock)

    @classmethod
    def create(cls, profile_dir: Path, key: bytes, fill: Callable[[Store], None]) -> Store:
        """Make the database, with what `fill` puts into it in the same transaction as its first contents."""
        connection = open_database(profile_dir / DATABASE_NAME, key, create=True)
        migrate(connection)
        store = cls(connection)
        with store.transaction():
            fill(store)
        return store

    @classmethod
    def open_read_only(cls, profile_dir: Path, key: bytes, *, busy_timeout_s: float = 1.0) -> Store:
        """Open the database to look at it, whatever version its tables have. Raises what `open_read_only` raises."""
        lock = share_store(profile_dir, busy_timeout_s, create=False)
        try:
            return cls(open_read_only(profile_dir / DATABASE_NAME, key, busy_timeout_s=busy_timeout_s), lock)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    @classmethod
    def open_unwritable(cls, profile_dir: Path, key: bytes) -> Store:
        """Open a database that can't be written, to read it as if it could.

        Raises StoreUnwritable where it would have to be, to be brought up to date for one, and what `open_read_only`
        raises.
        """
        store = cls.open_read_only(profile_dir, key)
        try:
            migrate(store._connection)
        except BaseException:
            store.close()
            raise
        return store

    @property
    def version(self) -> int:
        """The version of its tables; see `newest_version`."""
        return table_version(self._connection)

    def quick_check(self) -> list[str]:
        """What is wrong with the file, as SQLite says it. Raises StoreDamaged, StoreLocked, StoreUnwritable."""
        return quick_check(self._connection)

    def check_room(self) -> None:
        """Raise StoreUnwritable if the disk is so full that what has been done could hardly be noted."""
        if is_full(self._connection.filename):
            raise StoreUnwritable("The disk is full: there is no room to note what is shown.")

    def has_deliveries(self) -> bool:
        """Whether anything has still to reach a swarm."""
        return fetch_one(self._connection, "SELECT 1 FROM deliveries LIMIT 1") is not None

    def transaction(self) -> AbstractContextManager[None]:
        """All of the block's writes or none; the write lock is taken at once."""
        return transaction(self._connection)

    @contextmanager
    def quick_transaction(self) -> Iterator[None]:
        """As `transaction`, but not forced to the disk: a kill loses none of it, a power cut may.

        For what is harmless to lose, and has to be noted at once.
        """
        with translate_errors(self._connection.filename):
            self._connection.pragma("synchronous", "normal")
        try:
            with transaction(self._connection):
                yield
        finally:
            with translate_errors(self._connection.filename):
                self._connection.pragma("synchronous", "full")

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part of a transaction that can fail alone: its writes are undone, the transaction's others are kept."""
        self._connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO part")
                self._connection.execute("RELEASE part")
            raise
        self._connection.execute("RELEASE part")

    def next_sent_ms(self, now_ms: int) -> int:
        """A time for a new message: now, but later than that of every message we sent before.

        The sent time is a message's name across devices, and some clients take the same time for the same message.
        To be called inside the transaction that stores the message.
        """
        sent_ms = max(now_ms, (self.settings.get("last_sent_ms") or 0) + 1)
        self.settings.set("last_sent_ms", sent_ms)
        return sent_ms

    def redate(self, message_id: int, now_ms: int) -> int:
        """Give an own message another time, as `next_sent_ms` does, when it turns out that our clock was ahead.

        Later messages need not stay ahead, too, unless something else was sent after this one. To be called inside the
        transaction that stores the message anew. Raises LookupError for a message that isn't there.
        """
        row = self.messages.get(message_id)
        if row is None:
            raise LookupError("a message that was just stored is gone")
        if self.settings.get("last_sent_ms") == row.sent_ms:
            self.settings.set("last_sent_ms", self.messages.last_sent_ms(row.sender, before_id=message_id))
        sent_ms = self.next_sent_ms(now_ms)
        self.messages.set_time(message_id, sent_ms)
        return sent_ms

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
        if self._lock is not None:
            self._lock.release()
