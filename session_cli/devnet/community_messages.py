"""Endpoints for posts and reactions."""

from __future__ import annotations

import re
from typing import Any

from .community_calls import (
    Call,
    Endpoint,
    Gate,
    bad_request,
    base64_of,
    denied,
    endpoint,
    json_reply,
    no_such_post,
    not_found,
    refused,
    someone,
)
from .community_people import CommunityPeople, Permissions
from .community_posts import CommunityPosts, Draft, Post, Reader
from .community_store import CommunityStore, Room, User
from .routes import Reply

_MAX_EMOJI = 12
_MAX_REACTORS = 20
_SIGNATURE_BYTES = 64
_FILE_ID = re.compile(r"[0-9]{1,18}\Z")


class MessageEndpoints:
    """Posts and reactions."""

    def __init__(
        self, store: CommunityStore, people: CommunityPeople, posts: CommunityPosts, gate: Gate, *, blinded: bool
    ) -> None:
        self._store = store
        self._people = people
        self._posts = posts
        self._gate = gate
        self._someone = someone(blinded=blinded)

    def endpoints(self) -> list[Endpoint]:
        return [
            endpoint("GET", "/room/<room>/messages/recent", self._recent),
            endpoint("GET", "/room/<room>/messages/before/<id>", self._before),
            endpoint("GET", "/room/<room>/messages/since/<n>", self._since),
            endpoint("POST", "/room/<room>/message", self._post),
            endpoint("GET", "/room/<room>/message/<id>", self._one),
            endpoint("PUT", "/room/<room>/message/<id>", self._edit),
            endpoint("DELETE", "/room/<room>/message/<id>", self._delete),
            endpoint("DELETE", f"/room/<room>/all/{self._someone}", self._delete_all),
            endpoint("DELETE", f"/rooms/all/{self._someone}", self._delete_all_everywhere),
            endpoint("PUT", "/room/<room>/reaction/<id>/<emoji>", self._react),
            endpoint("DELETE", "/room/<room>/reaction/<id>/<emoji>", self._unreact),
            endpoint("DELETE", "/room/<room>/reactions/<id>/<emoji>", self._remove_reactions),
            endpoint("DELETE", "/room/<room>/reactions/<id>", self._remove_reactions),
            endpoint("GET", "/room/<room>/reactors/<id>/<emoji>", self._reactors),
        ]

    # Reading.

    def _reading(self, call: Call) -> tuple[Room, Reader]:
        room, permissions = self._gate.readable(call)
        self._gate.note_activity(call, room)
        reactors = min(max(call.query_number("reactors", 4), 0), _MAX_REACTORS)
        return room, Reader(call.user, permissions, reactors)

    def _recent(self, call: Call) -> Reply:
        room, reader = self._reading(call)
        return json_reply(self._posts.recent(room, reader, call.limit()))

    def _before(self, call: Call) -> Reply:
        room, reader = self._reading(call)
        return json_reply(self._posts.recent(room, reader, call.limit(), call.number(1)))

    def _since(self, call: Call) -> Reply:
        room, reader = self._reading(call)
        wants_reactions = "r" in call.query.get("t", "")
        told = self._posts.since(room, reader, call.limit(), call.number(1), with_reactions=wants_reactions)
        return json_reply(told)

    def _one(self, call: Call) -> Reply:
        room, reader = self._reading(call)
        post = self._posts.find(room, reader, call.number(1))
        if post is None:
            raise not_found()
        return json_reply(self._posts.told(post, reader))

    # Writing.

    def _writing(self, call: Call) -> tuple[Room, User, Permissions]:
        room, user = self._gate.room(call), call.caller
        permissions = self._people.permissions(user, room)
        if not permissions.write:
            raise denied()
        return room, user, permissions

    def _post(self, call: Call) -> Reply:
        room, user, permissions = self._writing(call)
        draft = self._draft(call.json(), permissions)
        if not permissions.admin and self._posts.is_too_fast(room, user):
            raise refused(429, "Rate limited")
        post = self._posts.add(room, user, draft)
        told = self._posts.told(post, Reader(user, permissions))
        if post.whisper:
            told["whisper_mods"] = post.whisper_mods == 1
        return json_reply(told, 201)

    def _draft(self, values: dict[str, Any], permissions: Permissions) -> Draft:
        """What is to be posted. Raises Refused."""
        addressee, for_moderators = values.get("whisper_to"), bool(values.get("whisper_mods"))
        if (addressee or for_moderators) and not permissions.moderator:
            raise denied()
        if addressee is not None and not isinstance(addressee, str):
            raise bad_request()
        data, signature = base64_of(values, "data"), base64_of(values, "signature")
        if len(signature) != _SIGNATURE_BYTES:
            raise refused(400, "")
        user = self._people.named(addressee) if addressee else None
        return Draft(data, signature, _file_ids(values.get("files")), user, for_moderators)

    def _edit(self, call: Call) -> Reply:
        room, user, permissions = self._writing(call)
        draft = self._draft({key: call.json().get(key) for key in ("data", "signature", "files")}, permissions)
        post = self._posts.find(room, Reader(user, permissions), call.number(1))
        if post is None:
            raise not_found()
        if post.user != user.id:
            raise denied()
        self._posts.edit(room, user, post, draft)
        return json_reply({})

    def _delete(self, call: Call) -> Reply:
        room, user, permissions = self._writing(call)
        post = self._posts.find(room, Reader(user, permissions), call.number(1))
        if post is None:
            raise not_found()
        if post.user != user.id and not permissions.moderator:
            raise denied()
        self._posts.delete(room, post.id)
        return json_reply({})

    def _delete_all(self, call: Call) -> Reply:
        room, user, target = self._gate.room(call), call.caller, self._store.find_user(call.values[1])
        if target is None:
            raise not_found()
        if not self._may_delete_all_of(target, user, room):
            raise denied()
        if self._posts.delete_all_of(room, target) == 0:
            raise not_found()
        return json_reply({})

    def _delete_all_everywhere(self, call: Call) -> Reply:
        user, target = call.caller, self._store.find_user(call.values[0])
        if target is None:
            raise not_found()
        rooms = [room for room in self._store.rooms() if self._may_delete_all_of(target, user, room)]
        counts = {room.token: self._posts.delete_all_of(room, target) for room in rooms}
        return json_reply({"total": sum(counts.values()), "rooms": counts})

    def _may_delete_all_of(self, target: User, user: User, room: Room) -> bool:
        own, other = self._people.permissions(user, room), self._people.permissions(target, room)
        return user.id == target.id or own.admin or (own.moderator and not other.admin)

    # Reactions.

    def _regular(self, call: Call, room: Room) -> Post:
        post_id = call.number(1)
        post = self._posts.find_regular(room, post_id)
        if post is None:
            raise no_such_post(post_id)
        return post

    def _reaction(self, call: Call) -> tuple[Room, Post, str]:
        room, _ = self._gate.readable(call)
        emoji = call.values[2]
        if len(emoji) > _MAX_EMOJI:
            raise refused(400, "")
        return room, self._regular(call, room), emoji

    def _react(self, call: Call) -> Reply:
        user = call.caller
        room, post, emoji = self._reaction(call)
        added = self._posts.react(room, user, post, emoji)
        return json_reply({"added": added, "seqno": self._posts.seqno(post)})

    def _unreact(self, call: Call) -> Reply:
        user = call.caller
        room, post, emoji = self._reaction(call)
        removed = bool(self._posts.remove_reactions(room, post.id, emoji, user))
        return json_reply({"removed": removed, "seqno": self._posts.seqno(post)})

    def _remove_reactions(self, call: Call) -> Reply:
        room = self._gate.moderated(call)
        post = self._regular(call, room)
        removed = self._posts.remove_reactions(room, post.id, call.values[2] if len(call.values) > 2 else None)
        return json_reply({"removed": removed, "seqno": self._posts.seqno(post)})

    def _reactors(self, call: Call) -> Reply:
        _, post, emoji = self._reaction(call)
        return json_reply(self._posts.reactors(post, emoji, call.query_number("limit", 0)))


def _file_ids(given: Any) -> list[int]:
    """Ids of files: numbers, or texts of digits. Raises Refused."""
    if given is None:
        return []
    if not isinstance(given, list):
        raise bad_request()
    ids = [int(one) if isinstance(one, str) and _FILE_ID.match(one) else one for one in given]
    if any(type(one) is not int or not 0 <= one < 2**63 for one in ids):
        raise bad_request()
    return ids
