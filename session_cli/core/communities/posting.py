"""What we write to a room, or to somebody known by a blinded id alone: it goes straight to the server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ...errors import ServiceRefused, Unconfirmed
from ...network.clock import Deadline
from ...network.community import Question
from ...protocol.blinding import parse_blinded_id
from ...protocol.community import endpoints
from ...protocol.community.inbox import seal_direct_message
from ...protocol.community.posts import make_post
from ...protocol.community.urls import CommunityServer
from ...protocol.storage_rpc import MessageHash, StoreResult
from ...store.records import DeliveryRow
from ..profile import Profile
from .servers import CommunityServers

if TYPE_CHECKING:
    from ...network.network import Network


class CommunityPoster:
    """Brings what one profile writes to servers."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._store = profile.store
        self._network = network
        self._servers = CommunityServers(profile, network)

    def storing(self, delivery: DeliveryRow, deadline: Deadline, *, lane: int) -> Callable[[], StoreResult]:
        """What brings a serialised content to its server when it is called, in any thread.

        Its result names the message as the server does, and has the server's time in place of an expiry. It raises
        ServiceRefused, also where it can't be known whether the server has got it, and NetworkError.
        """
        is_room = delivery.account.startswith("http")
        if is_room:
            room = self._store.communities.room(delivery.account)
            base_url = room.base_url if room is not None else None
        else:
            room, base_url = None, self._store.communities.server_of(delivery.account)
        server = self._store.communities.server(base_url) if base_url is not None else None
        if server is None or (is_room and room is None):
            return partial(_refuse, "You are not in this community any more.")
        me, place = self._servers.identity(server), CommunityServer(server.base_url, server.server_key)
        client = self._network().communities

        def post() -> StoreResult:
            try:
                if room is not None:
                    request = endpoints.post(room.token, make_post(me, delivery.data))
                    sent = client.ask(Question(place, request, me), deadline, lane=lane)
                    return _stored(str(sent.id), sent.posted_ms)
                recipient = parse_blinded_id(delivery.account)
                sealed = seal_direct_message(me, recipient, delivery.data)
                done = client.ask(Question(place, endpoints.send_direct(recipient, sealed), me), deadline, lane=lane)
            except Unconfirmed as error:
                # It must not be tried again: nothing would keep it from standing there twice.
                raise ServiceRefused(error.message) from None
            return _stored(f"{place.base_url} {done.id}", done.posted_ms)

        return post


def _stored(name: str, posted_ms: int) -> StoreResult:
    """A server's answer in the form of that of a swarm."""
    return StoreResult(frozenset({"server"}), {}, 1, MessageHash(name), posted_ms)


def _refuse(what: str) -> StoreResult:
    raise ServiceRefused(what)
