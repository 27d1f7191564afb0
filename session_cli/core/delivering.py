"""Bringing sealed bytes to where they belong, swarms and community servers, and noting what has arrived there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ..errors import NetworkError, NodeFailed, ServiceRefused, SessionError
from ..network.clock import Deadline
from ..network.parallel import run_parallel
from ..protocol.account import is_blinded, is_community, is_group
from ..protocol.storage_rpc import MessageHash, StoreResult, SwarmAccount
from ..store.records import DeliveryRow
from .effects import Effects
from .places import place_in_swarm
from .profile import Profile

if TYPE_CHECKING:
    from ..network.network import Network
    from .communities.posting import CommunityPoster

LOG = logging.getLogger(__name__)
ATTEMPT_S = 120.0
"""How long one attempt to store what is no message takes at the most."""


class Carrier:
    """Carries what one profile sends over one network."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._profile = profile
        self._identity = profile.identity
        self._store = profile.store
        self._network = network
        self._effects = Effects(profile.store, profile.identity.account_id)

    def deliver(
        self, deliveries: list[DeliveryRow], deadline: Deadline, *, dated_ms: int | None = None
    ) -> list[StoreResult | SessionError]:
        """Bring them there, all at the same time; returns in their order what became of each.

        `dated_ms`: the time of what they say, for a swarm that takes nothing from the future.
        """
        if not deliveries:
            return []
        return run_parallel(
            [
                self._storing(delivery, deadline, lane=lane, dated_ms=dated_ms)
                for lane, delivery in enumerate(deliveries)
            ]
        )

    def attempt(
        self, deliveries: list[DeliveryRow], deadline: Deadline, *, dated_ms: int | None = None
    ) -> list[StoreResult | SessionError]:
        """The same with what others leave to us for a while, if it is noted so (`Deliveries.hold`)."""
        try:
            return self.deliver(deliveries, deadline.within(ATTEMPT_S), dated_ms=dated_ms)
        except BaseException:
            # It may have arrived, so it has to in the end: the next run need not wait to see to that.
            with self._store.transaction():
                self._store.deliveries.hold(deliveries, now_ms())
            raise

    def _storing(
        self, delivery: DeliveryRow, deadline: Deadline, *, lane: int, dated_ms: int | None
    ) -> Callable[[], StoreResult]:
        """What brings a delivery to its swarm; the network is asked when it is called."""
        if goes_to_a_server(delivery.account):
            return self.servers.storing(delivery, deadline, lane=lane)
        to: str | SwarmAccount = delivery.account
        namespace = place_in_swarm(delivery.account, self._identity.account_id)[1]
        if is_group(delivery.account):
            from .groups.state import GroupStore

            state = GroupStore(self._store, self._identity.account_id).load(delivery.account)
            try:
                if state is None or not state.row.is_active:
                    raise ServiceRefused("You are not in this group any more.")
                if state.keys.pending is not None:
                    raise NodeFailed("The group's new key is not in its swarm yet; to bring it there: session recv")
                to = state.account(self._identity)
            except SessionError as error:
                return partial(_refuse, error)
        return partial(
            self._network().swarm.store,
            to,
            delivery.data,
            delivery.ttl_ms,
            deadline,
            namespace=namespace,
            lane=lane,
            dated_ms=dated_ms,
        )

    def settle(self, deliveries: list[DeliveryRow], outcomes: list[StoreResult | SessionError]) -> None:
        """Note which of them have arrived, or never will; the others are for a later run."""
        with self._store.transaction():
            for delivery, outcome in zip(deliveries, outcomes, strict=True):
                if isinstance(outcome, StoreResult):
                    self.note_stored(delivery, outcome)
                elif isinstance(outcome, ServiceRefused):
                    self._store.chores.add_hashes(self._store.deliveries.give_up(delivery))
                else:
                    self._store.deliveries.hold([delivery], now_ms())

    def note_stored(self, delivery: DeliveryRow, outcome: StoreResult) -> None:
        """Note that something has arrived, and do here what it does. To be called inside a transaction."""
        self._store.deliveries.finish(delivery)
        if goes_to_a_server(delivery.account):
            self._note_posted(delivery, outcome)
            return
        if delivery.effect is not None:
            self._effects.apply(delivery.effect)
        if delivery.role == "own" or is_group(delivery.account):
            seen_ms = self._network().clock.now_ms()
            expires_ms = outcome.expiration_ms or seen_ms + delivery.ttl_ms
            message_id, hash = delivery.message_id, delivery.hash
            swarm, place = self._store.swarm, place_in_swarm(delivery.account, self._identity.account_id)
            new = swarm.mark_seen(*place, hash, expires_ms, message_id=message_id, seen_ms=seen_ms)
            if not new and message_id is not None:
                # A poll of another process has met our copy before we came to note it.
                swarm.name_message(*place, hash, message_id)

    def _note_posted(self, delivery: DeliveryRow, outcome: StoreResult) -> None:
        """Note what a server has taken, and its time for it, by which others name it."""
        message_id, posted_ms = delivery.message_id, outcome.expiration_ms
        row = self._store.messages.get(message_id) if message_id is not None else None
        if message_id is None or row is None or posted_ms is None:
            return
        from .communities.intake import note_time

        self.servers.note_success(delivery.account)
        note_time(self._store, row, posted_ms)
        if is_community(delivery.account):
            communities, post_id = self._store.communities, int(outcome.hash)
            if communities.is_known(delivery.account, post_id):
                # Another process has met it in a poll before we came to note it.
                communities.note_post(delivery.account, post_id, message_id)
            else:
                communities.note_own_post(delivery.account, post_id, message_id)

    def take_back(
        self, copies: list[DeliveryRow], outcomes: list[StoreResult | SessionError], deadline: Deadline
    ) -> None:
        """Delete our own copy of a message that did not reach its recipient, so that no device shows it as sent."""
        hashes = [
            MessageHash(copy.hash)
            for copy, outcome in zip(copies, outcomes, strict=True)
            if isinstance(outcome, StoreResult)
        ]
        if hashes:
            self.delete_own_copies(hashes, deadline)

    def delete_own_copies(self, hashes: list[MessageHash], deadline: Deadline) -> None:
        """Delete copies that are in our own swarm for our other devices. Where that fails, it is said."""
        try:
            self._network().swarm.delete(self._identity, hashes, deadline)
        except (NetworkError, ServiceRefused) as error:
            LOG.warning("Not sent, but our own other devices may show it as sent: %s", error.message)

    @cached_property
    def servers(self) -> CommunityPoster:
        """What goes to community servers."""
        from .communities.posting import CommunityPoster

        return CommunityPoster(self._profile, self._network)


def goes_to_a_server(address: str) -> bool:
    """Whether what is said there goes to a community server, and to no swarm."""
    return is_community(address) or is_blinded(address)


def now_ms() -> int:
    """What all processes on this machine agree upon."""
    return time.time_ns() // 1_000_000


def _refuse(error: SessionError) -> StoreResult:
    raise error
