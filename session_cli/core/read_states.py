"""How far conversations are read, as the config for all of our devices has it, by the addresses they have here."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.account import IdPrefix, is_blinded, is_community, is_group
from ..protocol.config.convo_info_volatile import ConversationKind, ConvoInfoVolatile, ReadState
from ..protocol.config.tree import Tree
from ..store.communities import Communities
from .communities.views import address_of, parts_of


@dataclass(frozen=True, slots=True)
class ReadStates:
    """The read states in the data of a config. The rooms that are known here say what the keys of their servers are."""

    view: ConvoInfoVolatile
    communities: Communities

    @classmethod
    def of(cls, data: Tree, communities: Communities) -> ReadStates:
        """Those in some data."""
        return cls(ConvoInfoVolatile(data), communities)

    def has_place_for(self, address: str) -> bool:
        """Whether there can be a state for this conversation: of a room, only as long as we are in it."""
        if is_community(address):
            return self.communities.room(address) is not None
        return address[:2] in (IdPrefix.USER, IdPrefix.GROUP) or is_blinded(address)

    def get(self, address: str) -> ReadState | None:
        """The state of one conversation, or None."""
        if is_community(address):
            return self.view.community(*parts_of(address))
        return self.view.get(_kind(address), address)

    def with_read(self, address: str, state: ReadState, now_ms: int) -> ReadStates:
        """With the state of a conversation for which there is a place. A time long past is left out."""
        if not is_community(address):
            return ReadStates(self.view.with_read(_kind(address), address, state, now_ms), self.communities)
        row = self.communities.room(address)
        server = self.communities.server(row.base_url) if row is not None else None
        if row is None or server is None:
            return self
        view = self.view.with_community(row.base_url, row.token, server.server_key, state, now_ms)
        return ReadStates(view, self.communities)

    def without(self, address: str) -> ReadStates:
        """Without a conversation; the same if it is not there."""
        if is_community(address):
            return ReadStates(self.view.without_community(*parts_of(address)), self.communities)
        return ReadStates(self.view.without(_kind(address), address), self.communities)

    def all(self) -> dict[str, ReadState]:
        """All states."""
        kinds = (ConversationKind.ONE_TO_ONE, ConversationKind.GROUP, ConversationKind.BLINDED)
        found = {address: state for kind in kinds for address, state in self.view.items(kind)}
        return found | {address_of(room.base_url, room.name): state for room, state in self.view.communities()}


def _kind(address: str) -> ConversationKind:
    if is_blinded(address):
        return ConversationKind.BLINDED
    return ConversationKind.GROUP if is_group(address) else ConversationKind.ONE_TO_ONE
