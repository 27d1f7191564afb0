"""Polling groups: what their swarms hold becomes keys, configs, messages, in one transaction a page.

In this order: keys; what they open, the configs; a notice that we were removed, unless keys for us have come since, for
then nothing else counts; then the messages. What no key opens stays new: keys may come later, and then all is fetched
once more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...errors import ProtocolError, SessionError
from ...network.clock import Deadline
from ...network.swarm import Page, Poll
from ...network.swarm_steps import Extend
from ...protocol.config.kinds import TTL_MS
from ...protocol.group.keys import StoredKeys
from ...protocol.group.kick import kicked_generation
from ...protocol.storage_rpc import MAX_TTL_MS, MessageHash, Namespace, StoredMessage
from ...protocol.storage_upkeep import MOST_HASHES, ExpireResult
from ...store.groups import DESTROYED, KICKED, GroupRow
from ..group_views import CONFIG_NAMESPACES, NAMESPACES, GroupViews
from ..profile import Profile
from ..receiving import SECOND_OPINION_MS, SECOND_OPINION_S, PollResult
from .intake import GroupIntake, Opened, is_undecided
from .state import KINDS, GroupState, GroupStore, account_of

if TYPE_CHECKING:
    from ...network.network import Network

LOG = logging.getLogger(__name__)
MAX_ROUNDS = 200
"""Pages of one group in one poll: more than two weeks of messages, and an end to what a member could make up."""
EXTEND_EVERY_MS = 24 * 3600 * 1000
"""How often a group's swarm is asked to keep for another month what the group is made of."""
_HASH_KEPT_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class _Request:
    """A page to be asked for: of which group, the member that gave the one before, and whether nobody else will do."""

    group_id: str
    member: str | None = None
    alone: bool = False


