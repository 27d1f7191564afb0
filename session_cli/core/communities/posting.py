"""What we write to a room, or to somebody known by a blinded id alone: it goes straight to the server.

Nothing would keep a server from showing twice what it is given twice. So what it may have got already is looked for
there before it is given once more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeVar

from ...errors import (
    NetworkError,
    ProtocolError,
    RateLimited,
    ServerFailed,
    ServiceRefused,
    SessionError,
    Unconfirmed,
)
from ...network.clock import Deadline
from ...network.community import Question
from ...protocol import content as contents
from ...protocol.account import is_community
from ...protocol.blinding import BlindedId, parse_blinded_id
from ...protocol.community import endpoints
from ...protocol.community.auth import ServerIdentity
from ...protocol.community.inbox import MOST_MESSAGES, DirectMessages, open_direct_message, seal_direct_message
from ...protocol.community.posts import Post, SignedPost, make_post
from ...protocol.community.requests import CommunityRequest
from ...protocol.community.urls import CommunityServer
from ...protocol.payload import VisibleMessage
from ...protocol.storage_rpc import MessageHash, StoreResult
from ...store.communities import RoomRow, ServerRow
from ...store.records import DeliveryRow
from ..profile import Profile
from .servers import PAGES, Ask, CommunityServers, explained, pages_since, why_not_written

if TYPE_CHECKING:
    from ...network.network import Network

LOG = logging.getLogger(__name__)
ON_ITS_WAY_MS = 30_000
"""How long a request to which there was no answer may still arrive."""
WAITS_S = (2.0, 4.0, 6.0, 8.0)
"""How long is waited for a server to take a message that it does not take yet. Most take five in sixteen seconds."""
T = TypeVar("T")


class CommunityPoster:
    """Brings what one profile writes to servers."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._store = profile.store
        self._network = network
        self._servers = CommunityServers(profile, network)

    def resting(self, address: str) -> NetworkError | None:
        """Why the server of a room or a blinded id is not worth asking now; None: it is."""
        server = self._server_of(address)
        if server is None or not self._servers.is_resting(server):
            return None
        return ServerFailed(server.problem or "The community server has failed a short while ago.")

    def note_failure(self, address: str, error: NetworkError) -> None:
        """Note that the server of a room or a blinded id took nothing."""
        server = self._server_of(address)
        if server is not None:
            with self._store.transaction():
                self._servers.note_failure(server.base_url, error)

    def note_success(self, address: str) -> None:
        """Note that the server of a room or a blinded id took something. To be called inside a transaction."""
        server = self._server_of(address)
        if server is not None:
            self._store.communities.note_success(server.base_url)

    def _server_of(self, address: str) -> ServerRow | None:
        communities = self._store.communities
        room = communities.room(address)
        base_url = room.base_url if room is not None else communities.server_of(address)
        return communities.server(base_url) if base_url is not None else None

    def storing(self, delivery: DeliveryRow, deadline: Deadline, *, lane: int) -> Callable[[], StoreResult]:
        """What brings a serialised content to its server when it is called, in any thread.

        Its result names the message as the server does, and has the server's time in place of an expiry. It raises
        ServiceRefused and NetworkError; Unconfirmed where the server may have got it all the same.
        """
        found = self._posting(delivery, deadline, lane)
        if found is None:
            return partial(_refuse, "You are not in this community any more.")
        now_ms = time.time_ns() // 1_000_000
        on_its_way = 0 <= now_ms - delivery.tried_ms < ON_ITS_WAY_MS
        if not on_its_way:
            with self._store.quick_transaction():
                self._store.deliveries.note_tried(delivery, now_ms)
        return partial(_give, *found, deadline, tried=delivery.tried_ms > 0, on_its_way=on_its_way)

    def finding(self, delivery: DeliveryRow, deadline: Deadline) -> Callable[[], StoreResult | None]:
        """What looks, when it is called, whether the server has got it already; None: it has not.

        It raises what `storing` says.
        """
        found = self._posting(delivery, deadline, 0)
        if found is None:
            return partial(_refuse, "You are not in this community any more.")
        post, ask = found
        return partial(post.find, ask)

    def _posting(
        self, delivery: DeliveryRow, deadline: Deadline, lane: int
    ) -> tuple[_RoomPost | _DirectPost, Ask] | None:
        room, server = self._store.communities.room(delivery.account), self._server_of(delivery.account)
        if server is None or (is_community(delivery.account) and room is None):
            return None
        me, client = self._servers.identity(server), self._network().communities
        place = CommunityServer(server.base_url, server.server_key)

        def ask(request: CommunityRequest[T]) -> T:
            return client.ask(Question(place, request, me), deadline, lane=lane)

        if room is not None:
            return _RoomPost(room, me, make_post(me, delivery.data), _files_of(delivery.data)), ask
        return _DirectPost(server, me, parse_blinded_id(delivery.account), delivery.data), ask


