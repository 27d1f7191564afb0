"""The first tables: one account's settings, people, messages, and what the swarm has shown us."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

VERSION = 1

_TABLES = """
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE people (
    address TEXT PRIMARY KEY,
    name TEXT,
    profile_updated_s INTEGER NOT NULL DEFAULT 0,
    approved INTEGER NOT NULL DEFAULT 0,
    approved_me INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    address TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    direction TEXT NOT NULL CHECK (direction IN ('incoming', 'outgoing')),
    sender TEXT NOT NULL,
    sent_ms INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    quote_author TEXT,
    quote_ms INTEGER,
    expire_mode TEXT NOT NULL DEFAULT 'off',
    expire_s INTEGER NOT NULL DEFAULT 0,
    request INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'failed', 'received')),
    hash TEXT,
    UNIQUE (sender, sent_ms)
) STRICT;
CREATE INDEX messages_by_conversation ON messages (conversation_id, sent_ms);

CREATE TABLE attachments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    url TEXT NOT NULL,
    key BLOB NOT NULL,
    digest BLOB,
    size INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    name TEXT,
    voice INTEGER NOT NULL DEFAULT 0,
    width INTEGER,
    height INTEGER,
    caption TEXT,
    saved TEXT,
    UNIQUE (message_id, position)
) STRICT;

-- What has to reach a swarm, sealed before the first attempt so that every attempt stores the same bytes.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('recipient', 'own')),
    account TEXT NOT NULL,
    ttl_ms INTEGER NOT NULL,
    data BLOB,
    hash TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'stored', 'failed')),
    UNIQUE (message_id, role)
) STRICT;
CREATE INDEX deliveries_pending ON deliveries (state) WHERE state = 'pending';

-- Everything a reader of `recv` is shown, in order. A reader's position is the last event it has taken.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    message_id INTEGER REFERENCES messages (id) ON DELETE CASCADE
) STRICT;

CREATE TABLE readers (
    name TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Each member of a swarm has its own order, and so its own last hash.
CREATE TABLE swarm_positions (
    node TEXT NOT NULL,
    account TEXT NOT NULL,
    namespace INTEGER NOT NULL,
    hash TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms INTEGER NOT NULL,
    PRIMARY KEY (node, account, namespace)
) STRICT, WITHOUT ROWID;

CREATE TABLE seen_hashes (
    hash TEXT NOT NULL,
    account TEXT NOT NULL,
    namespace INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (account, namespace, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_hashes_by_expiry ON seen_hashes (expires_ms);

-- Messages from the swarm that could not be used: which, and why. Never what was in them.
CREATE TABLE skipped (
    hash TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


def apply(connection: apsw.Connection) -> None:
    """Make the tables."""
    connection.execute(_TABLES)