class GroupReceiver:
    """Polls the groups of one profile."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._profile = profile
        self._store = profile.store
        self._identity = profile.identity
        self._network = network
        self._groups = GroupStore(profile.store, profile.identity.account_id)
        self._views = GroupViews(profile.store)
        self._intake = GroupIntake(profile)

    def poll(self, deadline: Deadline, group_ids: Iterable[str] | None = None) -> PollResult:
        """Fetch what is new in all groups that we are in, or some of them, at the same time.

        What keeps one of them from being polled is logged, and raised where only that one was wanted. To be called by
        one process at a time. Raises NetworkError, ServiceRefused, StoreError.
        """
        wanted = None if group_ids is None else set(group_ids)
        active = [row for row in self._store.groups.active() if wanted is None or row.address in wanted]
        if not active:
            return PollResult()
        asked: dict[str, str] = {}
        result, problem = self._rounds([_Request(row.address) for row in active], deadline, asked)
        if problem is not None and wanted is not None and len(wanted) == 1:
            raise problem
        second = [request for row in active if (request := self._second_opinion(row, asked)) is not None]
        if second:
            more, _ = self._rounds(second, deadline.within(SECOND_OPINION_S), asked)
            result += more
        return result

    def _rounds(
        self, requests: Sequence[_Request], deadline: Deadline, asked: dict[str, str]
    ) -> tuple[PollResult, SessionError | None]:
        """Page after page of several groups. Notes who answered; returns also what the last problem was."""
        result, problem = PollResult(), None
        for _ in range(MAX_ROUNDS):
            polls = {id(poll): (request, poll) for request in requests if (poll := self._poll_of(request)) is not None}
            requests = []
            for poll, page in self._network().swarm.poll([poll for _, poll in polls.values()], deadline):
                request = polls[id(poll)][0]
                if isinstance(page, SessionError):
                    LOG.info("group %s… can't be polled: %s", request.group_id[:10], page.message)
                    problem = page
                    continue
                asked[request.group_id] = page.node
                taken, again = self._take_page(request, page)
                result += taken
                if again:
                    requests.append(_Request(request.group_id, page.node, request.alone))
            if not requests:
                break
        return result, problem

    def _poll_of(self, request: _Request) -> Poll | None:
        row = self._store.groups.get(request.group_id)
        if row is None or not row.is_active:
            return None
        try:
            account = account_of(row, self._identity)
        except ProtocolError as error:
            LOG.warning("Group %s… can't be polled: %s", request.group_id[:10], error.message)
            return None
        now_ms = self._network().clock.now_ms()
        known = {space: self._store.swarm.positions(request.group_id, space, now_ms) for space in NAMESPACES}
        positions = {int(space): hashes for space, (hashes, _) in known.items()}
        member = request.member or known[Namespace.GROUP_MESSAGES][1]
        keep = self._keep(row, now_ms) if request.member is None else None
        return Poll(account, positions, member, request.member is not None, request.alone, keep)

    def _keep(self, row: GroupRow, now_ms: int) -> Extend | None:
        """What the group is made of, to be kept for another month, once a day."""
        if row.extended_ms <= now_ms < row.extended_ms + EXTEND_EVERY_MS:
            return None
        state = self._groups.of_row(row)
        hashes = {
            *state.keys.active_hashes,
            *(hash for kind in KINDS for hash in state.config(kind).state.active_hashes),
        }
        return Extend([MessageHash(hash) for hash in sorted(hashes)[:MOST_HASHES]], now_ms + TTL_MS) if hashes else None

    def _second_opinion(self, row: GroupRow, asked: dict[str, str]) -> _Request | None:
        """Another member than the one that was asked, if none other was for a while: one alone may keep things back."""
        now_ms = self._network().clock.now_ms()
        times = self._store.swarm.asked(row.address, Namespace.GROUP_MESSAGES)
        others = [name for name in self._network().swarm.members(row.address) if name != asked.get(row.address)]
        if row.address not in asked or not others:
            return None
        if max(times.get(name, 0) for name in others) >= now_ms - SECOND_OPINION_MS:
            return None
        return _Request(row.address, min(others, key=lambda name: times.get(name, 0)), alone=True)

    # One page.

    def _take_page(self, request: _Request, page: Page) -> tuple[PollResult, bool]:
        """Take in what came of one group; returns also whether there is more to ask for."""
        now_ms = self._network().clock.now_ms()
        if self._is_idle(request, page):
            with self._store.quick_transaction():
                self._store.swarm.advance(
                    page.node, request.group_id, Namespace.GROUP_MESSAGES, last=None, now_ms=now_ms
                )
            return PollResult(), False
        with self._store.transaction():
            state = self._groups.load(request.group_id)
            if state is None or not state.row.is_active:
                return PollResult(), False
            came = {space: self._new(state, page, space) for space in NAMESPACES}
            had_keys = state.keys.encryption_keys
            before = state
            state, understood = self._take_configs(state, came, now_ms)
            if self._was_kicked(state, came[Namespace.REVOKED_GROUP_MESSAGES]):
                return self._leave(state, KICKED, now_ms), False
            if state.info.is_destroyed:
                return self._leave(state, DESTROYED, now_ms), False
            self._tell_store(before, state)
            is_first = request.member is None and not before.row.polled
            gained = bool(set(state.keys.encryption_keys).difference(had_keys)) and not is_first
            state, result = self._take_messages(state, came[Namespace.GROUP_MESSAGES], now_ms)
            result += PollResult(merged=understood)
            state = self._note_kept(state, page, now_ms)
            more = bool(page.more)
            if gained:
                # What could not be read before may be now.
                self._store.swarm.forget_positions(state.group_id, (Namespace.GROUP_MESSAGES, *CONFIG_NAMESPACES[1:]))
            else:
                self._advance(state, page, now_ms)
            if not more and not gained and not page.refused and not state.row.polled:
                state = replace(state, row=replace(state.row, polled=True))
            if state != before:
                self._groups.save(state)
        return result, more or gained

    def _is_idle(self, request: _Request, page: Page) -> bool:
        """Whether nothing came, and nothing else is to be noted than who was asked."""
        row = self._store.groups.get(request.group_id)
        return row is not None and row.polled and not page.size and not page.refused and page.kept is None

    def _new(self, state: GroupState, page: Page, namespace: Namespace) -> list[StoredMessage]:
        """The messages of a namespace that were not seen yet. What a member refuses holds up nothing else."""
        try:
            messages = page.messages(namespace)
        except SessionError as error:
            LOG.info("group %s…: nothing of namespace %d: %s", state.group_id[:10], namespace, error.message)
            return []
        unseen = self._store.swarm.unseen(state.group_id, namespace, (one.hash for one in messages))
        return [one for one in messages if one.hash in unseen]

    def _advance(self, state: GroupState, page: Page, now_ms: int) -> None:
        for space in NAMESPACES:
            try:
                messages = page.messages(space)
            except SessionError:
                continue
            last = (messages[-1].hash, messages[-1].expiration_ms) if messages else None
            if last is not None or space is Namespace.GROUP_MESSAGES:
                self._store.swarm.advance(page.node, state.group_id, space, last=last, now_ms=now_ms)

    def _was_kicked(self, state: GroupState, notices: Iterable[StoredMessage]) -> bool:
        """Whether an admin says that we were removed, and has not let us in again since: with a later key."""
        for one in notices:
            generation = kicked_generation(self._identity, state.group_id, one.data)
            if generation is not None and generation >= state.keys.generation and not state.admin:
                return True
        return False

    def _leave(self, state: GroupState, removed: int, now_ms: int) -> PollResult:
        """Be in a group no more, and know nothing of it but its name; note the event."""
        group_id = state.group_id
        self._views.empty(group_id)
        row = self._store.groups.get(group_id) or state.row
        self._store.groups.put(replace(row, seed=None, auth_data=None, removed=removed))
        self._views.say(group_id, {"change": "kicked" if removed == KICKED else "destroyed"}, group_id, now_ms)
        return PollResult(new=1)

    def _take_configs(
        self, state: GroupState, came: dict[Namespace, list[StoredMessage]], now_ms: int
    ) -> tuple[GroupState, int]:
        """Take in keys, and the configs that they open; returns also how many messages were understood."""
        # No member of the swarm puts a key into the future, where it would make others look long out of use.
        stored = [StoredKeys(one.hash, min(one.timestamp_ms, now_ms), one.data) for one in came[Namespace.GROUP_KEYS]]
        loaded = state.keys.load_all(stored, self._identity, state.admin)
        state = replace(state, keys=loaded.keys)
        accepted = {Namespace.GROUP_KEYS: set(loaded.accepted)}
        for hash, error in loaded.refused:
            self._refuse(state, Namespace.GROUP_KEYS, hash, error, now_ms)
            accepted[Namespace.GROUP_KEYS].add(hash)
        for kind in KINDS:
            space = Namespace(kind.namespace)
            pairs = [(one.hash, one.data) for one in came[space]]
            config, merged = state.config(kind).merge(pairs, state.config_keys, now_ms)
            state = state.with_config(kind, config)
            accepted[space] = set(merged.accepted)
            for _, error in merged.refused:
                LOG.info("left a config of group %s… alone: %s", state.group_id[:10], error.message)
        for space, hashes in accepted.items():
            for one in came[space]:
                if one.hash in hashes:
                    self._store.swarm.mark_seen(state.group_id, space, one.hash, one.expiration_ms, seen_ms=now_ms)
        return state, sum(map(len, accepted.values()))

    def _refuse(self, state: GroupState, space: Namespace, hash: str, error: ProtocolError, now_ms: int) -> None:
        LOG.info("left keys of group %s… alone: %s", state.group_id[:10], error.message)
        self._store.swarm.skip(hash, f"keys: {error.slug}", now_ms)

    def _tell_store(self, before: GroupState, state: GroupState) -> None:
        """Let the store say of the group, and of its members, what its configs say."""
        if state.info.data != before.info.data:
            self._views.take_info(state.group_id, state.info)
        if state.members.data != before.members.data:
            for member in state.members:
                if member.name:
                    self._views.take_name(member.account_id, member.name)

    def _take_messages(
        self, state: GroupState, came: Sequence[StoredMessage], now_ms: int
    ) -> tuple[GroupState, PollResult]:
        result = PollResult()
        for stored in came:
            opened: Opened = self._intake.open(state, stored)
            if is_undecided(opened):
                continue
            kept_ms = max(stored.expiration_ms, min(stored.timestamp_ms, now_ms) + MAX_TTL_MS) + _HASH_KEPT_MS
            space = Namespace.GROUP_MESSAGES
            if not self._store.swarm.mark_seen(state.group_id, space, stored.hash, kept_ms, seen_ms=now_ms):
                continue
            try:
                with self._store.part():
                    state, taken = self._intake.take(state, stored, opened, now_ms)
                result += taken
            except (ArithmeticError, TypeError, ValueError) as error:
                # Every field was checked before; should a check be missing, one message is lost and not all.
                LOG.warning("A message could not be stored (%s); it is skipped.", type(error).__name__)
                self._store.swarm.skip(stored.hash, "bug", now_ms)
                result += PollResult(skipped=1)
        return state, result

    def _note_kept(self, state: GroupState, page: Page, now_ms: int) -> GroupState:
        """Note that the swarm keeps what the group is made of; have an admin store again what it has lost."""
        if not isinstance(page.kept, ExpireResult):
            return state
        state = replace(state, row=replace(state.row, extended_ms=now_ms))
        if state.admin is None:
            return state
        lost = {
            kind
            for kind in KINDS
            if any(page.kept.dropped_ms(hash) == 0 for hash in state.config(kind).state.current_hashes)
        }
        newest = state.keys.hashes.get(state.keys.generation, frozenset())
        if newest and all(page.kept.dropped_ms(hash) == 0 for hash in newest):
            return state.rekeyed()
        for kind in lost:
            config = state.config(kind)
            state = state.with_config(kind, replace(config, state=config.state.renewed()))
        return state
