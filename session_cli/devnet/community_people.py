"""Who may do what: users and their blinded ids, moderators, bans, and permissions that differ from a room's own."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from ..protocol.account import AccountId
from ..protocol.blinding import BlindedId, blinded15_ids, blinded25_id
from .community_store import CommunityStore, Room, User

_ACCOUNT_ID = re.compile(r"05[0-9a-f]{64}\Z")
PERMISSIONS = ("read", "write", "upload", "accessible")


@dataclass(frozen=True, slots=True)
class Permissions:
    """What somebody may do in a room."""

    read: bool
    accessible: bool
    write: bool
    upload: bool
    moderator: bool = False
    admin: bool = False
    global_moderator: bool = False
    global_admin: bool = False


class CommunityPeople:
    """Everybody on one server.

    `blinded` tells whether people go by blinded ids alone, `first_is_admin` whether somebody who comes to a server
    without admin becomes one.
    """

    def __init__(
        self, store: CommunityStore, server_key: bytes, *, blinded: bool, first_is_admin: bool = False
    ) -> None:
        self._store = store
        self._server_key = server_key
        self._blinded = blinded
        self._first_is_admin = first_is_admin

    # Ids.

    def arrive(self, session_id: str) -> User:
        """The user who has proved to have this id. What was said of the account id before is his from now on."""
        known = self._store.find_user(session_id)
        if known is not None:
            return known
        user = self._store.add_user(session_id)
        if self._blinded:
            for appointed in self._store.account_ids():
                if session_id in self._aliases(AccountId(appointed.session_id)):
                    self._hand_over(appointed, user)
        if self._first_is_admin and not self._store.execute("SELECT 1 FROM community_users WHERE admin").fetchone():
            self.appoint(user, None, moderator=True, admin=True, visible=True)
        return self._store.user(user.id)

    def named(self, session_id: str) -> User:
        """The user whom somebody else names; one never seen before is made."""
        if self._blinded:
            for alias in self._aliases(AccountId(session_id)):
                if (user := self._store.find_user(alias)) is not None:
                    return user
        return self._store.find_user(session_id) or self._store.add_user(session_id)

    def _aliases(self, account: AccountId) -> tuple[BlindedId, ...]:
        """The blinded ids that an account may have here; none if it is no account."""
        if not _ACCOUNT_ID.match(account):
            return ()
        try:
            return (*blinded15_ids(account, self._server_key), blinded25_id(account, self._server_key))
        except InvalidInput:
            return ()

    def _hand_over(self, old: User, new: User) -> None:
        store = self._store
        for table in ("community_overrides", "community_future"):
            store.execute(f"UPDATE {table} SET user = ? WHERE user = ?", new.id, old.id)  # noqa: S608
        store.execute("UPDATE community_posts SET whisper_to = ? WHERE whisper_to = ?", new.id, old.id)
        sql = "UPDATE community_users SET banned = ?, moderator = ?, admin = ?, visible = ? WHERE id = ?"
        store.execute(sql, old.banned, old.moderator, old.admin, old.visible, new.id)
        store.execute(sql, False, False, False, False, old.id)
        if old.moderator:
            # One goes, and one comes.
            store.count_updates(None, 2)

    # Permissions.

    def permissions(self, user: User | None, room: Room) -> Permissions:
        """What a user, or whoever does not say who he is, may do in a room."""
        if user is None:
            return Permissions(room.read, room.accessible or room.read, room.write, room.upload)
        own = self._override(room, user)
        admin = user.admin or bool(own and own["admin"])
        moderator = admin or user.moderator or bool(own and own["moderator"])
        if moderator:
            return Permissions(True, True, True, True, True, admin, user.moderator or user.admin, user.admin)
        if own and own["banned"]:
            return Permissions(False, False, False, False)
        values = {
            name: getattr(room, name) if own is None or own[name] is None else bool(own[name]) for name in PERMISSIONS
        }
        values["accessible"] = values["accessible"] or values["read"]
        return Permissions(**values)

    def _override(self, room: Room, user: User) -> dict[str, Any] | None:
        cursor = self._store.execute("SELECT * FROM community_overrides WHERE room = ? AND user = ?", room.id, user.id)
        return _named(cursor, cursor.fetchone())

    def _override_to_write(self, room: Room, user: User) -> dict[str, Any]:
        self._store.execute("INSERT OR IGNORE INTO community_overrides (room, user) VALUES (?, ?)", room.id, user.id)
        return self._override(room, user) or {}

    def set_permissions(self, room: Room, user: User, values: dict[str, bool | None]) -> None:
        """Give a user permissions of his own, or (None) those of everybody."""
        self._override_to_write(room, user)
        for name, value in values.items():
            sql = f"UPDATE community_overrides SET {name} = ? WHERE room = ? AND user = ?"  # noqa: S608
            self._store.execute(sql, value, room.id, user.id)

    def overrides(self, room: Room) -> dict[str, dict[str, bool]]:
        """Who has a role, a ban or permissions of his own in a room, by id; only what is set."""
        cursor = self._store.execute(
            "SELECT session_id, o.* FROM community_overrides o JOIN community_users ON user = id WHERE room = ?",
            room.id,
        )
        rows = [_named(cursor, row) or {} for row in cursor.fetchall()]
        said = {row["session_id"]: _said(row) for row in rows}
        return {session_id: values for session_id, values in sorted(said.items()) if values}

    # Moderators.

    def moderators(self, room: Room) -> dict[str, list[str]]:
        """The lists of a room: `moderators`, `admins` and those of them who are hidden, each in order of their ids."""
        rows = self._store.execute(
            "SELECT session_id, max(moderator), max(admin), max(visible) FROM ("
            "SELECT session_id, u.moderator, u.admin, u.visible FROM community_users u WHERE u.moderator OR u.admin "
            "UNION ALL SELECT session_id, o.moderator, o.admin, o.visible "
            "FROM community_overrides o JOIN community_users ON user = id WHERE room = ? AND (o.moderator OR o.admin)"
            ") GROUP BY session_id ORDER BY session_id",
            room.id,
        ).fetchall()
        lists: dict[str, list[str]] = {"moderators": [], "admins": [], "hidden_moderators": [], "hidden_admins": []}
        for session_id, _, admin, visible in rows:
            lists[("" if visible else "hidden_") + ("admins" if admin else "moderators")].append(session_id)
        return lists

    def appoint(
        self, user: User, room: Room | None, *, moderator: bool | None, admin: bool | None, visible: bool
    ) -> None:
        """Give or take a role, in a room or (None) in all. What is None stays, unless the other settles it."""
        if room is None:
            before = (user.moderator, user.admin)
        else:
            own = self._override_to_write(room, user)
            before = (bool(own["moderator"]), bool(own["admin"]))
        if admin:
            after = (True, True)
        elif moderator is None:
            after = (before[0], False)
        elif moderator:
            after = (True, before[1] and admin is None)
        else:
            after = (False, False)
        if room is None:
            sql = "UPDATE community_users SET moderator = ?, admin = ?, visible = ? WHERE id = ?"
            self._store.execute(sql, *after, visible, user.id)
        else:
            sql = "UPDATE community_overrides SET moderator = ?, admin = ?, visible = ? WHERE room = ? AND user = ?"
            self._store.execute(sql, *after, visible, room.id, user.id)
        if after != before:
            self._store.count_updates(room)

    # Bans.

    def ban(self, user: User, room: Room | None, timeout: float | None) -> None:
        """Ban somebody, who loses his role by it; for ever, or until so many seconds have passed."""
        self.appoint(user, room, moderator=False, admin=False, visible=room is not None)
        self._set_banned(user, room, True)
        if timeout:
            self._store.execute(
                "INSERT INTO community_future (room, user, at, unban) VALUES (?, ?, ?, 1)",
                None if room is None else room.id,
                user.id,
                self._store.clock() + timeout,
            )

    def unban(self, user: User, room: Room | None) -> None:
        self._set_banned(user, room, False)

    def _set_banned(self, user: User, room: Room | None, banned: bool) -> None:
        room_id = None if room is None else room.id
        sql = "DELETE FROM community_future WHERE unban AND user = ? AND room IS ?"
        self._store.execute(sql, user.id, room_id)
        if room is None:
            self._store.execute("UPDATE community_users SET banned = ? WHERE id = ?", banned, user.id)
        else:
            self._override_to_write(room, user)
            sql = "UPDATE community_overrides SET banned = ? WHERE room = ? AND user = ?"
            self._store.execute(sql, banned, room_id, user.id)

    # What is to change later.

    def schedule(self, room: Room, user: User, at: float, values: dict[str, bool]) -> None:
        """Let permissions change at a time."""
        self._store.execute(
            "INSERT INTO community_future (room, user, at, read, write, upload) VALUES (?, ?, ?, ?, ?, ?)",
            room.id,
            user.id,
            at,
            *(values.get(name) for name in ("read", "write", "upload")),
        )

    def unschedule(self, room: Room, user: User, names: set[str]) -> None:
        """Forget what was scheduled for these permissions."""
        for name in sorted(names & {"read", "write", "upload"}):
            sql = f"UPDATE community_future SET {name} = NULL WHERE room = ? AND user = ?"  # noqa: S608
            self._store.execute(sql, room.id, user.id)
        self._store.execute(
            "DELETE FROM community_future WHERE NOT unban AND read IS NULL AND write IS NULL AND upload IS NULL"
        )

    def scheduled(self, room: Room, user: User | None = None) -> list[dict[str, Any]]:
        """What is scheduled in a room, for a user or for all (then with their ids)."""
        cursor = self._store.execute(
            "SELECT session_id, f.user, f.at, f.unban, f.read, f.write, f.upload FROM community_future f "
            "JOIN community_users u ON f.user = u.id WHERE f.room = ? ORDER BY f.at, f.id",
            room.id,
        )
        told = []
        for session_id, user_id, at, unban, *values in cursor.fetchall():
            if user is None or user.id == user_id:
                entry: dict[str, Any] = {"at": at} | ({"session_id": session_id} if user is None else {})
                entry |= {"banned": False} if unban else {}
                pairs = zip(("read", "write", "upload"), values, strict=True)
                told.append(entry | {name: bool(value) for name, value in pairs if value is not None})
        return told

    def carry_out_the_due(self, rooms: list[Room]) -> None:
        """Do what was scheduled for a time that has come."""
        now, by_id = self._store.clock(), {room.id: room for room in rooms}
        cursor = self._store.execute(
            "SELECT room, user, unban, read, write, upload FROM community_future WHERE at <= ? ORDER BY at, id", now
        )
        for room_id, user_id, unban, *values in cursor.fetchall():
            user, room = self._store.user(user_id), by_id.get(room_id)
            if unban:
                self.unban(user, room)
            elif room is not None:
                pairs = zip(("read", "write", "upload"), values, strict=True)
                self.set_permissions(room, user, {name: bool(value) for name, value in pairs if value is not None})
        self._store.execute("DELETE FROM community_future WHERE at <= ?", now)


def _named(cursor: sqlite3.Cursor, row: tuple[Any, ...] | None) -> dict[str, Any] | None:
    return None if row is None else dict(zip((column[0] for column in cursor.description), row, strict=True))


def _said(row: dict[str, Any]) -> dict[str, bool]:
    values = {name: bool(row[name]) for name in PERMISSIONS if row[name] is not None}
    if row["banned"]:
        values["banned"] = True
    if row["moderator"] or row["admin"]:
        values["admin" if row["admin"] else "moderator"] = True
        if not row["visible"]:
            values["hidden"] = True
    return values
