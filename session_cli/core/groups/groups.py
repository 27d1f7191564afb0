"""The groups of one account, for those who script against them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...protocol.account import AccountId
from ..model import Group, GroupMember

if TYPE_CHECKING:
    from ..attachments import ProgressReport


class Groups:
    """The groups of one account. A group is named by its id, the beginning of one, or its name.

    Whatever changes a group asks its swarm first what is new there. Everything raises InvalidInput for what can't be,
    InvalidAccountId and AmbiguousName for groups and people that can't be told, NotAdmin where only an admin may do
    that, NetworkError and ServiceRefused. Where the network fails half way, what was decided is noted, and a later run
    brings it to the group.
    """

    def all(self) -> list[Group]:
        """Every group, by name: those that invite us, and those that we were removed from, included. Offline."""
        raise NotImplementedError

    def resolve(self, who: str) -> AccountId:
        """The id of the group meant. Offline."""
        raise NotImplementedError

    def get(self, who: str) -> Group:
        """A group. Offline."""
        raise NotImplementedError

    def members(self, who: str) -> list[GroupMember]:
        """Its members, admins first, then by name. Offline."""
        raise NotImplementedError

    def create(
        self, name: str, people: Sequence[str], *, description: str = "", progress: ProgressReport | None = None
    ) -> Group:
        """Make a group of ourselves, as its admin, and people, whom it invites.

        Where it can't be brought to its swarm there is no group. Invitations that fail can be sent again: `resend`.
        """
        raise NotImplementedError

    def invite(
        self, who: str, people: Sequence[str], *, history: bool = False, progress: ProgressReport | None = None
    ) -> list[GroupMember]:
        """Invite people, who can read what comes after, and with `history` what the swarm still has from before.

        Returns what became of them.
        """
        raise NotImplementedError

    def resend(
        self, who: str, people: Sequence[str] = (), *, progress: ProgressReport | None = None
    ) -> list[GroupMember]:
        """Send invitations and promotions again that failed or were never sent, or those to some people anyway."""
        raise NotImplementedError

    def remove(self, who: str, people: Sequence[str], *, delete_messages: bool = False) -> list[GroupMember]:
        """Remove members, perhaps with all that they wrote. Returns them as they were."""
        raise NotImplementedError

    def promote(self, who: str, people: Sequence[str], *, progress: ProgressReport | None = None) -> list[GroupMember]:
        """Make admins of members, for good. Returns what became of them."""
        raise NotImplementedError

    def rename(self, who: str, name: str) -> Group:
        """Give it another name."""
        raise NotImplementedError

    def describe(self, who: str, description: str) -> Group:
        """Say what it is about; an empty text says nothing."""
        raise NotImplementedError

    def set_picture(self, who: str, picture: bytes | None, *, progress: ProgressReport | None = None) -> Group:
        """Give it a picture (see `pictures.make_picture`), or (None) take it away."""
        raise NotImplementedError

    def expire(self, who: str, seconds: int) -> Group:
        """Let what is written from now on disappear so many seconds after it was sent; 0: never."""
        raise NotImplementedError

    def accept(self, who: str) -> Group:
        """Join a group that invites us."""
        raise NotImplementedError

    def decline(self, who: str) -> Group:
        """Don't join a group that invites us; nobody is told. Returns it as it was. Offline."""
        raise NotImplementedError

    def leave(self, who: str) -> Group:
        """Leave a group, and forget it, on all our devices. Returns it as it was. Its only admin can't."""
        raise NotImplementedError

    def delete(self, who: str) -> Group:
        """End a group for everyone, as an admin; forget one that we are not in. Returns it as it was."""
        raise NotImplementedError
