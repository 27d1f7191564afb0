"""Polling communities: each server is asked once for all of its rooms, all servers at the same time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...errors import NoPermission, NotFound, SessionError
from ...network.clock import Deadline
from ...protocol.community.auth import Capabilities, ServerIdentity
from ...protocol.community.inbox import DirectMessages
from ...protocol.community.poll import DirectCursor, RoomCursor, RoomPoll, ServerPoll, poll
from ...protocol.community.posts import Page, Post
from ...protocol.community.requests import CommunityRequest
from ...protocol.community.rooms import PollInfo
from ...store.communities import CLOSED, GONE, RoomRow, ServerRow
from ..profile import Profile
from ..receiving import PollResult
from .intake import CommunityIntake
from .rooms import with_poll
from .servers import CommunityServers
from .views import CommunityViews

if TYPE_CHECKING:
    from ...network.network import Network

LOG = logging.getLogger(__name__)
MAX_ROUNDS = 40
"""Pages of one room in one poll; the next poll goes on."""
PATIENCE_S = 20.0
"""How long servers may take for one page."""
DIRECT_AFRESH_EVERY = 20
"""Of so many polls one asks for all direct messages: after a deletion some servers give out numbers again."""
_COUNT = "community_polls"


@dataclass(frozen=True, slots=True)
class _Asked:
    server: ServerRow
    rooms: tuple[RoomRow, ...]


class CommunityReceiver:
    """Polls the communities of one profile."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._store = profile.store
        self._network = network
        self._servers = CommunityServers(profile, network)
        self._views = CommunityViews(profile.store)
        self._intake = CommunityIntake(profile)

    def poll(self, deadline: Deadline, base_urls: Collection[str] | None = None) -> PollResult:
        """Fetch what is new on all servers, or some; what keeps one from being polled is logged. Raises StoreError."""
        servers = [
            server for server in self._store.communities.servers() if base_urls is None or server.base_url in base_urls
        ]
        result = PollResult()
        afresh = self._is_turn()
        for number in range(MAX_ROUNDS):
            asked = [_Asked(server, tuple(self._store.communities.rooms(server.base_url))) for server in servers]
            questions = [(one.server, self._question(one, afresh=afresh and not number)) for one in asked]
            # Whatever a server does with our time, what others have for us shall come.
            answers = self._servers.ask_all(questions, deadline.within(PATIENCE_S))
            servers = []
            for one, answer in zip(asked, answers, strict=True):
                if isinstance(answer, SessionError):
                    LOG.info("community server %s: %s", one.server.base_url, answer.message)
                    continue
                with self._store.transaction():
                    result += self._take(one, answer)
                if answer.more:
                    server = self._store.communities.server(one.server.base_url)
                    servers += [server] if server is not None else []
            if not servers:
                break
        return result

    def _is_turn(self) -> bool:
        count = int(self._store.settings.get(_COUNT) or 0)
        with self._store.quick_transaction():
            self._store.settings.set(_COUNT, count + 1)
        return count % DIRECT_AFRESH_EVERY == 0

    def _question(self, asked: _Asked, *, afresh: bool) -> CommunityRequest[ServerPoll]:
        cursors = [RoomCursor(room.token, room.info_updates, room.seqno) for room in asked.rooms]
        server = asked.server
        return poll(
            cursors,
            inbox=DirectCursor(None if afresh else server.inbox_id),
            outbox=DirectCursor(None if afresh else server.outbox_id),
        )

    def _take(self, asked: _Asked, answer: ServerPoll) -> PollResult:
        base_url = asked.server.base_url
        awaited = {room.token: room.unseen for room in asked.rooms}
        server = self._store.communities.server(base_url)
        if server is None:
            return PollResult()
        if isinstance(answer.capabilities, Capabilities):
            server = replace(server, capabilities=answer.capabilities.names)
        me, now_ms, result = self._servers.identity(server), self._network().clock.now_ms(), PollResult()
        for part in answer.rooms:
            room = next((one for one in self._store.communities.rooms(base_url) if one.token == part.room), None)
            if room is not None:
                result += self._take_room(room, part, me, now_ms, awaited.get(part.room, ()))
        for direct in (answer.inbox, answer.outbox):
            if isinstance(direct, DirectMessages):
                result += self._intake.take_direct(server, me, direct, now_ms)
        if isinstance(answer.inbox, DirectMessages):
            server = replace(server, inbox_id=answer.inbox.newest_id or server.inbox_id)
        if isinstance(answer.outbox, DirectMessages):
            server = replace(server, outbox_id=answer.outbox.newest_id or server.outbox_id)
        self._store.communities.put_server(server)
        return result

    def _take_room(
        self, room: RoomRow, part: RoomPoll, me: ServerIdentity, now_ms: int, awaited: Collection[int]
    ) -> PollResult:
        result, changed = PollResult(), room
        if part.restarted:
            # Its numbers mean other posts now.
            self._store.swarm.forget_account(room.address)
            changed = replace(changed, seqno=None, oldest_id=None, info_updates=0)
        refused = _refusal(part)
        if refused is not None and refused != room.refused:
            self._views.say(room.address, {"change": "gone" if refused == GONE else "closed"}, now_ms)
            result += PollResult(new=1)
        if refused is not None:
            self._store.communities.put_room(replace(changed, refused=refused))
            return result
        if isinstance(part.info, PollInfo):
            changed, count = self._take_info(changed, part.info, now_ms)
            result += PollResult(new=count)
        if isinstance(part.page, Page) and not part.restarted:
            result += self._intake.take_page(room.address, me, part.page, now_ms)
            changed = replace(changed, seqno=part.page.newest_seqno or changed.seqno or 0)
            if not part.page.more:
                # What came to be and was deleted between two polls, a server never speaks of.
                gone = set(awaited) - {entry.id for entry in part.page.entries}
                result += self._intake.take_deletions(room.address, sorted(gone), now_ms)
                changed = replace(changed, unseen=tuple(one for one in changed.unseen if one not in awaited))
            posts = [entry.id for entry in part.page.entries if isinstance(entry, Post)]
            if posts:
                changed = replace(changed, oldest_id=min(*posts, changed.oldest_id or posts[0]))
        if changed != room:
            self._store.communities.put_room(changed)
        return result

    def _take_info(self, room: RoomRow, info: PollInfo, now_ms: int) -> tuple[RoomRow, int]:
        """What the server says of a room, and how many notices that makes."""
        known, told, count = room.info, with_poll(room.info, info), 0
        if room.refused:
            self._views.say(room.address, {"change": "opened"}, now_ms)
            count += 1
        if told.get("name") and told["name"] != known.get("name"):
            if known.get("name"):
                self._views.say(room.address, {"change": "renamed", "name": told["name"]}, now_ms)
                count += 1
            self._views.name(room.address, told["name"])
        if known and any(known.get(right) != told[right] for right in ("write", "upload")):
            notice = {"change": "rights", "write": told["write"], "upload": told["upload"]}
            self._views.say(room.address, notice, now_ms + count)
            count += 1
        updates = info.details.info_updates if info.details is not None else room.info_updates
        return replace(room, info=told, info_updates=updates, refused=0), count


def _refusal(part: RoomPoll) -> int | None:
    """Whether a room is closed to us, or gone; None where it is neither, or that can't be told."""
    if isinstance(part.info, NotFound):
        return GONE
    return CLOSED if isinstance(part.info, NoPermission) else None