def _give(post: _RoomPost | _DirectPost, ask: Ask, deadline: Deadline, *, tried: bool, on_its_way: bool) -> StoreResult:
    found = post.find(ask) if tried else None
    if found is not None:
        return found
    if on_its_way:
        raise Unconfirmed("The community server was given the message a moment ago, and does not show it yet.")
    try:
        return _send_in_turn(post, ask, deadline)
    except Unconfirmed:
        # Mostly only the answer was lost.
        with suppress(SessionError):
            found = post.find(ask)
        if found is None:
            raise
        return found


def _send_in_turn(post: _RoomPost | _DirectPost, ask: Ask, deadline: Deadline) -> StoreResult:
    """Give a message to a server, which takes but a few at a time from one person."""
    for pause_s in WAITS_S:
        try:
            return post.send(ask)
        except RateLimited:
            if pause_s == WAITS_S[0]:
                LOG.warning("The community server takes but a few messages at a time: waiting.")
            time.sleep(deadline.limit(pause_s))
    return post.send(ask)


@dataclass(frozen=True, slots=True)
class _RoomPost:
    room: RoomRow
    me: ServerIdentity
    signed: SignedPost
    files: tuple[int, ...]

    def send(self, ask: Ask) -> StoreResult:
        with explained(why_not_written(self.room)):
            sent = ask(endpoints.post(self.room.token, self.signed, files=self.files))
        if sent.filtered:
            raise ServiceRefused("The community server's filter has swallowed the message: nobody sees it.")
        return _stored(str(sent.id), sent.posted_ms)

    def find(self, ask: Ask) -> StoreResult | None:
        for page in pages_since(ask, self.room):
            for one in page.entries:
                if isinstance(one, Post) and one.author in self.me.own_ids and one.data == self.signed.data:
                    return _stored(str(one.id), one.posted_ms)
        return None


@dataclass(frozen=True, slots=True)
class _DirectPost:
    server: ServerRow
    me: ServerIdentity
    recipient: BlindedId
    serialized: bytes

    def send(self, ask: Ask) -> StoreResult:
        sealed = seal_direct_message(self.me, self.recipient, self.serialized)
        sent = ask(endpoints.send_direct(self.recipient, sealed))
        return self._stored(sent.id, sent.posted_ms)

    def find(self, ask: Ask) -> StoreResult | None:
        last = self.server.outbox_id
        for _ in range(PAGES):
            page: DirectMessages = ask(endpoints.outbox(last, limit=MOST_MESSAGES))
            for one in page.messages:
                with suppress(ProtocolError):
                    if open_direct_message(self.me, one).serialized == self.serialized:
                        return self._stored(one.id, one.posted_ms)
            if not page.more or page.newest_id is None:
                break
            last = page.newest_id
        return None

    def _stored(self, number: int, posted_ms: int) -> StoreResult:
        return _stored(f"{self.server.base_url} {number}", posted_ms)


def _files_of(serialized: bytes) -> tuple[int, ...]:
    """The numbers of the files in a message to a room: the server keeps for longer what posts are about."""
    payload = contents.parse(serialized).payload
    pointers = payload.attachments if isinstance(payload, VisibleMessage) else ()
    return tuple(pointer.server_id for pointer in pointers if not pointer.key)


def _stored(name: str, posted_ms: int) -> StoreResult:
    """A server's answer in the form of that of a swarm."""
    return StoreResult(frozenset({"server"}), {}, 1, MessageHash(name), posted_ms)


def _refuse(what: str) -> NoReturn:
    raise ServiceRefused(what)
