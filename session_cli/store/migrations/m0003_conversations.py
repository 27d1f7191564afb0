"""Tables for what people do with messages: reactions, receipts, deletions, timers, notices, and what is too new.

What few messages have lies in tables of its own, so that a plain message takes no byte more than before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

VERSION = 3

_TABLES = """
ALTER TABLE people ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE people ADD COLUMN picture_url TEXT;
ALTER TABLE people ADD COLUMN picture_key BLOB;

-- read_ms: messages up to this time are read. hidden: not shown until something new comes. expire_mode, expire_s: how
-- what we write here disappears, as in `expirations`. rule_ms: when that was said.
ALTER TABLE conversations ADD COLUMN read_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN expire_mode INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN expire_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN rule_ms INTEGER NOT NULL DEFAULT 0;
-- What was here before there was a read state counts as read: nobody is to be told of years of it.
UPDATE conversations SET read_ms =
    coalesce((SELECT max(m.sent_ms) FROM messages m WHERE m.conversation_id = conversations.id AND m.outgoing = 0), 0);

-- ends_ms: when the message disappears; NULL as long as its clock has not been started.
ALTER TABLE expirations ADD COLUMN ends_ms INTEGER;
UPDATE expirations SET ends_ms = seconds * 1000 +
    (SELECT m.sent_ms FROM messages m WHERE m.id = message_id AND (mode = 1 OR m.status = 1))
WHERE mode <> 0 AND seconds > 0;
CREATE INDEX expirations_by_end ON expirations (ends_ms) WHERE ends_ms IS NOT NULL;
CREATE INDEX expirations_waiting ON expirations (message_id) WHERE ends_ms IS NULL;

ALTER TABLE attachments ADD COLUMN duration_ms INTEGER;
-- Where a file is just about to get its name, in case the process dies over that.
ALTER TABLE attachments ADD COLUMN saving TEXT;

-- seen_ms: when the hash was noted; 0: not known.
ALTER TABLE seen_hashes ADD COLUMN seen_ms INTEGER NOT NULL DEFAULT 0;

-- What a row of `messages` is, if not (only) a text with files. kind: 0 a message with more to it, 1 expiration_update,
-- 2 call, 3 media_saved, 4 unknown. content: JSON.
CREATE TABLE details (
    message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    kind INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;

-- The last that each person did with each emoji; removed: 1 if that was to take it away.
CREATE TABLE reactions (
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    sender_id INTEGER NOT NULL REFERENCES people (id),
    emoji TEXT NOT NULL,
    sent_ms INTEGER NOT NULL,
    removed INTEGER NOT NULL CHECK (removed IN (0, 1)),
    PRIMARY KEY (message_id, sender_id, emoji)
) STRICT, WITHOUT ROWID;

-- Our messages that were read, and when.
CREATE TABLE receipts (
    message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    read_ms INTEGER NOT NULL
) STRICT;

-- Messages that were deleted for everyone: their place remains.
CREATE TABLE tombstones (
    message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    deleted_ms INTEGER NOT NULL
) STRICT;

-- What was said about messages that are not here (yet), named by conversation, author and time; kind: 0 reaction,
-- 1 unsend, 2 receipt. Or what became of a call that is not here, named by its id alone: 3 answered, 4 declined,
-- 5 missed. about: the emoji, or the call's id. kept_ms: since when it is kept, by our own clock.
CREATE TABLE early (
    conversation TEXT NOT NULL,
    author TEXT NOT NULL,
    target_ms INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    sender TEXT NOT NULL,
    sent_ms INTEGER NOT NULL,
    about TEXT NOT NULL DEFAULT '',
    removed INTEGER NOT NULL DEFAULT 0,
    kept_ms INTEGER NOT NULL,
    PRIMARY KEY (target_ms, author, conversation, kind, sender, about)
) STRICT, WITHOUT ROWID;

-- Nobody may say too much, or be remembered for ever.
CREATE INDEX early_by_sender ON early (sender, kind);
CREATE INDEX early_by_time ON early (kept_ms);

-- What our own swarm has still to be told of messages: delete, or (expires_ms) keep until then and no longer.
CREATE TABLE chores (
    hash TEXT PRIMARY KEY,
    expires_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Messages that a later version may understand, as the swarm gave them, and when (ms). message_id: the notice in its
-- place, where it is known from whom it came. event_seq: the event that it is here.
CREATE TABLE unknowns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE,
    namespace INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    expiration_ms INTEGER NOT NULL,
    data BLOB NOT NULL,
    reason TEXT NOT NULL,
    fetched_ms INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    message_id INTEGER REFERENCES messages (id) ON DELETE CASCADE
) STRICT;

CREATE INDEX unknowns_by_message ON unknowns (message_id);

-- Not tied to messages by a foreign key: each message that disappears would have all events read through, and an index
-- would take a sixteenth of the file. Who deletes messages deletes their events. type: see `store.events.TYPES`.
CREATE TABLE new_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    type INTEGER NOT NULL,
    message_id INTEGER
) STRICT;
INSERT INTO new_events SELECT seq, type, message_id FROM events;
DELETE FROM sqlite_sequence WHERE name = 'new_events';
INSERT INTO sqlite_sequence (name, seq) SELECT 'new_events', seq FROM sqlite_sequence WHERE name = 'events';
DROP TABLE events;
ALTER TABLE new_events RENAME TO events;

-- Events that are about something else than a row of `messages`, or about what happened to it. content: JSON. ends_ms:
-- when it is no news any more that somebody is typing.
CREATE TABLE event_details (
    seq INTEGER PRIMARY KEY REFERENCES events (seq) ON DELETE CASCADE,
    conversation TEXT,
    sender_id INTEGER REFERENCES people (id),
    sent_ms INTEGER NOT NULL,
    content TEXT NOT NULL,
    ends_ms INTEGER
) STRICT;
CREATE INDEX event_details_by_end ON event_details (ends_ms) WHERE ends_ms IS NOT NULL;

-- A delivery need not be of a message: reactions and the like leave nothing behind once they have arrived. effect: what
-- is done here when it has, as JSON; NULL: nothing. follows: another one; until that has arrived, this goes out with
-- it or not at all. free_ms: until then somebody is at it. receipt: 1 if it says what we have read.
CREATE TABLE new_deliveries (
    id INTEGER PRIMARY KEY,
    message_id INTEGER REFERENCES messages (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('recipient', 'own')),
    account TEXT NOT NULL,
    ttl_ms INTEGER NOT NULL,
    data BLOB NOT NULL,
    hash TEXT NOT NULL,
    effect TEXT,
    follows INTEGER REFERENCES new_deliveries (id) ON DELETE SET NULL,
    free_ms INTEGER NOT NULL DEFAULT 0,
    receipt INTEGER NOT NULL DEFAULT 0 CHECK (receipt IN (0, 1)),
    UNIQUE (message_id, role)
) STRICT;
INSERT INTO new_deliveries (id, message_id, role, account, ttl_ms, data, hash)
SELECT id, message_id, role, account, ttl_ms, data, hash FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;
"""


def apply(connection: apsw.Connection) -> None:
    """Add the tables and columns."""
    connection.execute(_TABLES)
