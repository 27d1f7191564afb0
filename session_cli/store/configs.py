"""The configs that the devices of an account share, and what was changed here and is not in them yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import apsw

from .messages import EXPIRE_MODES
from .queries import fetch_all, fetch_one

READER = 1
"""To be raised whenever more config messages are understood than before: all of them are fetched once more then."""
EXTEND_EVERY_MS = 24 * 3600 * 1000
"""How often the swarm is asked to keep the configs for another month."""
_POLLED, _EXTENDED = "configs_polled", "configs_extended_ms"
_DISABLED = 2
_SETTINGS = """
    SELECT address, hidden, pinned, muted_until_s, notify, expire_mode, expire_s, read_ms, unread FROM conversations
"""


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """A config as it was last, in bytes: its state, and if anything is still to be pushed, what it was without that."""

    dump: bytes = field(repr=False)
    base: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """What is set for a conversation (an address): see the table. `read_ms` only moves forward."""

    address: str
    hidden: bool = False
    pinned: int = 0
    muted_until_s: int = 0
    notify: int = 0
    expire_mode: str = "off"
    expire_s: int = 0
    read_ms: int = 0
    unread: bool = False

    @property
    def muted_for_good(self) -> bool:
        """Whether nobody wants ever to be notified of what comes there."""
        return self.notify == _DISABLED

    def is_muted(self, now_ms: int) -> bool:
        """Whether nobody wants to be notified at this time of what comes there."""
        return self.muted_for_good or now_ms < 1000 * self.muted_until_s

    def muted(self, until_s: int | None) -> ConversationSettings:
        """The same, but muted until a time, or (None) for good."""
        if until_s is None:
            return replace(self, notify=_DISABLED, muted_until_s=0)
        return replace(self, notify=0 if self.muted_for_good else self.notify, muted_until_s=until_s)


class Configs:
    """Reads and writes them. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def get(self, namespace: int) -> ConfigRow | None:
        """A config by its namespace."""
        row = fetch_one(self._connection, "SELECT dump, base FROM configs WHERE namespace = ?", (namespace,))
        return ConfigRow(*row) if row else None

    def merged_ms(self, namespace: int) -> int:
        """When the newest message of another device was stored in the swarm; 0 if there was none."""
        row = fetch_one(self._connection, "SELECT merged_ms FROM configs WHERE namespace = ?", (namespace,))
        return int(row[0]) if row else 0

    def lower_merged(self, namespace: int, time_ms: int) -> None:
        """Note that the newest message of another device was stored no later than at this time, by one more account."""
        self._connection.execute(
            "UPDATE configs SET merged_ms = ?1 WHERE namespace = ?2 AND merged_ms > ?1", (time_ms, namespace)
        )

    def put(self, namespace: int, row: ConfigRow, *, dirty: bool, merged_ms: int = 0) -> None:
        """Keep a config, which is still to be pushed if it is `dirty`; `merged_ms` only moves forward."""
        self._connection.execute(
            """
            INSERT INTO configs (namespace, dump, base, dirty, merged_ms) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (namespace) DO UPDATE SET dump = excluded.dump, base = excluded.base, dirty = excluded.dirty,
                                                  merged_ms = max(merged_ms, excluded.merged_ms)
            """,
            (namespace, row.dump, row.base, dirty, merged_ms),
        )

    def dirty(self) -> list[int]:
        """The namespaces of the configs that are still to be pushed."""
        rows = fetch_all(self._connection, "SELECT namespace FROM configs WHERE dirty ORDER BY namespace")
        return [row[0] for row in rows]

    @property
    def polled(self) -> bool:
        """Whether the swarm was asked for all that it has, by a version that could read no less than this one.

        So nothing there can be written over unseen.
        """
        row = fetch_one(self._connection, "SELECT value FROM settings WHERE name = ?", (_POLLED,))
        return row is not None and row[0] >= READER

    def note_polled(self) -> None:
        """Note that the swarm was asked for all that it has, or can't have anything."""
        self._set(_POLLED, READER)

    def must_be_extended(self, now_ms: int) -> bool:
        """Whether the swarm is to be asked to keep the configs for longer."""
        row = fetch_one(self._connection, "SELECT value FROM settings WHERE name = ?", (_EXTENDED,))
        last_ms = int(row[0]) if row else 0
        return not last_ms <= now_ms < last_ms + EXTEND_EVERY_MS

    def note_extended(self, now_ms: int) -> None:
        """Note when the swarm was asked so."""
        self._set(_EXTENDED, now_ms)

    def _set(self, name: str, value: int) -> None:
        self._connection.execute(
            "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    # Changes.

    def changes(self, kind: str) -> list[str]:
        """The keys of what was changed here: `contact`, `deleted`, `read` or `profile`."""
        rows = fetch_all(self._connection, "SELECT key FROM config_changes WHERE kind = ? ORDER BY key", (kind,))
        return [row[0] for row in rows]

    def all_changes(self) -> list[tuple[str, str]]:
        """All of them: kinds and keys."""
        return fetch_all(self._connection, "SELECT kind, key FROM config_changes ORDER BY kind, key")

    def note(self, changes: Iterable[tuple[str, str]]) -> None:
        """Note changes, as `all_changes` gives them."""
        self._connection.executemany("INSERT INTO config_changes VALUES (?, ?) ON CONFLICT DO NOTHING", changes)

    def note_deleted(self, address: str) -> None:
        """Note that a person is no contact any more."""
        self.note([("deleted", address)])

    def forget_group(self, address: str) -> None:
        """Note nothing of a group that nobody was told of."""
        self._connection.execute("DELETE FROM config_changes WHERE key = ?", (address,))

    def has_changes(self) -> bool:
        """Whether anything was changed here that the configs don't hold."""
        return fetch_one(self._connection, "SELECT 1 FROM config_changes LIMIT 1") is not None

    def is_due(self, *, reads: bool = True) -> bool:
        """Whether there is anything to push; without `reads`, anything but what was only read."""
        row = fetch_one(
            self._connection,
            """
            SELECT EXISTS (SELECT 1 FROM config_changes WHERE ?1 OR kind <> 'read')
                OR EXISTS (SELECT 1 FROM configs WHERE dirty)
            """,
            (reads,),
        )
        return bool(row and row[0])

    def forget_changes(self) -> None:
        """Note that the configs hold everything."""
        self._connection.execute("DELETE FROM config_changes")

    # Conversations.

    def conversation(self, address: str) -> ConversationSettings:
        """What is set for a conversation, be there one or not."""
        row = fetch_one(self._connection, _SETTINGS + "WHERE address = ?", (address,))
        return _settings(row) if row else ConversationSettings(address)

    def conversations(self) -> dict[str, ConversationSettings]:
        """What is set for each conversation, by address."""
        return {row[0]: _settings(row) for row in fetch_all(self._connection, _SETTINGS)}

    def set_conversation(self, settings: ConversationSettings) -> None:
        """Set everything of a conversation, which is noted if new."""
        self._connection.execute(
            "INSERT INTO conversations (kind, address) VALUES ('contact', ?) ON CONFLICT (address) DO NOTHING",
            (settings.address,),
        )
        self._connection.execute(
            """
            UPDATE conversations SET hidden = ?, pinned = ?, muted_until_s = ?, notify = ?, expire_mode = ?,
                   expire_s = ?, read_ms = max(read_ms, ?), unread = ? WHERE address = ?
            """,
            (
                settings.hidden,
                settings.pinned,
                settings.muted_until_s,
                settings.notify,
                EXPIRE_MODES.index(settings.expire_mode),
                settings.expire_s,
                settings.read_ms,
                settings.unread,
                settings.address,
            ),
        )


def _settings(row: tuple[Any, ...]) -> ConversationSettings:
    address, hidden, pinned, muted_until_s, notify, mode, seconds, read_ms, unread = row
    return ConversationSettings(
        address, bool(hidden), pinned, muted_until_s, notify, EXPIRE_MODES[mode], seconds, read_ms, bool(unread)
    )
