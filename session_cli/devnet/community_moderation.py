"""Endpoints for bans, roles and permissions, and for direct messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .community_calls import (
    Call,
    Endpoint,
    Gate,
    bad_request,
    base64_of,
    denied,
    endpoint,
    forbidden,
    json_reply,
    not_found,
    refused,
    someone,
)
from .community_inbox import CommunityInbox
from .community_people import PERMISSIONS, CommunityPeople, Permissions
from .community_store import CommunityStore, Room, User
from .routes import TEXT, Reply

_LATEST_SECONDS = 1_000_000_000


class ModerationEndpoints:
    """Bans, roles and permissions."""

    def __init__(self, store: CommunityStore, people: CommunityPeople, gate: Gate, *, blinded: bool) -> None:
        self._store = store
        self._people = people
        self._gate = gate
        self._someone = someone(blinded=blinded)

    def endpoints(self) -> list[Endpoint]:
        return [
            endpoint("POST", "/user/<user>/ban", self._ban),
            endpoint("POST", "/user/<user>/unban", self._unban),
            endpoint("POST", "/user/<user>/moderator", self._appoint),
            endpoint("GET", "/room/<room>/permissions", self._overrides),
            endpoint("GET", f"/room/<room>/permissions/{self._someone}", self._overrides_of),
            endpoint("POST", f"/room/<room>/permissions/{self._someone}", self._set),
            endpoint("GET", "/room/<room>/futurePermissions", self._future),
            endpoint("GET", f"/room/<room>/futurePermissions/{self._someone}", self._future_of),
            endpoint("POST", f"/room/<room>/futurePermissions/{self._someone}", self._schedule),
        ]

    # Bans and roles.

    def _ban(self, call: Call) -> Reply:
        values, user = call.json(), call.caller
        timeout = values.get("timeout")
        if timeout is not None and not (type(timeout) in (int, float) and abs(timeout) < _LATEST_SECONDS):
            raise bad_request()
        rooms = self._rooms(values, user, lambda permissions: permissions.moderator)
        target = self._people.named(call.values[0])
        if target.id == user.id or target.moderator or target.admin:
            raise denied()
        for room in rooms:
            if room is not None:
                own, other = self._people.permissions(user, room), self._people.permissions(target, room)
                if other.moderator and not own.admin:
                    raise denied()
        for room in rooms:
            self._people.ban(target, room, timeout)
        return json_reply({})

    def _unban(self, call: Call) -> Reply:
        rooms = self._rooms(call.json(), call.caller, lambda permissions: permissions.moderator)
        target = self._people.named(call.values[0])
        for room in rooms:
            self._people.unban(target, room)
        return json_reply({})

    def _appoint(self, call: Call) -> Reply:
        values = call.json()
        moderator, admin = values.get("moderator"), values.get("admin")
        moderator = None if moderator is None else bool(moderator)
        admin = None if admin is None else bool(admin)
        if (moderator is None and admin is None) or (admin and moderator is False):
            raise bad_request()
        rooms = self._rooms(values, call.caller, lambda permissions: permissions.admin)
        everywhere = rooms == [None]
        visible = bool(values.get("visible", not everywhere))
        target = self._people.named(call.values[0])
        for room in rooms:
            self._people.appoint(self._store.user(target.id), room, moderator=moderator, admin=admin, visible=visible)
        told = self._store.rooms() if everywhere else [room for room in rooms if room is not None]
        return json_reply({"info_updates": {room.token: self._store.info_updates(room) for room in told}})

    def _rooms(self, values: dict[str, Any], user: User, suffices: Callable[[Permissions], bool]) -> list[Room | None]:
        """The rooms that are meant, or one None for the whole server.

        Raises Refused if they make no sense, or if what the caller may do there does not suffice.
        """
        tokens, everywhere = values.get("rooms"), bool(values.get("global"))
        if everywhere == bool(tokens):
            raise bad_request()
        if everywhere:
            if not suffices(Permissions(True, True, True, True, user.moderator or user.admin, user.admin)):
                raise forbidden()
            return [None]
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise bad_request()
        if "*" in tokens:
            if tokens != ["*"]:
                raise bad_request()
            found: list[Room | None] = [
                room for room in self._store.rooms() if suffices(self._people.permissions(user, room))
            ]
            if not found:
                raise forbidden()
            return found
        named = [self._store.find_room(token) for token in tokens]
        rooms = [room for room in named if room is not None]
        if len(rooms) < len(tokens) or not all(suffices(self._people.permissions(user, room)) for room in rooms):
            raise forbidden()
        return list[Room | None](rooms)

    # Permissions.

    def _overrides(self, call: Call) -> Reply:
        return json_reply(self._people.overrides(self._gate.moderated(call)))

    def _overrides_of(self, call: Call) -> Reply:
        room = self._gate.moderated(call)
        return json_reply(self._people.overrides(room).get(call.values[1], {}))

    def _set(self, call: Call) -> Reply:
        room, values = self._gate.moderated(call), call.json()
        changes: dict[str, bool | None] = {name: None for name in PERMISSIONS if values.get(f"default_{name}")}
        changes |= {name: bool(values[name]) for name in PERMISSIONS if values.get(name) is not None}
        if not changes:
            raise bad_request()
        target = self._people.named(call.values[1])
        self._people.set_permissions(room, target, changes)
        if values.get("unschedule", True):
            self._people.unschedule(room, target, set(changes))
        return json_reply(self._people.overrides(room).get(target.session_id, {}))

    def _future(self, call: Call) -> Reply:
        return json_reply(self._people.scheduled(self._gate.moderated(call)))

    def _future_of(self, call: Call) -> Reply:
        room, target = self._gate.moderated(call), self._store.find_user(call.values[1])
        return json_reply([] if target is None else self._people.scheduled(room, target))

    def _schedule(self, call: Call) -> Reply:
        room, values = self._gate.moderated(call), call.json()
        seconds = values.get("in")
        changes = {name: bool(values[name]) for name in ("read", "write", "upload") if values.get(name) is not None}
        if not isinstance(seconds, int | float) or not 0 < seconds < _LATEST_SECONDS or not changes:
            raise bad_request()
        target = self._people.named(call.values[1])
        self._people.schedule(room, target, self._store.clock() + seconds, changes)
        return json_reply(self._people.scheduled(room, target))


class InboxEndpoints:
    """Direct messages."""

    def __init__(self, store: CommunityStore, inbox: CommunityInbox) -> None:
        self._store = store
        self._inbox = inbox

    def endpoints(self) -> list[Endpoint]:
        return [
            endpoint("GET", "/inbox", self._received),
            endpoint("GET", "/inbox/since/<id>", self._received_since),
            endpoint("DELETE", "/inbox", self._empty),
            endpoint("POST", "/inbox/<user>", self._send),
            endpoint("GET", "/outbox", self._sent),
            endpoint("GET", "/outbox/since/<id>", self._sent_since),
        ]

    @staticmethod
    def _blinded(call: Call) -> User:
        user = call.caller
        if not user.is_blinded:
            raise refused(401, "This endpoint requires blinded pubkeys be used", TEXT)
        return user

    def _received(self, call: Call) -> Reply:
        return json_reply(self._inbox.received(self._blinded(call), 0, call.limit()))

    def _sent(self, call: Call) -> Reply:
        return json_reply(self._inbox.sent(self._blinded(call), 0, call.limit()))

    def _received_since(self, call: Call) -> Reply:
        return _if_any(self._inbox.received(self._blinded(call), call.number(0), call.limit()))

    def _sent_since(self, call: Call) -> Reply:
        return _if_any(self._inbox.sent(self._blinded(call), call.number(0), call.limit()))

    def _send(self, call: Call) -> Reply:
        sender, values = call.caller, call.json()
        recipient = self._store.find_user(call.values[0])
        if recipient is None or recipient.banned or not recipient.is_blinded:
            raise not_found()
        return json_reply(self._inbox.add(sender, recipient, base64_of(values, "message")), 201)

    def _empty(self, call: Call) -> Reply:
        return json_reply({"deleted": self._inbox.empty(self._blinded(call))})


def _if_any(rows: list[dict[str, Any]]) -> Reply:
    return json_reply(rows) if rows else Reply(304, {})
