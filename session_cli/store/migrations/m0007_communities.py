"""Tables for communities: the servers we know, the rooms we have joined, and who people there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

VERSION = 7

_TABLES = """
-- server_key: X25519, 32 bytes. capabilities: JSON list, NULL as long as the server was not asked. inbox_id, outbox_id:
-- the last direct messages that were fetched; NULL: none yet. failures: how often in a row it was asked in vain;
-- problem: why, the last time; retry_ms: when it is worth another try.
CREATE TABLE community_servers (
    base_url TEXT PRIMARY KEY,
    server_key BLOB NOT NULL,
    capabilities TEXT,
    inbox_id INTEGER,
    outbox_id INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_ms INTEGER NOT NULL DEFAULT 0,
    problem TEXT
) STRICT, WITHOUT ROWID;

-- address: base_url/room, in lower case; token: the room as its people write it. info_updates, seqno: how far it is
-- known; seqno NULL: not at all. oldest_id: of the posts that were fetched. info: JSON, what the server says of it, see
-- `core.communities.rooms`. unseen: JSON, the numbers of posts of ours that no poll has shown yet.
-- refused: 0 no, 1 we may not read it (any more), 2 it is gone.
-- The room's name is that of its address in `people`.
CREATE TABLE community_rooms (
    address TEXT PRIMARY KEY,
    base_url TEXT NOT NULL REFERENCES community_servers (base_url),
    token TEXT NOT NULL,
    joined_s INTEGER NOT NULL DEFAULT 0,
    info_updates INTEGER NOT NULL DEFAULT 0,
    seqno INTEGER,
    oldest_id INTEGER,
    info TEXT,
    unseen TEXT NOT NULL DEFAULT '[]',
    refused INTEGER NOT NULL DEFAULT 0 CHECK (refused IN (0, 1, 2))
) STRICT, WITHOUT ROWID;

-- Blinded ids in direct messages: of which server, and which account it belongs to, as soon as messages have proved it.
CREATE TABLE blinded_people (
    blinded TEXT PRIMARY KEY,
    account TEXT,
    base_url TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Blinded ids of those who want no direct messages from people who know them from communities alone.
CREATE TABLE community_hermits (
    blinded TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- tried_ms: since when a community server may have it (time of this machine), which would show it twice; 0: it has not.
ALTER TABLE deliveries ADD COLUMN tried_ms INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER community_rooms_added AFTER INSERT ON community_rooms BEGIN
    INSERT INTO config_changes VALUES ('contact', new.address) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER community_requests_set AFTER INSERT ON settings
WHEN new.name = 'community_requests' BEGIN
    INSERT INTO config_changes VALUES ('profile', '') ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER community_requests_changed AFTER UPDATE ON settings
WHEN new.name = 'community_requests' AND new.value IS NOT old.value BEGIN
    INSERT INTO config_changes VALUES ('profile', '') ON CONFLICT DO NOTHING;
END;
"""
_NOTE = "INSERT INTO settings SELECT 'communities_untaken', 1 WHERE EXISTS (SELECT 1 FROM configs)"
"""What was known of communities before there were these tables lies in a config."""


def apply(connection: apsw.Connection) -> None:
    """Add the tables, the column and the triggers."""
    connection.execute(_TABLES)
    connection.execute(_NOTE)
