"""A community server (SOGS) in one: who asks, which endpoint answers, and batches of requests."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import unquote

from .community_auth import CommunityAuth, Refused, without_authentication
from .community_batch import UNREADABLE, parse_parts, part_of_answer
from .community_calls import Call, Endpoint, Gate, endpoint, json_reply, query_of
from .community_conduct import CommunityConduct
from .community_files import CommunityFiles
from .community_inbox import CommunityInbox
from .community_messages import MessageEndpoints
from .community_moderation import InboxEndpoints, ModerationEndpoints
from .community_options import CommunityOptions, CommunityRoom
from .community_people import CommunityPeople
from .community_posts import CommunityPosts
from .community_rooms import ACTIVE_SECONDS, RoomEndpoints
from .community_store import CommunityStore, User
from .routes import HTML, Reply, Request, page

_JOB_SECONDS = 10
"""How often the server looks for what is due: expired files and bans, scheduled permissions, who is active."""
_MAX_NESTING = 10


class CommunityRoutes:
    """All endpoints of a community server, over its tables. `server_key` is the public key, 32 bytes."""

    def __init__(
        self,
        database: sqlite3.Connection,
        server_key: bytes,
        options: CommunityOptions,
        clock: Callable[[], float],
        conduct: CommunityConduct,
    ) -> None:
        self._store = CommunityStore(database, clock)
        self._people = CommunityPeople(
            self._store, server_key, blinded=options.blinded, first_is_admin=options.first_is_admin
        )
        self._files = CommunityFiles(self._store, options.ttl)
        self._inbox = CommunityInbox(self._store)
        self._options = options
        self._conduct = conduct
        self._auth = CommunityAuth(
            self._store, self._people, server_key, blinded=options.blinded, accepts_25=options.accepts_25
        )
        gate, posts = Gate(self._store, self._people), CommunityPosts(self._store, self._files)
        rooms = RoomEndpoints(self._store, self._people, posts, self._files, gate).endpoints()
        messages = MessageEndpoints(self._store, self._people, posts, gate, blinded=options.blinded).endpoints()
        moderation = ModerationEndpoints(self._store, self._people, gate, blinded=options.blinded).endpoints()
        inbox = InboxEndpoints(self._store, self._inbox).endpoints()
        self._endpoints = [
            endpoint("GET", "/capabilities", self._capabilities),
            *rooms,
            *messages,
            *moderation,
            *inbox,
        ]
        self._next_job = clock() + _JOB_SECONDS
        with self._store.transaction():
            self._set_up()

    def _set_up(self) -> None:
        """Make the rooms that are not there yet, and give the roles that nobody has yet."""
        for given in self._options.rooms:
            self._make_room(given)
        for appointed in self._options.moderators:
            user = self._people.named(appointed.account_id)
            if not (user.admin if appointed.admin else user.moderator):
                self._people.appoint(
                    user, None, moderator=True, admin=appointed.admin or None, visible=appointed.visible
                )

    async def add_room(self, room: CommunityRoom) -> None:
        """Make a room while the server runs; one that is there already stays as it is."""
        with self._store.transaction():
            self._make_room(room)

    def _make_room(self, given: CommunityRoom) -> None:
        if self._store.find_room(given.token) is not None:
            return
        self._store.execute(
            "INSERT INTO community_rooms (token, name, description, created, read, accessible, write, upload) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            given.token,
            given.name or given.token,
            given.description,
            self._store.clock(),
            given.read,
            given.accessible,
            given.write,
            given.upload,
        )
        room = self._store.find_room(given.token)
        for appointed in given.moderators:
            user = self._people.named(appointed.account_id)
            self._people.appoint(user, room, moderator=True, admin=appointed.admin or None, visible=appointed.visible)

    # Requests.

    async def handle(self, request: Request) -> Reply:
        """Answer a request."""
        request = replace(request, method=request.method.upper())
        self._do_the_due()
        user, refusal = None, None
        with self._store.transaction():
            try:
                user = self._auth.caller(request)
            except Refused as refused:
                # What a refused request has used up stays so.
                refusal = refused.reply
        return self._answer(request, user, 0) if refusal is None else refusal

    def failed(self) -> Reply:
        """The answer when the disk or the database fails."""
        return page(500)

    def _answer(self, request: Request, user: User | None, depth: int) -> Reply:
        """Answer a request, or one of a batch, by whoever was found to ask."""
        path = request.target.partition("?")[0]
        try:
            path = unquote(path, errors="strict")
        except UnicodeDecodeError:
            return page(404)
        if path in ("/batch", "/sequence"):
            return self._answer_several(request, path, user, depth)
        allowed: list[str] = []
        for candidate in self._endpoints:
            match = candidate.pattern.fullmatch(path)
            if match is None:
                continue
            allowed.append(candidate.method)
            if candidate.method == ("GET" if request.method == "HEAD" else request.method):
                call = Call(
                    request.method,
                    match.groups(),
                    query_of(request.target),
                    without_authentication(request.headers),
                    request.body,
                    user,
                )
                return self._called(candidate, call, depth)
        if not allowed:
            return page(404)
        return _not_allowed(request, allowed)

    def _called(self, chosen: Endpoint, call: Call, depth: int) -> Reply:
        name = f"{chosen.method} {chosen.name}"
        reply = self._conduct.instead_of(name, outermost=depth == 0) if self._conduct.faulty else None
        if reply is None:
            try:
                with self._store.transaction():
                    reply = chosen.answer(call)
            except Refused as refused:
                reply = refused.reply
            if self._conduct.faulty:
                reply = self._conduct.spoilt(name, reply, outermost=depth == 0)
        return replace(reply, route=chosen.name)

    def _answer_several(self, request: Request, path: str, user: User | None, depth: int) -> Reply:
        if request.method != "POST":
            return _not_allowed(request, ["POST"])
        name = f"POST {path}"
        if self._conduct.faulty and (refusal := self._conduct.instead_of(name, outermost=depth == 0)) is not None:
            return replace(refusal, route=path)
        call = Call("POST", (), {}, request.headers, request.body, user)
        answers, names = [], []
        try:
            if depth == _MAX_NESTING:
                raise Refused(page(500))
            for part in parse_parts(call):
                reply = self._answer(part, user, depth + 1)
                names += [f"{part.method} {reply.route}", *reply.parts] if reply.route else []
                answers.append(UNREADABLE if _is_unreadable(part) else part_of_answer(reply))
                if path == "/sequence" and not 200 <= reply.status <= 299:
                    break
        except Refused as refused:
            return replace(refused.reply, route=path)
        whole = json_reply(answers)
        if self._conduct.faulty:
            whole = self._conduct.spoilt(name, whole, outermost=depth == 0)
        return replace(whole, route=path, parts=tuple(names))

    # What belongs to no room.

    def _capabilities(self, call: Call) -> Reply:
        capabilities = [*(["blind"] if self._options.blinded else []), "reactions", "sogs"]
        required = [name for name in call.query.get("required", "").split(",") if name]
        missing = [name for name in required if name not in capabilities]
        if missing:
            return json_reply({"capabilities": capabilities, "missing": missing}, 412)
        return json_reply({"capabilities": capabilities})

    def _do_the_due(self) -> None:
        now = self._store.clock()
        if now < self._next_job:
            return
        self._next_job = now + _JOB_SECONDS
        with self._store.transaction():
            self._people.carry_out_the_due(self._store.rooms())
            self._files.sweep()
            self._inbox.sweep()
            self._auth.forget_old_nonces()
            self._store.execute(
                "UPDATE community_rooms SET active_users = "
                "(SELECT count(*) FROM community_activity a WHERE a.room = community_rooms.id AND a.at > ?)",
                now - ACTIVE_SECONDS,
            )


def _is_unreadable(request: Request) -> bool:
    try:
        unquote(request.target.partition("?")[0], errors="strict")
    except UnicodeDecodeError:
        return True
    return False


def _not_allowed(request: Request, methods: Sequence[str]) -> Reply:
    allowed = [*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])]
    if request.method == "OPTIONS":
        return Reply(200, {"content-type": HTML, "allow": ", ".join(allowed)})
    return page(405, allow=", ".join(allowed))
