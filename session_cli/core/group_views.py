"""Which groups we are in, as the store says it and as the config for all of our devices does.

As `config_views`, for UserGroups. A group's name, and whether we have accepted to be in it, lies in the store where
those of people do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..protocol.account import AccountId
from ..protocol.config.fields import NotifyMode
from ..protocol.config.group_info import GroupInfo
from ..protocol.config.tree import Tree
from ..protocol.config.user_groups import Group, Removed, UserGroups
from ..protocol.storage_rpc import Namespace
from ..store.configs import ConversationSettings
from ..store.groups import GroupRow
from ..store.records import NewMessage, PersonRow
from ..store.store import Store

CONFIG_NAMESPACES = (Namespace.GROUP_KEYS, Namespace.GROUP_INFO, Namespace.GROUP_MEMBERS)
"""Where that lies which a group is made of, in the order in which to take it in."""
NAMESPACES = (Namespace.REVOKED_GROUP_MESSAGES, Namespace.GROUP_MESSAGES, *CONFIG_NAMESPACES)
"""What a group's swarm is asked for."""


class GroupViews:
    """Moves groups between the store of one account and the data of its config. To be called in a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def with_groups(self, data: Tree, addresses: Iterable[str]) -> Tree:
        """The groups with what the store says of some of them."""
        groups = UserGroups(data)
        for address in addresses:
            row = self._store.groups.get(address)
            if row is None:
                continue
            group_id = AccountId(address)
            person, settings = self._store.people.get(address), self._store.configs.conversation(address)
            known = groups.group(group_id) or Group(group_id=group_id)
            changed = replace(
                known,
                name=(person.name if person else None) or known.name,
                seed=row.seed,
                auth_data=row.auth_data,
                invited=row.invited,
                removed=Removed(row.removed),
                joined_at=row.joined_s,
                priority=-1 if settings.hidden else settings.pinned,
                notify=NotifyMode(settings.notify),
                muted_until=settings.muted_until_s,
            )
            if changed != known or groups.group(group_id) is None:
                groups = groups.with_group(changed)
        return groups.data

    def without_groups(self, data: Tree, addresses: Iterable[str]) -> Tree:
        """The groups without some of them."""
        groups = UserGroups(data)
        for address in addresses:
            groups = groups.without_group(AccountId(address))
        return groups.data

    def take_groups(self, old: Tree, new: Tree, told_ms: int) -> None:
        """Let the store say what the config, which was stored at `told_ms`, says, where that has changed."""
        before = {group.group_id: group for group in UserGroups(old).groups()}
        after = {group.group_id: group for group in UserGroups(new).groups()}
        for group_id, group in after.items():
            if group != before.get(group_id):
                self._take(group)
        for group_id in before.keys() - after.keys():
            self.forget(group_id)
            self._store.conversations.note_gone(group_id, told_ms)

    def _take(self, group: Group) -> None:
        store, address = self._store, group.group_id
        known = store.groups.get(address) or GroupRow(address)
        let_in = (group.seed, group.auth_data)
        row = replace(
            known,
            seed=group.seed,
            auth_data=group.auth_data,
            invited=group.invited,
            removed=int(group.removed),
            joined_s=group.joined_at,
        )
        if let_in != (known.seed, known.auth_data) and any(let_in):
            # What could not be read, or was not for us to read, may be now.
            store.swarm.forget_positions(address, NAMESPACES)
            row = replace(row, polled=False)
        store.groups.put(row)
        in_it = not group.invited
        person = store.people.get(address) or PersonRow(address, None, None, in_it, in_it)
        name = person.name if person.name and known.polled else group.name or person.name
        store.people.put(replace(person, name=name, approved=in_it, approved_me=in_it))
        settings = store.configs.conversation(address)
        wanted = replace(
            settings,
            hidden=group.priority < 0,
            pinned=max(0, group.priority),
            notify=int(group.notify),
            muted_until_s=group.muted_until,
        )
        if wanted != settings:
            store.configs.set_conversation(wanted)
        if row.removed and not known.removed:
            self.empty(address)

    def take_info(self, group_id: AccountId, info: GroupInfo) -> None:
        """Let the store say of a group what its own config says."""
        store = self._store
        person = store.people.get(group_id) or PersonRow(group_id, None, None, approved=True, approved_me=True)
        url, key = (info.picture.url, info.picture.key) if info.picture else (None, None)
        wanted = replace(person, name=info.name or person.name, picture_url=url, picture_key=key)
        if wanted != person:
            store.people.put(wanted)
        settings = store.configs.conversation(group_id)
        mode = "after_send" if info.timer else "off"
        if (settings.expire_mode, settings.expire_s) != (mode, info.timer):
            store.configs.set_conversation(replace(settings, expire_mode=mode, expire_s=info.timer))
        if info.delete_before:
            store.messages.delete_conversation(group_id, 1000 * info.delete_before)
        if info.delete_attachments_before:
            store.messages.drop_attachments(group_id, 1000 * info.delete_attachments_before)

    def take_name(self, account_id: AccountId, name: str) -> None:
        """Call a member as the group's admins do, as long as they have not said themselves how they are called."""
        person = self._store.people.get(account_id)
        if person is None or (person.name is None and not person.profile_updated_s):
            self._store.people.set_name(account_id, name, 0)

    def say(self, group_id: AccountId, notice: Mapping[str, Any], sender: AccountId, sent_ms: int) -> None:
        """Note what happened to a group, or to us in it, as an entry of its conversation and an event."""
        entry = NewMessage(group_id, "incoming", sender, sent_ms, "", "received", kind="group_update", content=notice)
        message_id = self._store.messages.add(entry)
        if message_id is not None:
            self._store.events.add("group_update", message_id)

    def empty(self, address: AccountId) -> int:
        """Know no more what a group is made of, nor what was said there. Returns how many messages there were."""
        store = self._store
        row = store.groups.get(address)
        if row is not None:
            store.groups.put(replace(row, keys=None, polled=False, due=False, undecided=False))
            store.groups.forget_configs(address)
            store.groups.forget_errands(address)
        store.swarm.forget_account(address)
        for table in (store.events, store.deliveries, store.marks):
            table.forget_person(address)
        return store.messages.delete_conversation(address)

    def forget(self, address: AccountId) -> int:
        """Know a group no more. Returns how many messages there were."""
        count = self.empty(address)
        self._store.groups.delete(address)
        self._store.people.forget(address)
        self._store.configs.set_conversation(ConversationSettings(address, hidden=True))
        return count
