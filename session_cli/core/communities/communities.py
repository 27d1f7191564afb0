"""The communities of one account, for those who script against them."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Community, CommunityMember, Message


class Communities:
    """The rooms of one account. A room is named by its URL, its address without the key, its name, or its short name.

    Everything raises InvalidInput for what can't be, InvalidUrl, InvalidAccountId and AmbiguousName for rooms and
    people that can't be told, NoPermission for what the server does not let us do, NetworkError and ServiceRefused.
    """

    def all(self) -> list[Community]:
        """Every room that we have joined, by name. Offline."""
        raise NotImplementedError

    def resolve(self, who: str) -> str:
        """The address of the room meant (its URL without the key). Offline."""
        raise NotImplementedError

    def get(self, who: str) -> Community:
        """A room that we have joined. Offline."""
        raise NotImplementedError

    def look(self, url: str) -> Community:
        """A room as its server describes it, joined or not."""
        raise NotImplementedError

    def rooms(self, url: str) -> list[Community]:
        """The rooms of a server, by its URL, or that of any of its rooms; '' is the network's default server."""
        raise NotImplementedError

    def join(self, url: str) -> Community:
        """Join a room, and fetch its latest messages. A name (`session`) is a room of the network's default server."""
        raise NotImplementedError

    def leave(self, who: str) -> Community:
        """Leave a room, and forget what was written there, on all our devices. Returns it as it was. Offline."""
        raise NotImplementedError

    def staff(self, who: str) -> list[CommunityMember]:
        """The moderators and admins of a room; the hidden ones only if we are one."""
        raise NotImplementedError

    def fetch_older(self, who: str, count: int) -> int:
        """Fetch up to so many messages that are older than those that are here; returns how many came."""
        raise NotImplementedError

    def pin(self, message_id: int, *, pinned: bool = True) -> Message:
        """Pin a message (by its local id) for everybody, or no more. For admins."""
        raise NotImplementedError

    def delete(self, message_ids: Sequence[int]) -> list[Message]:
        """Delete messages (by local ids) for everybody: ours, or as a moderator anybody's. Returns them as they were."""
        raise NotImplementedError

    def ban(self, who: str, member: str, *, seconds: int | None = None, delete: bool = False) -> CommunityMember:
        """Keep somebody (an id as it is seen there, or a prefix of one) out of a room, for a time or (None) for good.

        `delete`: with all that they wrote there. For moderators.
        """
        raise NotImplementedError

    def unban(self, who: str, member: str) -> CommunityMember:
        """Let somebody in again. For moderators."""
        raise NotImplementedError

    def grant(self, who: str, member: str, *, admin: bool = False, hidden: bool = False) -> CommunityMember:
        """Make somebody a moderator of a room, or an admin. For admins."""
        raise NotImplementedError

    def revoke(self, who: str, member: str) -> CommunityMember:
        """Take such a role away. For admins."""
        raise NotImplementedError
