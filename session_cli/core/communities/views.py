"""Which rooms we have joined, as the store says it and as the config for all of our devices does.

As `group_views`, for the communities in UserGroups.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ...errors import InvalidUrl
from ...protocol.config.fields import NotifyMode
from ...protocol.config.servers import canonical_base_url, canonical_room
from ...protocol.config.tree import Tree
from ...protocol.config.user_groups import Community, UserGroups
from ...store.communities import RoomRow, ServerRow
from ...store.configs import ConversationSettings
from ...store.records import NewMessage, PersonRow
from ...store.store import Store


def address_of(base_url: str, room: str) -> str:
    """The address of a room: what its conversation is known by. Raises InvalidUrl."""
    return f"{canonical_base_url(base_url)}/{canonical_room(room)}"


def parts_of(address: str) -> tuple[str, str]:
    """The base URL of the server, and the room, of an address."""
    base_url, _, room = address.rpartition("/")
    return base_url, room


class CommunityViews:
    """Moves rooms between the store of one account and the data of its config. To be called in a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def with_rooms(self, data: Tree, addresses: Iterable[str]) -> Tree:
        """The communities with what the store says of some of them."""
        groups = UserGroups(data)
        for address in addresses:
            row = self._store.communities.room(address)
            server = self._store.communities.server(row.base_url) if row is not None else None
            if row is None or server is None:
                continue
            settings = self._store.configs.conversation(address)
            known = groups.community(row.base_url, row.token)
            wanted = replace(
                known or Community(base_url=row.base_url, room=row.token, server_key=server.server_key),
                server_key=server.server_key,
                joined_at=row.joined_s,
                priority=-1 if settings.hidden else settings.pinned,
                notify=NotifyMode(settings.notify),
                muted_until=settings.muted_until_s,
            )
            if wanted != known:
                groups = groups.with_community(wanted)
        return groups.data

    def without_rooms(self, data: Tree, addresses: Iterable[str]) -> Tree:
        """The communities without some of them."""
        groups = UserGroups(data)
        for address in addresses:
            groups = groups.without_community(*parts_of(address))
        return groups.data

    def take_rooms(self, old: Tree, new: Tree) -> None:
        """Let the store say what the config says, where that has changed."""
        before, after = _communities(old), _communities(new)
        for address, community in after.items():
            if community != before.get(address):
                self._take(address, community)
        for address in before.keys() - after.keys():
            self.forget(address)

    def _take(self, address: str, community: Community) -> None:
        store = self._store
        base_url, _ = parts_of(address)
        server = store.communities.server(base_url)
        if server is None or server.server_key != community.server_key:
            store.communities.put_server(ServerRow(base_url, community.server_key))
        known = store.communities.room(address)
        if known is None:
            store.communities.put_room(RoomRow(address, base_url, community.room, community.joined_at))
            self.name(address, community.room)
        settings = store.configs.conversation(address)
        wanted = replace(
            settings,
            hidden=community.priority < 0,
            pinned=max(0, community.priority),
            notify=int(community.notify),
            muted_until_s=community.muted_until,
        )
        if wanted != settings:
            store.configs.set_conversation(wanted)

    def name(self, address: str, name: str) -> None:
        """Call a room so."""
        known = self._store.people.get(address) or PersonRow(address, None, None, True, True)
        if known.name != name or not known.approved:
            self._store.people.put(replace(known, name=name, approved=True, approved_me=True))

    def say(self, address: str, notice: dict[str, Any], sent_ms: int) -> int:
        """Note what happened to a room, as an entry of its conversation and an event; returns how many (1, or 0)."""
        entry = NewMessage(
            address, "incoming", address, sent_ms, "", "received", kind="community_update", content=notice
        )
        message_id = self._store.messages.add(entry)
        if message_id is None:
            return 0
        self._store.events.add("community_update", message_id)
        return 1

    def forget(self, address: str) -> int:
        """Know a room no more. Returns how many messages there were."""
        store = self._store
        store.swarm.forget_account(address)
        for table in (store.events, store.deliveries, store.marks):
            table.forget_person(address)
        count = store.messages.delete_conversation(address)
        store.communities.delete_room(address)
        store.people.forget(address)
        store.configs.set_conversation(ConversationSettings(address, hidden=True))
        return count


def _communities(data: Tree) -> dict[str, Community]:
    found = {}
    for community in UserGroups(data).communities():
        try:
            found[address_of(community.base_url, community.room)] = community
        except InvalidUrl:
            continue
    return found
