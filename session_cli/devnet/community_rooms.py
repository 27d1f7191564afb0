"""Endpoints for rooms: what they tell of themselves, polls, settings, pins and files."""

from __future__ import annotations

import re
from typing import Any

from .community_auth import Refused
from .community_calls import (
    Call,
    Endpoint,
    Gate,
    bad_request,
    denied,
    endpoint,
    forbidden,
    json_reply,
    no_such_post,
    not_found,
)
from .community_files import CommunityFiles
from .community_people import PERMISSIONS, CommunityPeople, Permissions
from .community_posts import CommunityPosts, Post
from .community_store import CommunityStore, Room
from .options import DAY
from .routes import Reply, page

ACTIVE_SECONDS = 7 * DAY
"""How long somebody counts as active after he has read."""
_CONTROL = re.compile(r"[\0-\x1f]")
_CONTROL_IN_TEXT = re.compile(r"[\0-\x08\x0b-\x1f]")


class RoomEndpoints:
    """Rooms, polls, settings, pins and files."""

    def __init__(
        self, store: CommunityStore, people: CommunityPeople, posts: CommunityPosts, files: CommunityFiles, gate: Gate
    ) -> None:
        self._store = store
        self._people = people
        self._posts = posts
        self._files = files
        self._gate = gate

    def endpoints(self) -> list[Endpoint]:
        return [
            endpoint("GET", "/rooms", self._rooms),
            endpoint("GET", "/room/<room>", self._room),
            endpoint("PUT", "/room/<room>", self._change),
            endpoint("GET", "/room/<room>/pollInfo/<n>", self._poll),
            endpoint("POST", "/room/<room>/pin/<id>", self._pin),
            endpoint("POST", "/room/<room>/unpin/<id>", self._unpin),
            endpoint("POST", "/room/<room>/unpin/all", self._unpin_all),
            endpoint("POST", "/room/<room>/file", self._upload),
            endpoint("GET", "/room/<room>/file/<id>", self._download),
            endpoint("GET", "/room/<room>/file/<id>/<name>", self._download),
        ]

    # What is told.

    def _rooms(self, call: Call) -> Reply:
        told = []
        for room in self._store.rooms():
            permissions = self._gate.permissions(call, room)
            if permissions.accessible:
                told.append(self._details(room, permissions))
        return json_reply(told)

    def _room(self, call: Call) -> Reply:
        room = self._gate.room(call)
        permissions = self._gate.permissions(call, room)
        if not permissions.accessible:
            raise not_found()
        return json_reply(self._details(room, permissions))

    def _poll(self, call: Call) -> Reply:
        room, permissions = self._gate.readable(call)
        self._gate.note_activity(call, room)
        told = {"token": room.token, "active_users": room.active_users} | _own(room, permissions)
        if call.number(1) != room.info_updates:
            told["details"] = self._details(room, permissions)
        return json_reply(told)

    def _details(self, room: Room, permissions: Permissions) -> dict[str, Any]:
        lists = self._people.moderators(room)
        told: dict[str, Any] = {
            "token": room.token,
            "name": room.name,
            "info_updates": room.info_updates,
            "message_sequence": room.message_sequence,
            "created": room.created,
            "active_users": room.active_users,
            "active_users_cutoff": ACTIVE_SECONDS,
            "moderators": lists["moderators"],
            "admins": lists["admins"],
        } | _own(room, permissions)
        if permissions.moderator:
            told |= {name: lists[name] for name in ("hidden_moderators", "hidden_admins") if lists[name]}
        if room.description is not None:
            told["description"] = room.description
        if room.image is not None:
            told["image_id"] = room.image
        if pins := self._posts.pins(room):
            told["pinned_messages"] = pins
        return told

    # Settings.

    def _change(self, call: Call) -> Reply:
        room = self._gate.moderated(call, as_admin=True)
        values = _settings(call.json())
        if "image" in values and not self._files.make_image(room, values["image"]):
            raise Refused(page(406))
        for column, value in values.items():
            sql = f"UPDATE community_rooms SET {column} = ? WHERE id = ?"  # noqa: S608
            self._store.execute(sql, value, room.id)
            if column not in PERMISSIONS and value != getattr(room, column):
                self._store.count_updates(room)
        return json_reply({"info_updates": self._store.info_updates(room)})

    # Pins.

    def _pin(self, call: Call) -> Reply:
        room, post = self._to_pin(call)
        self._posts.pin(room, call.caller, post)
        return json_reply({"info_updates": self._store.info_updates(room)})

    def _unpin(self, call: Call) -> Reply:
        room, post = self._to_pin(call)
        unpinned = bool(self._posts.unpin(room, post.id))
        return json_reply({"unpinned": unpinned, "info_updates": self._store.info_updates(room)})

    def _unpin_all(self, call: Call) -> Reply:
        room = self._admins_room(call)
        return json_reply({"unpinned": self._posts.unpin(room), "info_updates": self._store.info_updates(room)})

    def _to_pin(self, call: Call) -> tuple[Room, Post]:
        room, post_id = self._admins_room(call), call.number(1)
        post = self._posts.find_regular(room, post_id)
        if post is None:
            raise no_such_post(post_id)
        return room, post

    def _admins_room(self, call: Call) -> Room:
        room = self._gate.room(call)
        if not self._gate.permissions(call, room).admin:
            raise denied()
        return room

    # Files.

    def _upload(self, call: Call) -> Reply:
        room, user = self._gate.room(call), call.caller
        permissions = self._gate.permissions(call, room)
        if not (permissions.write and permissions.upload):
            raise forbidden()
        file_id = self._files.add(room, user, call.body, call.headers.get("content-disposition", ""))
        return json_reply({"id": file_id}, 201)

    def _download(self, call: Call) -> Reply:
        room, _ = self._gate.readable(call)
        file = self._files.find(room, call.number(1))
        if file is None:
            raise not_found()
        return Reply(200, file.headers(), file.content)


def _own(room: Room, permissions: Permissions) -> dict[str, bool]:
    """What the caller may do in a room, and for moderators what others may."""
    told = {name: getattr(permissions, name) for name in ("read", "write", "upload")}
    roles = ("moderator", "admin", "global_moderator", "global_admin")
    told |= {role: True for role in roles if getattr(permissions, role)}
    if permissions.moderator:
        told |= {f"default_{name}": getattr(room, name) for name in PERMISSIONS}
    return told


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """The columns to change. Raises Refused for values of a wrong type, and if there is nothing to change."""
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key == "name" and isinstance(value, str):
            values["name"] = _CONTROL.sub("", value)
        elif key == "description" and (value is None or isinstance(value, str)):
            values["description"] = _CONTROL_IN_TEXT.sub("", value or "") or None
        elif key == "image" and type(value) is int and abs(value) < 2**63:
            values["image"] = value
        elif key.removeprefix("default_") in PERMISSIONS and key.startswith("default_") and value in (True, False):
            values[key.removeprefix("default_")] = bool(value)
        elif key in ("name", "description", "image") or key.startswith("default_"):
            raise bad_request()
    if not values:
        raise bad_request()
    return values
