"""Tables for what the devices of an account share: the configs, and which changes they don't hold yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

VERSION = 4

_TABLES = """
-- pinned: above 0, the place among those that are. notify: 0 default, 1 all, 2 disabled, 3 mentions. unread: the user
-- marked it so. gone_ms: when it was deleted last, or hidden on another device: what is older does not bring it back.
ALTER TABLE conversations ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN muted_until_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN notify INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN unread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN gone_ms INTEGER NOT NULL DEFAULT 0;

-- dump: see `protocol.config.dump`. base: the data without what is still to be pushed, if anything is. dirty: something
-- is. merged_ms: when the newest message from another device was stored in the swarm.
CREATE TABLE configs (
    namespace INTEGER PRIMARY KEY,
    dump BLOB NOT NULL,
    base BLOB,
    dirty INTEGER NOT NULL CHECK (dirty IN (0, 1)),
    merged_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What was changed here and is not in the configs yet, whichever command did it. kind: contact, deleted or read (key:
-- an address), profile (no key).
CREATE TABLE config_changes (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- Whoever is known again is not to be deleted any more.
CREATE TRIGGER people_added AFTER INSERT ON people
WHEN new.approved OR new.approved_me OR new.blocked OR new.nickname IS NOT NULL BEGIN
    INSERT INTO config_changes VALUES ('contact', new.address) ON CONFLICT DO NOTHING;
    DELETE FROM config_changes WHERE kind = 'deleted' AND key = new.address;
END;
CREATE TRIGGER people_known_again AFTER UPDATE ON people
WHEN NOT (old.approved OR old.approved_me OR old.blocked OR old.nickname IS NOT NULL)
    AND (new.approved OR new.approved_me OR new.blocked OR new.nickname IS NOT NULL)
BEGIN
    DELETE FROM config_changes WHERE kind = 'deleted' AND key = new.address;
END;
CREATE TRIGGER people_changed AFTER UPDATE ON people
WHEN (old.name, old.nickname, old.profile_updated_s, old.approved, old.approved_me, old.blocked, old.picture_url,
      old.picture_key)
    IS NOT (new.name, new.nickname, new.profile_updated_s, new.approved, new.approved_me, new.blocked, new.picture_url,
      new.picture_key)
BEGIN
    INSERT INTO config_changes VALUES ('contact', new.address) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER conversations_changed AFTER UPDATE ON conversations
WHEN (old.hidden, old.pinned, old.muted_until_s, old.notify, old.expire_mode, old.expire_s)
    IS NOT (new.hidden, new.pinned, new.muted_until_s, new.notify, new.expire_mode, new.expire_s)
BEGIN
    INSERT INTO config_changes VALUES ('contact', new.address) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER conversations_read AFTER UPDATE ON conversations
WHEN (old.read_ms, old.unread) IS NOT (new.read_ms, new.unread) BEGIN
    INSERT INTO config_changes VALUES ('read', new.address) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER profile_set AFTER INSERT ON settings
WHEN new.name IN ('display_name', 'picture_url', 'picture_key', 'profile_updated_s') BEGIN
    INSERT INTO config_changes VALUES ('profile', '') ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER profile_changed AFTER UPDATE ON settings
WHEN new.value IS NOT old.value AND new.name IN ('display_name', 'picture_url', 'picture_key', 'profile_updated_s')
BEGIN
    INSERT INTO config_changes VALUES ('profile', '') ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER profile_removed AFTER DELETE ON settings
WHEN old.name IN ('display_name', 'picture_url') BEGIN
    INSERT INTO config_changes VALUES ('profile', '') ON CONFLICT DO NOTHING;
END;

-- What was known before there were configs.
INSERT INTO config_changes SELECT 'contact', address FROM people
    WHERE approved OR approved_me OR blocked OR nickname IS NOT NULL;
INSERT INTO config_changes SELECT 'contact', address FROM conversations WHERE hidden OR expire_mode <> 0
    ON CONFLICT DO NOTHING;
INSERT INTO config_changes SELECT 'read', address FROM conversations WHERE read_ms > 0;
INSERT INTO config_changes SELECT 'profile', '' FROM settings WHERE name = 'display_name';
"""


def apply(connection: apsw.Connection) -> None:
    """Add the tables, columns and triggers."""
    connection.execute(_TABLES)
