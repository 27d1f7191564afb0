"""Tables for a long history: narrow rows, a full-text index, readers that may take events out of order.

A row of the first tables repeated its sender's 66 digits (in the index as well), the names of its states and its hash.
Here people are numbered, states are small integers, and a hash lies with those that are forgotten once no swarm can
hold the message any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

VERSION = 2

_TABLES = """
-- name: what they call themselves. nickname: what we call them.
CREATE TABLE new_people (
    id INTEGER PRIMARY KEY,
    address TEXT NOT NULL UNIQUE,
    name TEXT,
    nickname TEXT UNIQUE,
    profile_updated_s INTEGER NOT NULL DEFAULT 0,
    approved INTEGER NOT NULL DEFAULT 0,
    approved_me INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO new_people (address, name, profile_updated_s, approved, approved_me)
    SELECT address, name, profile_updated_s, approved, approved_me FROM people;
INSERT INTO new_people (address) SELECT DISTINCT sender FROM messages WHERE true ON CONFLICT DO NOTHING;
DROP TABLE people;
ALTER TABLE new_people RENAME TO people;

-- status: 0 received, 1 sent, 2 failed, 3 pending, 4 queued. The first two, which nearly all messages come to, take no
-- byte in a row. What few messages have is in tables of its own: even a NULL would take a byte in each row.
CREATE TABLE new_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    sender_id INTEGER NOT NULL REFERENCES people (id),
    sent_ms INTEGER NOT NULL,
    status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 4),
    request INTEGER NOT NULL DEFAULT 0 CHECK (request IN (0, 1)),
    body TEXT NOT NULL,
    outgoing INTEGER NOT NULL AS (status <> 0)
) STRICT;
INSERT INTO new_messages (id, conversation_id, sender_id, sent_ms, status, request, body)
    SELECT m.id, m.conversation_id, p.id, m.sent_ms,
           CASE WHEN m.direction = 'incoming' THEN 0
                ELSE CASE m.status WHEN 'failed' THEN 2 WHEN 'pending' THEN 3 ELSE 1 END END,
           m.request <> 0, m.body
    FROM messages m JOIN people p ON p.address = m.sender ORDER BY m.id;

CREATE TABLE quotes (
    message_id INTEGER PRIMARY KEY REFERENCES new_messages (id) ON DELETE CASCADE,
    author TEXT NOT NULL,
    sent_ms INTEGER NOT NULL
) STRICT;
INSERT INTO quotes
    SELECT id, quote_author, quote_ms FROM messages WHERE quote_author IS NOT NULL AND quote_ms IS NOT NULL;

-- mode: 0 off, 1 after_send, 2 after_read. A message that is not here has mode 0 and 0 seconds.
CREATE TABLE expirations (
    message_id INTEGER PRIMARY KEY REFERENCES new_messages (id) ON DELETE CASCADE,
    mode INTEGER NOT NULL CHECK (mode BETWEEN 0 AND 2),
    seconds INTEGER NOT NULL
) STRICT;
INSERT INTO expirations
    SELECT id, CASE expire_mode WHEN 'after_send' THEN 1 WHEN 'after_read' THEN 2 ELSE 0 END, expire_s
    FROM messages WHERE expire_mode <> 'off' OR expire_s <> 0;

-- Known hashes, with the message that each belongs to, if it is one; forgotten once no swarm can hold it any more.
ALTER TABLE seen_hashes ADD COLUMN message_id INTEGER;
UPDATE seen_hashes SET message_id = m.id FROM messages m WHERE m.hash = seen_hashes.hash;
CREATE INDEX seen_hashes_by_message ON seen_hashes (message_id) WHERE message_id IS NOT NULL;

CREATE TABLE new_attachments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id INTEGER NOT NULL REFERENCES new_messages (id) ON DELETE CASCADE,
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
INSERT INTO new_attachments
    SELECT id, message_id, position, url, key, digest, size, content_type, name, voice, width, height, caption, saved
    FROM attachments;

