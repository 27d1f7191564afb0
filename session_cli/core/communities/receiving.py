"""Polling communities: each server is asked once for all of its rooms, all servers at the same time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...errors import AnswerTooLarge, Banned, NoPermission, NotFound, RequestTimeout, SessionError
from ...network.clock import Deadline
from ...network.community import LARGEST_ANSWER_BYTES, MAX_ANSWER_BYTES, MOST_SERVERS_AT_ONCE
from ...protocol.community.auth import Capabilities, ServerIdentity
from ...protocol.community.endpoints import DEFAULT_LIMIT
from ...protocol.community.inbox import DirectMessages
from ...protocol.community.poll import DirectCursor, RoomCursor, RoomPoll, ServerPoll, poll
from ...protocol.community.posts import Page, Post
from ...protocol.community.requests import CommunityRequest
from ...protocol.community.rooms import PollInfo
from ...store.communities import CLOSED, GONE, RoomRow, ServerRow
from ..profile import Profile
from ..receiving import PollResult
from .intake import CommunityIntake
from .rooms import role_of, with_poll
from .servers import SMALLER, CommunityServers
from .views import CommunityViews

if TYPE_CHECKING:
    from ...network.network import Network

LOG = logging.getLogger(__name__)
MAX_ROUNDS = 40
"""Pages of one room in one poll; the next poll goes on."""
PATIENCE_S = 20.0
"""How long servers may take in one poll, all of them together."""
AFRESH_EVERY = 20
"""Of so many polls one asks for all direct messages, and for all that there is to know of rooms: servers that lost what
they had count from the beginning again."""
FAILURES_UNTIL_SAID = 3
_COUNT = "community_polls"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one request is about: rooms of a server, and direct messages there; up to `limit` entries of each."""

    server: ServerRow
    rooms: tuple[RoomRow, ...]
    direct: bool = True
    limit: int = DEFAULT_LIMIT

    @property
    def most_bytes(self) -> int:
        """How large the answer may be. No single post is as large as what is taken where nothing less can be asked."""
        return MAX_ANSWER_BYTES if self.limit > 1 else LARGEST_ANSWER_BYTES

    def smaller(self) -> list[_Asked]:
        """The same in requests whose answers are smaller; none if there are no smaller ones."""
        if self.limit > 1:
            return [replace(self, limit=max(1, self.limit // SMALLER))]
        apart = [replace(self, rooms=(room,), direct=False) for room in self.rooms]
        if self.direct:
            apart.append(replace(self, rooms=()))
        return apart if len(apart) > 1 else []


class CommunityReceiver:
    """Polls the communities of one profile."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._store = profile.store
        self._network = network
        self._servers = CommunityServers(profile, network)
        self._views = CommunityViews(profile.store)
        self._intake = CommunityIntake(profile)

    def poll(self, deadline: Deadline, base_urls: Collection[str] | None = None) -> PollResult:
        """Fetch what is new on all servers, but for those that failed a short while ago; or on some, these included.

        What keeps one from being polled is noted with it, and said once. Raises StoreError.
        """
        servers, resting = self._store.communities.servers(), tuple[str, ...]()
        if base_urls is not None:
            servers = [server for server in servers if server.base_url in base_urls]
        else:
            resting = tuple(server.base_url for server in servers if self._servers.is_resting(server))
            servers = [server for server in servers if server.base_url not in resting]
        result, afresh = PollResult(resting=resting), base_urls is None and self._is_turn()
        # Whatever servers do with our time, the next poll shall come.
        deadline = deadline.within(PATIENCE_S)
        waiting = [_Asked(server, self._rooms(server.base_url)) for server in servers]
        answered: set[str] = set()
        failed: dict[str, SessionError] = {}
        for number in range(MAX_ROUNDS):
            questions = [
                (one.server, self._question(one, afresh=afresh and not number), one.most_bytes) for one in waiting
            ]
            # Who gets too little time, or has to wait for others, has not failed.
            in_time = (deadline.left() or 0) >= PATIENCE_S / 2 and len(waiting) <= MOST_SERVERS_AT_ONCE
            answers = self._servers.ask_all(questions, deadline)
            again: list[_Asked] = []
            for one, answer in zip(waiting, answers, strict=True):
                base_url = one.server.base_url
                if isinstance(answer, AnswerTooLarge) and (parts := one.smaller()):
                    again += parts
                elif isinstance(answer, RequestTimeout) and (base_url in answered or not in_time):
                    LOG.info("community server %s: there was no time for it", base_url)
                elif isinstance(answer, SessionError):
                    failed[base_url] = answer
                else:
                    answered.add(base_url)
                    with self._store.transaction():
                        result += self._take(one, answer)
                    again += self._left(one, answer)
            waiting = again
            if not waiting:
                break
        for base_url, error in failed.items():
            result += self._note_failure(base_url, error)
        with self._store.quick_transaction():
            for base_url in answered - failed.keys():
                self._store.communities.note_success(base_url)
        return result

    def _is_turn(self) -> bool:
        count = int(self._store.settings.get(_COUNT) or 0)
        with self._store.quick_transaction():
            self._store.settings.set(_COUNT, count + 1)
        return count % AFRESH_EVERY == 0

    def _rooms(self, base_url: str, tokens: Collection[str] | None = None) -> tuple[RoomRow, ...]:
        rooms = self._store.communities.rooms(base_url)
        return tuple(room for room in rooms if tokens is None or room.token in tokens)

    def _question(self, asked: _Asked, *, afresh: bool) -> CommunityRequest[ServerPoll]:
        cursors = [RoomCursor(room.token, 0 if afresh else room.info_updates, room.seqno) for room in asked.rooms]
        server = asked.server
        inbox, outbox = (DirectCursor(None if afresh else last) for last in (server.inbox_id, server.outbox_id))
        # Who wants no messages from there may still have written some.
        wanted = asked.direct and self._store.settings.get("community_requests") != 0
        return poll(
            cursors,
            inbox=inbox if wanted else None,
            outbox=outbox if asked.direct else None,
            limit=asked.limit,
        )

    def _left(self, asked: _Asked, answer: ServerPoll) -> list[_Asked]:
        """What is to be asked at once, because there is more."""
        tokens = {part.room for part in answer.rooms if isinstance(part.page, Page) and part.page.more}
        direct = any(isinstance(part, DirectMessages) and part.more for part in (answer.inbox, answer.outbox))
        server = self._store.communities.server(asked.server.base_url)
        if server is None or not answer.more:
            return []
        return [replace(asked, server=server, rooms=self._rooms(server.base_url, tokens), direct=direct)]

    def _note_failure(self, base_url: str, error: SessionError) -> PollResult:
        now_ms, result = self._store.now_ms(), PollResult()
        LOG.info("community server %s: %s", base_url, error.message)
        with self._store.transaction():
            failures = self._servers.note_failure(base_url, error)
            if isinstance(error, Banned):
                for room in self._rooms(base_url):
                    result += self._close(room, CLOSED, now_ms)
        if failures == FAILURES_UNTIL_SAID and not isinstance(error, Banned):
            LOG.warning("Nothing comes from the community server %s any more: %s", base_url, error.message)
        return result

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
            room = next((one for one in self._rooms(base_url) if one.token == part.room), None)
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

    def _close(self, room: RoomRow, refused: int, now_ms: int) -> PollResult:
        """Note that a room is closed to us, or gone."""
        if room.refused == refused:
            return PollResult()
        self._store.communities.put_room(replace(room, refused=refused))
        notice = {"change": "gone" if refused == GONE else "closed"}
        return PollResult(new=self._views.say(room.address, notice, now_ms))

    def _take_room(
        self, room: RoomRow, part: RoomPoll, me: ServerIdentity, now_ms: int, awaited: Collection[int]
    ) -> PollResult:
        result, changed = PollResult(), room
        if part.restarted:
            # Its numbers mean other posts now.
            self._store.swarm.forget_account(room.address)
            changed = replace(changed, seqno=None, oldest_id=None, info_updates=0, unseen=())
            self._store.communities.put_room(changed)
        refused = _refusal(part)
        if refused is not None:
            return self._close(changed, refused, now_ms)
        if isinstance(part.info, PollInfo):
            changed, count = self._take_info(changed, part.info, now_ms)
            result += PollResult(new=count)
        if isinstance(part.page, Page) and not part.restarted:
            result += self._intake.take_page(room.address, me, part.page, now_ms)
            changed = replace(changed, seqno=part.page.newest_seqno or changed.seqno or 0)
            unseen = set(changed.unseen) - {entry.id for entry in part.page.entries}
            if not part.page.more:
                # What came to be and was deleted between two polls, a server never speaks of.
                gone = unseen & set(awaited)
                result += self._intake.take_deletions(room.address, sorted(gone), now_ms)
                unseen -= gone
            changed = replace(changed, unseen=tuple(sorted(unseen)))
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
            count += self._views.say(room.address, {"change": "opened"}, now_ms)
        if told.get("name") and told["name"] != known.get("name"):
            if known.get("name"):
                count += self._views.say(room.address, {"change": "renamed", "name": told["name"]}, now_ms + count)
            self._views.name(room.address, told["name"])
        if known and any(known.get(right) != told[right] for right in ("write", "upload", "moderator", "admin")):
            rights = {right: told[right] for right in ("write", "upload")}
            notice = {"change": "rights", **rights, "role": role_of(told)}
            count += self._views.say(room.address, notice, now_ms + count)
        updates = info.details.info_updates if info.details is not None else room.info_updates
        return replace(room, info=told, info_updates=updates, refused=0), count


def _refusal(part: RoomPoll) -> int | None:
    """Whether a room is closed to us, or gone; None where it is neither, or that can't be told."""
    if isinstance(part.info, NotFound):
        return GONE
    return CLOSED if isinstance(part.info, NoPermission) else None
