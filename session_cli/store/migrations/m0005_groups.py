"""Tables for groups: how we get into each, what we know of it, and what its members have still to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

VERSION = 5

_TABLES = """
-- seed: 32 bytes; who has it is an admin. auth_data: 100 bytes, with which a member gets into the group's swarm.
-- invited: whoever invited us waits for our answer; inviter: the address of the last who did. removed: 0 no, 1 we were
-- removed, 2 the group was destroyed. keys: see `protocol.group.keys`. polled: 1 if all that its swarm had was fetched.
-- extended_ms: when its swarm was asked last to keep what the group is made of. due: 1 if we, as an admin, have to do
-- something. undecided: 1 if something in its swarm could not be read yet with the keys that we have.
-- The group's name is that of its address in `people`, where `approved` says that we are in it.
CREATE TABLE groups (
    address TEXT PRIMARY KEY,
    seed BLOB,
    auth_data BLOB,
    invited INTEGER NOT NULL DEFAULT 0 CHECK (invited IN (0, 1)),
    inviter TEXT,
    removed INTEGER NOT NULL DEFAULT 0 CHECK (removed IN (0, 1, 2)),
    joined_s INTEGER NOT NULL DEFAULT 0,
    keys BLOB,
    polled INTEGER NOT NULL DEFAULT 0 CHECK (polled IN (0, 1)),
    extended_ms INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL DEFAULT 0 CHECK (due IN (0, 1)),
    undecided INTEGER NOT NULL DEFAULT 0 CHECK (undecided IN (0, 1))
) STRICT, WITHOUT ROWID;

-- As `configs`, but of a group.
CREATE TABLE group_configs (
    address TEXT NOT NULL REFERENCES groups (address) ON DELETE CASCADE,
    namespace INTEGER NOT NULL,
    dump BLOB NOT NULL,
    base BLOB,
    dirty INTEGER NOT NULL CHECK (dirty IN (0, 1)),
    PRIMARY KEY (address, namespace)
) STRICT, WITHOUT ROWID;

-- What this device has taken upon itself and not done yet. As an admin's: `invite` or `promote` somebody, `admit`
-- them to the swarm, look whether somebody has `left` (at: when that was said, in ms), `delete` a message in the
-- swarm (member: its hash). As a member's: `respond`, tell the group that we have joined.
CREATE TABLE group_errands (
    address TEXT NOT NULL REFERENCES groups (address) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    member TEXT NOT NULL,
    at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (address, kind, member)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER groups_added AFTER INSERT ON groups BEGIN
    INSERT INTO config_changes VALUES ('contact', new.address) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER groups_changed AFTER UPDATE ON groups
WHEN (old.seed, old.auth_data, old.invited, old.removed, old.joined_s)
    IS NOT (new.seed, new.auth_data, new.invited, new.removed, new.joined_s)
BEGIN
    INSERT INTO config_changes VALUES ('contact', new.address) ON CONFLICT DO NOTHING;
END;
"""

_NOTE = "INSERT INTO settings SELECT 'groups_untaken', 1 WHERE EXISTS (SELECT 1 FROM configs)"
"""What was known of groups before there were these tables lies in a config."""


def apply(connection: apsw.Connection) -> None:
    """Add the tables and triggers."""
    connection.execute(_TABLES)
    connection.execute(_NOTE)
