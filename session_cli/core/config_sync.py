"""Keeping our devices in step: what they share lies in configs, as messages in our own swarm.

A poll brings other devices' messages, which are merged in the transaction that stores the rest of what it brought.
Changes made here are noted by the store itself, whoever makes them, and go into the configs before the next merge or
push. Nothing is pushed before the swarm was asked once: a restored account must not write over what it has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import NetworkError, ServiceRefused
from ..network.clock import Deadline
from ..network.swarm_upkeep import OwnStore
from ..protocol.config import dump as dumps
from ..protocol.config.contacts import Contacts
from ..protocol.config.kinds import ACCOUNT_KINDS, TTL_MS, ConfigKind
from ..protocol.config.state import ConfigKeys, ConfigState, Push
from ..protocol.config.user_groups import UserGroups
from ..protocol.storage_rpc import MessageHash, StoredMessage, message_hash
from .config_views import ConfigViews
from .profile import Profile

if TYPE_CHECKING:
    from ..network.network import Network

LOG = logging.getLogger(__name__)
PUSH_S = 20.0
"""How long another command takes at the most for a push."""


@dataclass(frozen=True, slots=True)
class SyncSummary:
    """What is shared: how many contacts, groups and communities there are; what a sync did.

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
        self._network = network

    # In the poll's transaction.

    def take(self, messages: Mapping[int, Sequence[StoredMessage]], now_ms: int) -> int:
        """Merge what came, by namespace, and let the store say the same; returns how many were understood.

        To be called inside a transaction.
        """
        self._fold(now_ms)
        count = 0
        for kind in ACCOUNT_KINDS:
            came = messages.get(kind.namespace, ())
            if not came:
                continue
            old = self._load(kind)
            merged = old.merge([(stored.hash, stored.data) for stored in came], self._keys, now_ms)
            for hash, error in merged.refused:
                LOG.info("left a config message of %s alone: %s", _name(kind), error.message)
                self._store.swarm.skip(hash, f"config: {error.slug}", now_ms)
            count += len(merged.accepted)
            newest_ms = max((one.timestamp_ms for one in came if one.hash in merged.accepted), default=0)
            new = merged.state
            self._store.configs.put(kind.namespace, dumps.dump(new), dirty=new.needs_push, merged_ms=newest_ms)
            self._apply(kind, old, new)
        # What was just taken over is no change of ours.
        self._store.configs.forget_changes(keep_profile=not self._store.configs.polled)
        return count

    def _apply(self, kind: ConfigKind, old: ConfigState, new: ConfigState) -> None:
        if new.data == old.data:
            return
        match kind:
            case ConfigKind.USER_PROFILE:
                self._views.take_profile(new.data, unless_changed=not self._store.configs.polled)
            case ConfigKind.CONTACTS:
                self._views.take_contacts(old.data, new.data)
            case ConfigKind.CONVO_INFO_VOLATILE:
                self._views.take_read(old.data, new.data)

    # Changes of ours.

    def _fold(self, now_ms: int) -> None:
        """Put into the configs what was changed here. To be called inside a transaction.

        Before the swarm was asked once, our profile waits: the name that a profile was made with must not go before
        the one that the account has.
        """
        configs = self._store.configs
        if not configs.has_changes():
            return
        deleted, contacts, reads = (configs.changes(kind) for kind in ("deleted", "contact", "read"))
        own_id = self._identity.account_id
        if deleted or contacts:
            state = self._load(ConfigKind.CONTACTS)
            data = self._views.without_contacts(state.data, deleted)
            self._save(state, state.with_data(self._views.with_contacts(data, contacts, now_ms // 1000)))
        if deleted or reads:
            state = self._load(ConfigKind.CONVO_INFO_VOLATILE)
            data = self._views.without_reads(state.data, deleted)
            self._save(state, state.with_data(self._views.with_read(data, reads, now_ms)))
        if configs.polled and (configs.changes("profile") or own_id in contacts):
            state = self._load(ConfigKind.USER_PROFILE)
            self._save(state, state.with_data(self._views.with_profile(state.data)))
        configs.forget_changes(keep_profile=not configs.polled)

    def _load(self, kind: ConfigKind) -> ConfigState:
        row = self._store.configs.get(kind.namespace)
        return dumps.load(kind, row.dump) if row else ConfigState(kind)

    def _save(self, old: ConfigState, new: ConfigState) -> None:
        if new is not old:
            self._store.configs.put(new.kind.namespace, dumps.dump(new), dirty=new.needs_push)

    # Pushing.

    def push_in_passing(self, deadline: Deadline) -> tuple[str, ...]:
        """Push what there is, and return what `push` does; failures wait for the next run."""
        try:
            return self.push(deadline.within(PUSH_S))
        except (NetworkError, ServiceRefused) as error:
            LOG.info("our other devices will hear of changes later: %s", error.message)
            return ()

    def push(self, deadline: Deadline) -> tuple[str, ...]:
        """Bring what was changed here to our other devices; returns the names of the configs that were pushed.

        Two processes may be at it at the same time: they store the same bytes. Raises NetworkError, ServiceRefused;
        then all is as before, and the next run tries again.
        """
        if not self._store.configs.polled:
            return ()
        network = self._network()
        network.prepare(deadline)
        now_ms = network.clock.now_ms()
        with self._store.transaction():
            self._fold(now_ms)
            states = [state for state in map(self._load, ACCOUNT_KINDS) if state.needs_push]
        pushes = [(state, state.push(self._keys, now_ms)) for state in states]
        if pushes:
            stores = [OwnStore(state.kind.namespace, data, TTL_MS) for state, push in pushes for data in push.messages]
            obsolete = [MessageHash(hash) for _, push in pushes for hash in sorted(push.obsolete)]
            network.upkeep.replace(self._identity, stores, obsolete, deadline)
            with self._store.transaction():
                for state, push in pushes:
                    self._confirm(state, push, now_ms)
        return tuple(_name(state.kind) for state, _ in pushes)

    def _confirm(self, before: ConfigState, push: Push, now_ms: int) -> None:
        """Note that a push is in the swarm, unless something was changed meanwhile: then the next poll brings it."""
        current = self._load(before.kind)
        if dumps.dump(current) != dumps.dump(before):
            return
        account, namespace = self._identity.account_id, before.kind.namespace
        hashes = [message_hash(account, namespace, data) for data in push.messages]
        self._save(current, push.state.confirm_pushed(push.seqno, hashes))
        for hash in hashes:
            self._store.swarm.mark_seen(account, namespace, hash, now_ms + TTL_MS)

    def keep_alive(self, deadline: Deadline) -> None:
        """Have our swarm keep the configs for another month, once a day. Failures wait for the next run."""
        now_ms = self._store.now_ms()
        hashes = [hash for kind in ACCOUNT_KINDS for hash in sorted(self._load(kind).active_hashes)]
        try:
            if hashes:
                network = self._network()
                wanted = [MessageHash(hash) for hash in hashes]
                until_ms = network.clock.now_ms() + TTL_MS
                network.upkeep.extend(self._identity, wanted, until_ms, deadline.within(PUSH_S))
        except (NetworkError, ServiceRefused) as error:
            LOG.info("our swarm is asked later to keep the configs: %s", error.message)
            return
        with self._store.transaction():
            self._store.configs.note_extended(now_ms)

    # For people.

    def summary(self, *, merged: int = 0, pushed: tuple[str, ...] = ()) -> SyncSummary:
        """What is shared now."""
        contacts = Contacts(self._load(ConfigKind.CONTACTS).data)
        groups = UserGroups(self._load(ConfigKind.USER_GROUPS).data)
        dirty = self._store.configs.dirty()
        return SyncSummary(
            self._store.settings.get("display_name"),
            sum(1 for _ in contacts),
            sum(1 for _ in groups.groups()),
            sum(1 for _ in groups.communities()),
            merged,
            pushed,
            tuple(_name(kind) for kind in ACCOUNT_KINDS if kind.namespace in dirty),
        )


def _name(kind: ConfigKind) -> str:
    return kind.name.lower()
