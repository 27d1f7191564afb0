"""Receiving: what the swarm holds for us becomes messages and events, in one transaction with the swarm's position."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import NetworkError, ServiceRefused, SessionError
from ..network.clock import Deadline
from ..network.swarm import Page, Poll
from ..protocol.account import AccountId
from ..protocol.storage_rpc import MAX_TTL_MS, OWN_NAMESPACES, Namespace, StoredMessage
from .preferences import Preferences
from .profile import Profile

if TYPE_CHECKING:
    from ..network.network import Network
    from .config_sync import ConfigSync
    from .intake import Intake

LOG = logging.getLogger(__name__)
MAX_PAGES = 200
"""Pages in one poll: more than two weeks of mail, and an end to what a member could make up."""
CONFIG_NAMESPACES = tuple(space for space in OWN_NAMESPACES if space is not Namespace.MESSAGES)
SECOND_OPINION_MS = 10 * 60 * 1000
"""How long the word of one member of our swarm is enough."""
SECOND_OPINION_S = 5.0
SECOND_OPINIONS = 3
"""How many members are tried for one, where it has to be had at once."""
MEMBERS_BELIEVED = 2
_HASH_KEPT_MS = 24 * 3600 * 1000
"""How long a hash is remembered after its message has expired, for members whose clocks or sweeps are late."""
_LONGEST_MS = MAX_TTL_MS + _HASH_KEPT_MS


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one poll brought: new events, messages of no use to anybody, messages that could not be read.

    `merged`: messages by which our other devices told what they changed. `resting`: community servers that were not
    asked, as they failed a short while ago.
    """

    new: int = 0
    ignored: int = 0
    skipped: int = 0
    merged: int = 0
    resting: tuple[str, ...] = ()

    def __add__(self, other: PollResult) -> PollResult:
        return PollResult(
            self.new + other.new,
            self.ignored + other.ignored,
            self.skipped + other.skipped,
            self.merged + other.merged,
            self.resting + other.resting,
        )


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What came of asking one member, who answered last (Ed25519 hex), and whether all configs that it has came."""

    result: PollResult
    node: str
    complete: bool


class Receiver:
    """Polls one profile's swarm."""

    def __init__(self, profile: Profile, network: Callable[[], Network], preferences: Preferences) -> None:
        self._profile = profile
        self._preferences = preferences
        self._store = profile.store
        self._network = network

    def poll(self, deadline: Deadline) -> PollResult:
        """Fetch everything that is new from a member of our swarm, and now and then from a second one.

        Members pass on to each other what they store. Where they fail to, one of them alone would keep messages from us
        for as long as we ask nobody else. To be called by one process at a time. Raises NetworkError, ServiceRefused,
        StoreError.
        """
        network = self._network()
        asked = self._store.swarm.asked(self._account, Namespace.MESSAGES)
        result = PollResult()
        if not self._store.configs.polled:
            result += self._fetch_configs(deadline)
        fetched = self._poll_member(None, deadline)
        result, node = result + fetched.result, fetched.node
        now_ms = network.clock.now_ms()
        others = {member: asked.get(member, 0) for member in network.swarm.members(self._account) if member != node}
        if others and max(others.values()) < now_ms - SECOND_OPINION_MS:
            longest_unasked = min(others, key=lambda member: others[member])
            try:
                result += self._poll_member(longest_unasked, deadline.within(SECOND_OPINION_S)).result
            except (NetworkError, ServiceRefused) as error:
                LOG.info("the second member does not answer: %s", error.message)
                # Its turn is over, but the next poll shall prefer the one that did answer.
                tried_ms = now_ms - 1_000
                with self._store.transaction():
                    self._store.swarm.advance(
                        longest_unasked, self._account, Namespace.MESSAGES, last=None, now_ms=tried_ms
                    )
        return result

    def _fetch_configs(self, deadline: Deadline) -> PollResult:
        """Fetch all configs before the first message: what our other devices deleted must not come back.

        Two members are asked: where one alone says that there are none, or calls what there is newer than it is, others
        could not be told from then on what the account has. Should they not give all they have, the next poll asks
        again, and nothing is pushed until then.
        """
        with self._store.transaction():
            self._store.swarm.forget_positions(self._account, CONFIG_NAMESPACES)
        fetched = self._poll_member(None, deadline, CONFIG_NAMESPACES)
        result, complete = fetched.result, int(fetched.complete)
        others = [name for name in self._network().swarm.members(self._account) if name != fetched.node]
        for member in random.sample(others, min(SECOND_OPINIONS, len(others))):
            if complete == MEMBERS_BELIEVED:
                break
            try:
                fetched = self._poll_member(member, deadline.within(SECOND_OPINION_S), CONFIG_NAMESPACES)
            except (NetworkError, ServiceRefused) as error:
                LOG.info("a second member does not answer: %s", error.message)
                continue
            result, complete = result + fetched.result, complete + fetched.complete
        has_some = any(self._store.configs.get(space) for space in CONFIG_NAMESPACES)
        if complete == MEMBERS_BELIEVED or (complete and (has_some or not others)):
            with self._store.transaction():
                self._store.configs.note_polled()
        return result

    def _poll_member(
        self, member: str | None, deadline: Deadline, namespaces: Sequence[Namespace] = OWN_NAMESPACES
    ) -> _Fetched:
        """Fetch page by page, each stored before the next is asked for, from one member alone, or (None) the usual one.

        Should that one fail half way, another one goes on from where we stood with that other one, and what came
        already is known by its hash.
        """
        network = self._network()
        result = PollResult()
        stay = alone = member is not None
        for _ in range(MAX_PAGES):
            now_ms = network.clock.now_ms()
            state = self._store.swarm
            known = {space: state.positions(self._account, space, now_ms) for space in namespaces}
            positions = {int(space): hashes for space, (hashes, _) in known.items()}
            last_used = known[namespaces[0]][1]
            poll = Poll(self._profile.identity, positions, member or last_used, stay, alone)
            page = network.swarm.poll_one(poll, deadline)
            result += self._take_page(page, network.clock.now_ms())
            member, stay = page.node, True
            if not page.more:
                break
        refused = any(isinstance(page.parts.get(int(space)), SessionError) for space in CONFIG_NAMESPACES)
        return _Fetched(result, page.node, not (page.more or refused))

    def _new_configs(self, page: Page) -> dict[int, tuple[StoredMessage, ...]]:
        """The config messages of a page by their namespaces. One that the member refuses holds up nothing."""
        found = {}
        for space in CONFIG_NAMESPACES:
            if space not in page.parts:
                continue
            try:
                messages = page.messages(space)
            except SessionError as error:
                LOG.info("no configs of namespace %d: %s", space, error.message)
                continue
            if messages:
                found[int(space)] = messages
        return found

    def _take_configs(self, configs: dict[int, tuple[StoredMessage, ...]], now_ms: int) -> PollResult:
        swarm = self._store.swarm
        unseen: dict[int, list[StoredMessage]] = {}
        known: dict[int, list[StoredMessage]] = {}
        for space, came in configs.items():
            new = swarm.unseen(self._account, space, (one.hash for one in came))
            if new:
                unseen[space] = [one for one in came if one.hash in new]
            if len(new) < len(came):
                known[space] = [one for one in came if one.hash not in new]
        if known:
            self.configs.note_times(known)
        if not unseen:
            return PollResult()
        understood = self.configs.take(unseen, now_ms)
        for space, new_ones in unseen.items():
            for one in new_ones:
                # What was not understood stays new, for a later version of this program.
                if one.hash in understood:
                    swarm.mark_seen(self._account, space, one.hash, one.expiration_ms)
        return PollResult(merged=len(understood))

    @cached_property
    def configs(self) -> ConfigSync:
        """What our devices share. Loaded when something of it has come, or has to be told."""
        from .config_sync import ConfigSync

        return ConfigSync(self._profile, self._network)

    @cached_property
    def _intake(self) -> Intake:
        # Only for messages: a poll that brings none must not pay for loading what reads them.
        from .intake import Intake

        return Intake(self._profile, self._preferences)

    @property
    def _account(self) -> AccountId:
        return self._profile.identity.account_id

    def _take_page(self, page: Page, now_ms: int) -> PollResult:
        has_messages = Namespace.MESSAGES in page.parts
        messages = page.messages() if has_messages else ()
        result = PollResult(skipped=page.malformed() if has_messages else 0)
        configs = self._new_configs(page)
        unseen = self._store.swarm.unseen(self._account, Namespace.MESSAGES, (m.hash for m in messages))
        # Decrypting comes before the transaction, so that other processes don't wait for it.
        opened = [(stored, self._intake.open(stored)) for stored in messages if stored.hash in unseen]
        with self._store.transaction():
            if configs:
                # First: what our other devices know of people decides what becomes of their messages.
                result += self._take_configs(configs, now_ms)
            for stored, outcome in opened:
                if self._intake.is_overtaken(stored, outcome):
                    # Not for ever: another member may know of an earlier time.
                    result += PollResult(ignored=1)
                    continue
                if not self._store.swarm.mark_seen(
                    self._account, Namespace.MESSAGES, stored.hash, _kept_ms(stored, now_ms), seen_ms=now_ms
                ):
                    continue
                try:
                    with self._store.part():
                        result += self._intake.take(stored, outcome, now_ms)
                except (ArithmeticError, TypeError, ValueError) as error:
                    # Every field was checked before; should a check be missing, one message is lost and not all.
                    LOG.warning("A message could not be stored (%s); it is skipped.", type(error).__name__)
                    self._store.swarm.skip(stored.hash, "bug", now_ms)
                    result += PollResult(skipped=1)
            if has_messages:
                last = messages[-1] if messages else None
                self._store.swarm.advance(
                    page.node,
                    self._account,
                    Namespace.MESSAGES,
                    last=(last.hash, last.expiration_ms) if last else None,
                    now_ms=now_ms,
                )
            for space, came in configs.items():
                newest = (came[-1].hash, came[-1].expiration_ms)
                self._store.swarm.advance(page.node, self._account, space, last=newest, now_ms=now_ms)
            if opened:
                # Should one member say that a message expires at once, others still hold it for as long as they can.
                self._store.swarm.forget_expired(now_ms - _HASH_KEPT_MS, seen_before_ms=now_ms - _LONGEST_MS)
                self._store.marks.forget_early(now_ms)
        return result


def _kept_ms(stored: StoredMessage, now_ms: int) -> int:
    """Until when our swarm was to keep a message at the most, before another device of ours had it shortened."""
    return max(stored.expiration_ms, min(stored.timestamp_ms, now_ms) + MAX_TTL_MS)
