"""Keeping our devices in step: what they share lies in configs, as messages in our own swarm.

A poll brings other devices' messages, which are merged in the transaction that stores the rest of what it brought.
Changes made here are noted by the store itself, whoever makes them, and go into the configs before the next merge or
push. Nothing is put there or pushed before the swarm was asked once: a restored account must not write over what it
has, and what was known before stands beside it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import InvalidInput, NetworkError, ServiceRefused
from ..network.clock import Deadline
from ..network.swarm_steps import OwnStore
from ..protocol.account import AccountId, IdPrefix, is_community, is_group
from ..protocol.config import dump as dumps
from ..protocol.config.contacts import Contacts
from ..protocol.config.kinds import ACCOUNT_KINDS, TTL_MS, ConfigKind
from ..protocol.config.state import ConfigKeys, ConfigState, Push
from ..protocol.config.tree import EMPTY, Tree
from ..protocol.config.user_groups import UserGroups
from ..protocol.storage_rpc import MessageHash, StoredMessage, message_hash
from ..protocol.storage_upkeep import MOST_HASHES
from .communities.views import CommunityViews
from .config_views import ConfigViews
from .group_views import GroupViews
from .profile import Profile
from .shared_config import SharedConfig

if TYPE_CHECKING:
    from ..network.network import Network

LOG = logging.getLogger(__name__)
PUSH_S = 20.0
"""How long another command takes at the most for a push."""
REST_S = 60.0
"""How long nothing is tried after a failure."""
_CHANGED = {
    "contact": ConfigKind.CONTACTS.namespace,
    "deleted": ConfigKind.CONTACTS.namespace,
    "read": ConfigKind.CONVO_INFO_VOLATILE.namespace,
    "profile": ConfigKind.USER_PROFILE.namespace,
}
"""Where it goes what was changed here."""


@dataclass(frozen=True, slots=True)
class SyncSummary:
    """What is shared: how many contacts (but requests), groups and communities there are; what a sync did.

    `merged`: messages of other devices that were taken in. `pushed`: configs (by name) that were changed here and are
    in the swarm now. `waiting`: those that are not yet.
    """

    name: str | None
    contacts: int
    groups: int
    communities: int
    merged: int
    pushed: tuple[str, ...]
    waiting: tuple[str, ...]


class ConfigSync:
    """The configs of one profile."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._store = profile.store
        self._identity = profile.identity
        self._keys = ConfigKeys.of_account(profile.identity)
        self._views = ConfigViews(profile.store, profile.identity.account_id)
        self._groups = GroupViews(profile.store)
        self._communities = CommunityViews(profile.store)
        self._network = network
        self._rests_until = 0.0
        self.pushed: tuple[str, ...] = ()
        """The configs, by name, that were brought into the swarm."""

    # In the poll's transaction.

    def take(self, messages: Mapping[int, Sequence[StoredMessage]], now_ms: int) -> set[str]:
        """Merge what came, by namespace, and let the store say the same; returns the hashes of what was understood.

        To be called inside a transaction.
        """
        configs = self._store.configs
        if configs.polled:
            self._fold(now_ms)
        unshared = configs.all_changes()
        people = {key for kind, key in unshared if kind == "contact"}
        understood: set[str] = set()
        ahead: list[tuple[str, str]] = []
        for kind in ACCOUNT_KINDS:
            came = messages.get(kind.namespace, ())
            if not came:
                continue
            before = self._load(kind)
            after, merged = before.merge([(stored.hash, stored.data) for stored in came], self._keys, now_ms)
            for hash, error in merged.refused:
                LOG.info("left a config message of %s alone: %s", _name(kind), error.message)
                self._store.swarm.skip(hash, f"config: {error.slug}", now_ms)
            understood.update(merged.accepted)
            merged_ms = 0
            if after.state.message is not before.state.message:
                # Nobody's word puts it into the future, where it would decide about all that is still to come.
                times = (one.timestamp_ms for one in came if one.hash in merged.accepted)
                merged_ms = min(now_ms, max(times, default=0))
            self._save(kind, after, merged_ms)
            if after.state.data != before.state.data:
                ahead += self._apply(kind, before.state, after.state, people, merged_ms, now_ms)
        for what, key in unshared:
            if what == "deleted":
                self._delete(AccountId(key), now_ms)
        # What was just taken over is no change of ours.
        configs.forget_changes()
        configs.note([*unshared, *ahead])
        return understood

    def _delete(self, address: AccountId, now_ms: int) -> None:
        """Delete once more what was deleted here, if this merge alone has brought it back.

        What is known by anything else is not to be deleted any more.
        """
        person = self._store.people.get(address)
        if is_group(address):
            self._groups.forget(address)
        elif is_community(address):
            self._communities.forget(address)
        elif person is not None and person.is_contact:
            self._views.delete_contact(address, now_ms)
        else:
            self._store.conversations.clear_unread(address)

    def take_over_groups(self, now_ms: int) -> None:
        """Let the store say which groups there are, where it could not before."""
        with self._store.transaction():
            groups = self._load(ConfigKind.USER_GROUPS).state.data
            self._groups.take_groups(EMPTY, groups, now_ms)
            self._store.settings.remove("groups_untaken")

    def take_over_communities(self) -> None:
        """Let the store say which rooms there are, where it could not before."""
        with self._store.transaction():
            self._communities.take_rooms(EMPTY, self._load(ConfigKind.USER_GROUPS).state.data)
            self._store.settings.remove("communities_untaken")

    def note_times(self, messages: Mapping[int, Sequence[StoredMessage]]) -> None:
        """Hear when another member of the swarm says that it stored what is known already.

        The time decides about other messages, and one member's word is not enough to make it late. To be called inside
        a transaction.
        """
        for kind in ACCOUNT_KINDS:
            came = messages.get(kind.namespace, ())
            current = self._load(kind).state.current_hashes if came else frozenset[str]()
            times = [one.timestamp_ms for one in came if one.hash in current]
            if times:
                self._store.configs.lower_merged(kind.namespace, max(times))

    def _apply(
        self, kind: ConfigKind, old: ConfigState, new: ConfigState, unshared: set[str], merged_ms: int, now_ms: int
    ) -> list[tuple[str, str]]:
        """Let the store say the same; returns what it knows more, as changes of ours."""
        match kind:
            case ConfigKind.USER_PROFILE:
                polled, own = self._store.configs.polled, self._identity.account_id in unshared
                ahead = self._views.take_profile(new.data, merged_ms, now_ms, polled=polled, unshared=own)
                return [("profile", "")] if ahead else []
            case ConfigKind.CONTACTS:
                people = self._views.take_contacts(old.data, new.data, unshared, merged_ms or now_ms)
                return [("contact", who) for who in people]
            case ConfigKind.USER_GROUPS:
                self._groups.take_groups(old.data, new.data, merged_ms or now_ms)
                self._communities.take_rooms(old.data, new.data)
            case ConfigKind.CONVO_INFO_VOLATILE:
                reads = self._views.take_read(old.data, new.data, merged_ms or now_ms, now_ms)
                return [("read", address) for address in reads]
        return []

    # Changes of ours.

    def _fold(self, now_ms: int) -> None:
        """Put into the configs what was changed here, once the swarm was asked. To be called inside a transaction."""
        configs = self._store.configs
        if not configs.has_changes():
            return
        deleted, contacts, reads = (configs.changes(kind) for kind in ("deleted", "contact", "read"))
        groups, gone_groups = (list(filter(is_group, addresses)) for addresses in (contacts, deleted))
        rooms, gone_rooms = (list(filter(is_community, addresses)) for addresses in (contacts, deleted))
        gone_people = {address for address in deleted if address.startswith(IdPrefix.USER)}
        if len(contacts) > len(groups) + len(rooms) or gone_people:
            known = self._load(ConfigKind.CONTACTS)
            data = self._views.without_contacts(known.state.data, gone_people)
            data = self._views.with_contacts(data, contacts, now_ms // 1000)
            self._change(ConfigKind.CONTACTS, known, data)
            self._views.settle_nicknames(data)
        if groups or gone_groups or rooms or gone_rooms:
            known = self._load(ConfigKind.USER_GROUPS)
            data = self._groups.without_groups(known.state.data, gone_groups)
            data = self._communities.without_rooms(self._groups.with_groups(data, groups), gone_rooms)
            self._change(ConfigKind.USER_GROUPS, known, self._communities.with_rooms(data, rooms))
        if deleted or reads:
            known = self._load(ConfigKind.CONVO_INFO_VOLATILE)
            data = self._views.with_read(known.state.data, reads, deleted, now_ms)
            self._change(ConfigKind.CONVO_INFO_VOLATILE, known, data)
        if configs.changes("profile") or self._identity.account_id in contacts:
            known = self._load(ConfigKind.USER_PROFILE)
            self._change(ConfigKind.USER_PROFILE, known, self._views.with_profile(known.state.data))
        configs.forget_changes()

    def _change(self, kind: ConfigKind, known: SharedConfig, data: Tree) -> None:
        changed = known.with_data(data)
        if changed is not known:
            self._save(kind, changed)

    def _load(self, kind: ConfigKind) -> SharedConfig:
        return SharedConfig.of_row(kind, self._store.configs.get(kind.namespace))

    def _save(self, kind: ConfigKind, config: SharedConfig, merged_ms: int = 0) -> None:
        self._store.configs.put(kind.namespace, config.row(), dirty=config.state.needs_push, merged_ms=merged_ms)

    # Pushing.

    def push_in_passing(self, deadline: Deadline) -> None:
        """Push what there is; failures wait for a later run."""
        if time.monotonic() < self._rests_until:
            return
        try:
            return self.push(deadline.within(PUSH_S))
        except (NetworkError, ServiceRefused) as error:
            LOG.info("our other devices will hear of changes later: %s", error.message)
            self._rests_until = time.monotonic() + REST_S

    def push(self, deadline: Deadline) -> None:
        """Bring what was changed here to our other devices, see `pushed`.

        To be called right after a poll: whoever pushes says that he knows all that was there before. Two processes may
        be at it at the same time: they store the same bytes. Raises NetworkError, ServiceRefused; then the next run
        tries again.
        """
        if not self._store.configs.polled:
            return
        network = self._network()
        network.prepare(deadline)
        now_ms = network.clock.now_ms()
        with self._store.transaction():
            self._fold(now_ms)
            pushes = [push for kind in ACCOUNT_KINDS if (push := self._begin(kind, now_ms))]
        if not pushes:
            return
        stores = [OwnStore(push.state.kind.namespace, data, TTL_MS) for push in pushes for data in push.messages]
        obsolete = [MessageHash(hash) for push in pushes for hash in sorted(push.obsolete)][:MOST_HASHES]
        network.upkeep.replace(self._identity, stores, obsolete, deadline)
        with self._store.transaction():
            for push in pushes:
                self._confirm(push, now_ms, push.obsolete.difference(obsolete))
        self.pushed += tuple(_name(push.state.kind) for push in pushes if _name(push.state.kind) not in self.pushed)

    def _begin(self, kind: ConfigKind, now_ms: int) -> Push | None:
        """What is to be pushed of a config, noted as under way: should no answer come, it may be in the swarm all the
        same, and what is changed from now on comes after it."""
        known = self._load(kind).outspoken()
        if not known.state.needs_push:
            return None
        try:
            push = known.state.push(self._keys, now_ms)
        except InvalidInput as error:
            LOG.warning("Our other devices can't be told of changes to %s: %s", _name(kind), error.message)
            self._rests_until = time.monotonic() + REST_S
            return None
        # What is to be deleted is forgotten when it has been.
        push = replace(push, state=replace(push.state, obsolete_hashes=push.obsolete))
        self._save(kind, SharedConfig(push.state, known.base))
        return push

    def _confirm(self, push: Push, now_ms: int, left: frozenset[str]) -> None:
        """Note that a push is in the swarm, unless something was changed meanwhile: then the next poll brings it.

        `left` are messages that the swarm has still to be told to delete.
        """
        kind = push.state.kind
        if dumps.dump(self._load(kind).state) != dumps.dump(push.state):
            return
        hashes = self._note_stored(kind, push.messages, now_ms)
        state = replace(push.state, obsolete_hashes=left)
        self._save(kind, SharedConfig(state.confirm_pushed(push.seqno, hashes)))

    def _note_stored(self, kind: ConfigKind, messages: Sequence[bytes], now_ms: int) -> list[str]:
        account = self._identity.account_id
        hashes: list[str] = [message_hash(account, kind.namespace, data) for data in messages]
        for hash in hashes:
            self._store.swarm.mark_seen(account, kind.namespace, hash, now_ms + TTL_MS)
        return hashes

    # Keeping.

    def keep_alive(self, deadline: Deadline) -> None:
        """Have our swarm keep the configs for another month, once a day, and store again what it has lost.

        Failures wait for the next run.
        """
        if time.monotonic() < self._rests_until:
            return
        try:
            self._keep_alive(deadline.within(PUSH_S))
        except (NetworkError, ServiceRefused) as error:
            LOG.info("our swarm is asked later to keep the configs: %s", error.message)
            self._rests_until = time.monotonic() + REST_S
            return
        with self._store.transaction():
            self._store.configs.note_extended(self._store.now_ms())

    def _keep_alive(self, deadline: Deadline) -> None:
        states = [self._load(kind).state for kind in ACCOUNT_KINDS]
        hashes = sorted(hash for state in states for hash in state.active_hashes)[:MOST_HASHES]
        if not hashes:
            return
        network = self._network()
        network.prepare(deadline)
        now_ms = network.clock.now_ms()
        wanted = [MessageHash(hash) for hash in hashes]
        result = network.upkeep.extend(self._identity, wanted, now_ms + TTL_MS, deadline)
        for state in states:
            if not state.needs_push and any(result.dropped_ms(hash) == 0 for hash in state.current_hashes):
                self._store_again(state, now_ms, deadline)

    def _store_again(self, state: ConfigState, now_ms: int, deadline: Deadline) -> None:
        """Store a config that the swarm had, and has no more: nobody was here for a month."""
        push = state.push(self._keys, now_ms)
        stores = [OwnStore(state.kind.namespace, data, TTL_MS) for data in push.messages]
        self._network().upkeep.replace(self._identity, stores, (), deadline)
        with self._store.transaction():
            if dumps.dump(self._load(state.kind).state) == dumps.dump(state):
                hashes = self._note_stored(state.kind, push.messages, now_ms)
                self._save(state.kind, SharedConfig(replace(state, current_hashes=frozenset(hashes))))

    # For people.

    def summary(self, *, merged: int = 0) -> SyncSummary:
        """What is shared now."""
        contacts = Contacts(self._load(ConfigKind.CONTACTS).state.data)
        groups = UserGroups(self._load(ConfigKind.USER_GROUPS).state.data)
        waiting = {*self._store.configs.dirty(), *(_CHANGED[what] for what, _ in self._store.configs.all_changes())}
        return SyncSummary(
            self._store.settings.get("display_name"),
            sum(1 for contact in contacts if contact.approved or contact.blocked or contact.nickname),
            sum(1 for _ in groups.groups()),
            sum(1 for _ in groups.communities()),
            merged,
            self.pushed,
            tuple(_name(kind) for kind in ACCOUNT_KINDS if kind.namespace in waiting),
        )


def _name(kind: ConfigKind) -> str:
    return kind.name.lower()
