"""Where in the swarms that lies which is said in a conversation."""

from __future__ import annotations

from ..protocol.account import AccountId, is_community, is_group
from ..protocol.storage_rpc import Namespace
from ..store.communities import POSTS


def audience(conversation: str, own_id: AccountId) -> list[AccountId]:
    """To whose swarms it goes what we say there: first to the other's, then to our own, for our other devices."""
    others = [AccountId(conversation)] if conversation != own_id else []
    return others if is_group(conversation) or is_community(conversation) else [*others, own_id]


def place_in_swarm(conversation: str, own_id: str) -> tuple[str, int]:
    """The account and namespace where what is said in a conversation lies for us: a group's swarm, or our own.

    Of a room it is what stands for that in the store.
    """
    if is_community(conversation):
        return conversation, POSTS
    return (conversation, Namespace.GROUP_MESSAGES) if is_group(conversation) else (own_id, Namespace.MESSAGES)