-- What has to reach a swarm, sealed before the first attempt so that every attempt stores the same bytes. What has
-- reached it, or never will, is no longer here.
CREATE TABLE new_deliveries (
    id INTEGER PRIMARY KEY,
    message_id INTEGER NOT NULL REFERENCES new_messages (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('recipient', 'own')),
    account TEXT NOT NULL,
    ttl_ms INTEGER NOT NULL,
    data BLOB NOT NULL,
    hash TEXT NOT NULL,
    UNIQUE (message_id, role)
) STRICT;
INSERT INTO new_deliveries
    SELECT id, message_id, role, account, ttl_ms, data, hash FROM deliveries
    WHERE state = 'pending' AND data IS NOT NULL;

-- Everything a reader of `recv` is shown, in order. type: 0 message.
CREATE TABLE new_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    type INTEGER NOT NULL,
    message_id INTEGER REFERENCES new_messages (id) ON DELETE CASCADE
) STRICT;
INSERT INTO new_events SELECT seq, 0, message_id FROM events;

-- No number is given out twice, even if its row was the last one and is gone.
DELETE FROM sqlite_sequence WHERE name IN ('new_messages', 'new_attachments', 'new_events');
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'new_' || name, seq FROM sqlite_sequence WHERE name IN ('messages', 'attachments', 'events');

DROP TABLE events;
DROP TABLE deliveries;
DROP TABLE attachments;
DROP TABLE messages;
ALTER TABLE new_messages RENAME TO messages;
ALTER TABLE new_attachments RENAME TO attachments;
ALTER TABLE new_deliveries RENAME TO deliveries;
ALTER TABLE new_events RENAME TO events;

-- The only index: each takes a sixteenth of the file. The order of all messages is merged from the conversations'.
CREATE UNIQUE INDEX messages_by_conversation ON messages (conversation_id, sent_ms, sender_id);

-- A reader has taken every event up to `seq`, and those after it that `taken` names. `writing` tells what it was about
-- to write to a file, in case it died over that: see the module `readers`.
ALTER TABLE readers ADD COLUMN writing TEXT;
ALTER TABLE readers ADD COLUMN made_ms INTEGER NOT NULL DEFAULT 0;
UPDATE readers SET made_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER);
CREATE TABLE taken (
    reader TEXT NOT NULL REFERENCES readers (name) ON DELETE CASCADE ON UPDATE CASCADE,
    seq INTEGER NOT NULL,
    PRIMARY KEY (reader, seq)
) STRICT, WITHOUT ROWID;

-- Which words are in which message, without where: half the size. Deleted text leaves no trace in it.
CREATE VIRTUAL TABLE message_search USING fts5 (
    body, content = 'messages', content_rowid = 'id', detail = 'none', columnsize = 0,
    tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO message_search (message_search, rank) VALUES ('secure-delete', 1);
-- Its pages have to fit into pages of the file, which lose 80 bytes to encryption; else each takes one and a bit.
INSERT INTO message_search (message_search, rank) VALUES ('pgsz', 3950);
-- It grows by small pieces, each with its own words. Merged sooner than by default, they repeat fewer of them.
INSERT INTO message_search (message_search, rank) VALUES ('automerge', 2);
INSERT INTO message_search (message_search, rank) VALUES ('crisismerge', 4);
INSERT INTO message_search (message_search) VALUES ('rebuild');
CREATE TRIGGER message_search_insert AFTER INSERT ON messages WHEN new.body <> '' BEGIN
    INSERT INTO message_search (rowid, body) VALUES (new.id, new.body);
END;
CREATE TRIGGER message_search_delete AFTER DELETE ON messages WHEN old.body <> '' BEGIN
    INSERT INTO message_search (message_search, rowid, body) VALUES ('delete', old.id, old.body);
END;
-- Only what was put in may be taken out: an index told to forget more than it holds calls itself damaged.
CREATE TRIGGER message_search_update AFTER UPDATE OF body ON messages BEGIN
    INSERT INTO message_search (message_search, rowid, body) SELECT 'delete', old.id, old.body WHERE old.body <> '';
    INSERT INTO message_search (rowid, body) SELECT new.id, new.body WHERE new.body <> '';
END;
"""


def apply(connection: apsw.Connection) -> None:
    """Rebuild the tables with what is in them."""
    connection.execute("PRAGMA defer_foreign_keys = 1")
    connection.execute(_TABLES)
