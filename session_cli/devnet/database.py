"""The network's one database: in memory, or a file that a restart finds again."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ..errors import StoreLocked, StoreUnwritable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    node BLOB NOT NULL,
    hash TEXT NOT NULL,
    account TEXT NOT NULL,
    namespace INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (node, hash)
);
CREATE INDEX IF NOT EXISTS messages_by_account ON messages (node, account, namespace, id);
CREATE INDEX IF NOT EXISTS messages_by_expiry ON messages (expiry);
CREATE TABLE IF NOT EXISTS revoked (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    node BLOB NOT NULL,
    account TEXT NOT NULL,
    token BLOB NOT NULL,
    UNIQUE (node, account, token)
);
CREATE TRIGGER IF NOT EXISTS revoked_with_messages AFTER DELETE ON messages
WHEN NOT EXISTS (SELECT 1 FROM messages WHERE node = OLD.node AND account = OLD.account)
BEGIN
    DELETE FROM revoked WHERE node = OLD.node AND account = OLD.account;
END;
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    uploaded REAL NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_expiry ON files (expires);
"""


def open_database(path: Path | None) -> sqlite3.Connection:
    """Open or make the database. With a path it is ours alone until closed, and readable by us alone.

    Raises StoreLocked if another network runs on the same data, StoreUnwritable if it can't be made.
    """
    try:
        if path is not None:
            # SQLite would make the file readable for others.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(":memory:" if path is None else path, isolation_level=None, timeout=0.2)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnwritable(f"The local network's database can't be opened: {error}.") from None
    try:
        # An exclusive lock, taken by the first write and kept: two networks on one folder would mix their swarms.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} COMMIT;")
    except sqlite3.OperationalError as error:
        connection.close()
        if "locked" in str(error):
            raise StoreLocked("Another local network runs on this data folder.") from None
        raise StoreUnwritable(f"The local network's database can't be used: {error}.") from None
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreUnwritable(f"The local network's database can't be used: {error}.") from None
    return connection
