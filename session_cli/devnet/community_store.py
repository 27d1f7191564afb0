"""The community server's tables, in the network's one database, and what all its parts share."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS community_users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL UNIQUE,
    banned INTEGER NOT NULL DEFAULT 0,
    moderator INTEGER NOT NULL DEFAULT 0,
    admin INTEGER NOT NULL DEFAULT 0,
    visible INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS community_rooms (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name TEXT NOT NULL,
    description TEXT,
    image INTEGER,
    created REAL NOT NULL,
    message_sequence INTEGER NOT NULL DEFAULT 0,
    info_updates INTEGER NOT NULL DEFAULT 0,
    active_users INTEGER NOT NULL DEFAULT 0,
    read INTEGER NOT NULL,
    accessible INTEGER NOT NULL,
    write INTEGER NOT NULL,
    upload INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS community_overrides (
    room INTEGER NOT NULL,
    user INTEGER NOT NULL,
    banned INTEGER NOT NULL DEFAULT 0,
    moderator INTEGER NOT NULL DEFAULT 0,
    admin INTEGER NOT NULL DEFAULT 0,
    visible INTEGER NOT NULL DEFAULT 1,
    read INTEGER,
    accessible INTEGER,
    write INTEGER,
    upload INTEGER,
    PRIMARY KEY (room, user)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS community_future (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room INTEGER,
    user INTEGER NOT NULL,
    at REAL NOT NULL,
    unban INTEGER NOT NULL DEFAULT 0,
    read INTEGER,
    write INTEGER,
    upload INTEGER
);
CREATE TABLE IF NOT EXISTS community_activity (
    room INTEGER NOT NULL,
    user INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (room, user)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS community_posts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room INTEGER NOT NULL,
    user INTEGER NOT NULL,
    posted REAL NOT NULL,
    edited REAL,
    data BLOB,
    signature BLOB,
    whisper INTEGER NOT NULL DEFAULT 0,
    whisper_to INTEGER,
    whisper_mods INTEGER NOT NULL DEFAULT 0,
    seqno INTEGER NOT NULL,
    seqno_creation INTEGER NOT NULL,
    seqno_data INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS community_posts_by_seqno ON community_posts (room, seqno);
CREATE INDEX IF NOT EXISTS community_posts_by_author ON community_posts (user, posted);
CREATE INDEX IF NOT EXISTS community_posts_by_room ON community_posts (room, id);
CREATE TABLE IF NOT EXISTS community_emoji (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    post INTEGER NOT NULL,
    emoji TEXT NOT NULL,
    UNIQUE (post, emoji)
);
CREATE TABLE IF NOT EXISTS community_reactions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    emoji INTEGER NOT NULL,
    user INTEGER NOT NULL,
    at REAL NOT NULL,
    UNIQUE (emoji, user)
);
CREATE TABLE IF NOT EXISTS community_pins (
    post INTEGER PRIMARY KEY,
    room INTEGER NOT NULL,
    user INTEGER NOT NULL,
    at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS community_files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room INTEGER NOT NULL,
    user INTEGER NOT NULL,
    post INTEGER,
    content BLOB NOT NULL,
    name TEXT,
    uploaded REAL NOT NULL,
    expires REAL
);
CREATE INDEX IF NOT EXISTS community_files_by_post ON community_files (post);
CREATE INDEX IF NOT EXISTS community_files_by_expiry ON community_files (expires);
CREATE TABLE IF NOT EXISTS community_inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    message BLOB NOT NULL,
    posted REAL NOT NULL,
    expires REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS community_inbox_by_recipient ON community_inbox (recipient, id);
CREATE INDEX IF NOT EXISTS community_inbox_by_sender ON community_inbox (sender, id);
CREATE TABLE IF NOT EXISTS community_nonces (
    nonce BLOB PRIMARY KEY,
    expires REAL NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom the server knows, by account id or blinded id. The roles are those in all rooms."""

    id: int
    session_id: str
    banned: bool
    moderator: bool
    admin: bool
    visible: bool

    @property
    def is_blinded(self) -> bool:
        return not self.session_id.startswith("05")


@dataclass(frozen=True, slots=True)
class Room:
    """A room as it is just now. The permissions are those of whoever has no others."""

    id: int
    token: str
    name: str
    description: str | None
    image: int | None
    created: float
    message_sequence: int
    info_updates: int
    active_users: int
    read: bool
    accessible: bool
    write: bool
    upload: bool


class CommunityStore:
    """The tables. Used from the network's thread only."""

    def __init__(self, database: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self.database = database
        self.clock = clock
        database.executescript(_SCHEMA)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of a request's changes, or none."""
        self.database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        return self.database.execute(sql, values)

    # Rooms.

    def rooms(self) -> list[Room]:
        """All rooms by token, as the server sorts them: capitals and small letters alike."""
        rows = self.execute("SELECT * FROM community_rooms ORDER BY token COLLATE NOCASE").fetchall()
        return [Room(*row[:9], *map(bool, row[9:])) for row in rows]

    def find_room(self, token: str) -> Room | None:
        row = self.execute("SELECT * FROM community_rooms WHERE token = ?", token).fetchone()
        return None if row is None else Room(*row[:9], *map(bool, row[9:]))

    def next_seqno(self, room: Room) -> int:
        """Count one more change of a room's messages."""
        sql = (
            "UPDATE community_rooms SET message_sequence = message_sequence + 1 WHERE id = ? RETURNING message_sequence"
        )
        ((seqno,),) = self.execute(sql, room.id).fetchall()
        return int(seqno)

    def count_updates(self, room: Room | None, changes: int = 1) -> None:
        """Count changes of what a room tells of itself, or (None) of what all of them do."""
        sql = "UPDATE community_rooms SET info_updates = info_updates + ? WHERE ? IS NULL OR id = ?"
        room_id = None if room is None else room.id
        self.execute(sql, changes, room_id, room_id)

    def info_updates(self, room: Room) -> int:
        ((count,),) = self.execute("SELECT info_updates FROM community_rooms WHERE id = ?", room.id).fetchall()
        return int(count)

    # Users.

    def find_user(self, session_id: str) -> User | None:
        row = self.execute("SELECT * FROM community_users WHERE session_id = ?", session_id).fetchone()
        return None if row is None else _user(row)

    def user(self, user_id: int) -> User:
        """A user who is known to exist."""
        row = self.execute("SELECT * FROM community_users WHERE id = ?", user_id).fetchone()
        return _user(row)

    def add_user(self, session_id: str) -> User:
        cursor = self.execute("INSERT INTO community_users (session_id) VALUES (?)", session_id)
        return self.user(int(cursor.lastrowid or 0))

    def account_ids(self) -> list[User]:
        """Those who are known by their account id."""
        rows = self.execute("SELECT * FROM community_users WHERE session_id LIKE '05%'").fetchall()
        return list(map(_user, rows))


def _user(row: tuple[Any, ...]) -> User:
    return User(row[0], row[1], *map(bool, row[2:]))
