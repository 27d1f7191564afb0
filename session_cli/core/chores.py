"""What our own swarm is told of messages that it holds, and what it tells of them in return.

It is told to delete what was deleted, and to keep what was read for no longer than it will be here; our other devices
learn from that. In the same way it is learnt what they have read.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..errors import NetworkError, ProtocolError, ServiceRefused, SessionError
from ..network.clock import Deadline
from ..protocol.storage_rpc import MAX_BATCH, MessageHash, Namespace
from ..protocol.storage_upkeep import MOST_HASHES, ExpireResult
from .profile import Profile

if TYPE_CHECKING:
    from ..network.network import Network

LOG = logging.getLogger(__name__)
T = TypeVar("T")
IN_PASSING_S = 20.0
"""How long another command takes at the most for it."""
REST_S = 60.0
"""How long nothing is tried after a failure."""
LEARN_EVERY_MS = 2 * 60_000
_ASKED = "expiries_asked_ms"
_LATER_MS = 30 * 86_400_000
_SHORTENED_MS = 1_000
"""A message that is kept for so much less time than it was at first has been shortened."""


class SwarmChores:
    """Talks to the swarm of one profile about messages in it."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._identity = profile.identity
        self._store = profile.store
        self._network = network
        self._rests_until = 0.0

    def run(self, deadline: Deadline) -> None:
        """Tell our swarm what it has still to be told.

        Failures wait for the next run; what is refused for good is done.
        """
        if self._store.chores.any():
            self._try(self._tell, deadline)

    def learn(self, deadline: Deadline) -> None:
        """Find out now and then which of the messages that wait for their reader another device of ours has read."""
        now_ms = self._store.now_ms()
        asked_ms = int(self._store.settings.get(_ASKED) or 0)
        if asked_ms <= now_ms < asked_ms + LEARN_EVERY_MS or not self._store.timers.waiting(now_ms, 1):
            return
        self._try(self._learn, deadline)

    def _try(self, work: Callable[[Deadline], None], deadline: Deadline) -> None:
        if time.monotonic() < self._rests_until:
            return
        try:
            work(deadline.within(IN_PASSING_S))
        except (NetworkError, ServiceRefused) as error:
            LOG.info("our swarm is told later what to do with messages: %s", error.message)
            self._rests_until = time.monotonic() + REST_S

    # Telling.

    def _tell(self, deadline: Deadline) -> None:
        network = self._network()
        network.prepare(deadline)
        now_ms = network.clock.now_ms()
        groups: list[tuple[int, list[str]]] = []
        for some in _portions(self._store.chores.deletions(), MOST_HASHES):
            self._delete(some, None, deadline)
        for expires_ms, hashes in self._store.chores.shortenings().items():
            for some in _portions(hashes, MOST_HASHES):
                if expires_ms <= now_ms:
                    # Nobody has told it in time.
                    self._delete(some, expires_ms, deadline)
                else:
                    groups.append((expires_ms, list(some)))
        for batch in _portions(groups, MAX_BATCH):
            self._shorten(batch, deadline)

    def _delete(self, hashes: Sequence[str], expires_ms: int | None, deadline: Deadline) -> None:
        try:
            self._network().swarm.delete(self._identity, _hashes(hashes), deadline)
        except ServiceRefused as error:
            LOG.warning("Our swarm does not delete messages: %s", error.message)
        with self._store.transaction():
            self._store.chores.done(hashes, expires_ms)

    def _shorten(self, groups: Sequence[tuple[int, list[str]]], deadline: Deadline) -> None:
        shortenings = [(expires_ms, _hashes(hashes)) for expires_ms, hashes in groups]
        outcomes: list[ExpireResult | SessionError]
        try:
            outcomes = self._network().upkeep.expire(self._identity, shortenings, deadline)
        except ServiceRefused as error:
            outcomes = [error] * len(groups)
        problem = None
        with self._store.transaction():
            for (expires_ms, hashes), outcome in zip(groups, outcomes, strict=True):
                if isinstance(outcome, NetworkError | ProtocolError):
                    problem = outcome
                    continue
                if isinstance(outcome, ExpireResult):
                    self._end_earlier(outcome, hashes)
                else:
                    LOG.warning("Our swarm does not shorten messages: %s", outcome.message)
                self._store.chores.done(hashes, expires_ms)
        if isinstance(problem, NetworkError):
            raise problem

    def _end_earlier(self, result: ExpireResult, hashes: Iterable[str]) -> None:
        """Let messages go when our swarm drops them: at once, or when another device has told it before us."""
        for hash in hashes:
            message_id = self._store.swarm.message_of(self._identity.account_id, Namespace.MESSAGES, hash)
            dropped_ms = result.dropped_ms(hash)
            if message_id is not None and dropped_ms is not None:
                self._store.timers.end_earlier(message_id, dropped_ms)

    # Learning.

    def _learn(self, deadline: Deadline) -> None:
        network = self._network()
        network.prepare(deadline)
        now_ms = network.clock.now_ms()
        waiting = {row.hash: row for row in self._store.timers.waiting(now_ms, MOST_HASHES)}
        hints = network.upkeep.get_expiries(self._identity, _hashes(waiting), deadline)
        with self._store.transaction():
            self._store.settings.set(_ASKED, now_ms)
        read = [
            hash
            for hash, expires_ms in hints.items()
            if expires_ms <= min(waiting[hash].kept_ms - _SHORTENED_MS, now_ms + 1000 * waiting[hash].seconds)
        ]
        if not read:
            return
        # One member alone could make messages disappear unread. This asks the others, and changes nothing.
        (outcome,) = network.upkeep.expire(self._identity, [(now_ms + _LATER_MS, _hashes(read))], deadline)
        if not isinstance(outcome, ExpireResult):
            raise outcome
        with self._store.transaction():
            for row in map(waiting.__getitem__, read):
                dropped_ms = outcome.dropped_ms(row.hash)
                if dropped_ms and dropped_ms <= row.kept_ms - _SHORTENED_MS:
                    self._store.timers.end_earlier(row.message_id, min(dropped_ms, now_ms + 1000 * row.seconds))
                    # Not up to a time far off that its sender made up: what comes later would be read, too.
                    self._store.conversations.mark_read(row.conversation, min(row.sent_ms, now_ms))


def _hashes(hashes: Iterable[str]) -> list[MessageHash]:
    return [MessageHash(hash) for hash in hashes]


def _portions(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
