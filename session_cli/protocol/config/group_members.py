"""The members of a group, and how far each has come: invited, promoted, or to be removed. Only admins can change it."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..account import AccountId
from . import fields
from .fields import Picture
from .tree import EMPTY, Tree

_MEMBERS = b"m"


class Offer(enum.IntEnum):
    """How far an invitation or a promotion has come."""

    ACCEPTED = 0
    SENT = 1
    FAILED = 2
    NOT_SENT = 3


class Removal(enum.IntEnum):
    """Whether a member is to be removed. Any admin who sees it carries it out."""

    NOT = 0
    MEMBER = 1
    WITH_MESSAGES = 2


class MemberStatus(enum.Enum):
    """What to say of a member. The `UNKNOWN` ones were written by a later version."""

    MEMBER = "member"
    INVITE_SENT = "invite_sent"
    INVITE_FAILED = "invite_failed"
    INVITE_NOT_SENT = "invite_not_sent"
    INVITE_UNKNOWN = "invite_unknown"
    ADMIN = "admin"
    PROMOTION_SENT = "promotion_sent"
    PROMOTION_FAILED = "promotion_failed"
    PROMOTION_NOT_SENT = "promotion_not_sent"
    PROMOTION_UNKNOWN = "promotion_unknown"
    REMOVED = "removed"
    REMOVED_WITH_MESSAGES = "removed_with_messages"
    REMOVED_UNKNOWN = "removed_unknown"


_REMOVALS: dict[int, MemberStatus] = {
    Removal.MEMBER: MemberStatus.REMOVED,
    Removal.WITH_MESSAGES: MemberStatus.REMOVED_WITH_MESSAGES,
}
_PROMOTIONS: dict[int, MemberStatus] = {
    Offer.ACCEPTED: MemberStatus.ADMIN,
    Offer.SENT: MemberStatus.PROMOTION_SENT,
    Offer.FAILED: MemberStatus.PROMOTION_FAILED,
    Offer.NOT_SENT: MemberStatus.PROMOTION_NOT_SENT,
}
_INVITATIONS: dict[int, MemberStatus] = {
    Offer.ACCEPTED: MemberStatus.MEMBER,
    Offer.SENT: MemberStatus.INVITE_SENT,
    Offer.FAILED: MemberStatus.INVITE_FAILED,
    Offer.NOT_SENT: MemberStatus.INVITE_NOT_SENT,
}


@dataclass(frozen=True, slots=True)
class Member:
    """One member. A new one is yet to be invited. `profile_updated` is in seconds, 0 if unknown.

    `admin` says who is one or was offered to be; who knows the group's seed is one in any case. `supplement` is an
    invitation that brings all keys, with which to read what was sent before. `invitation` and `promotion` are `Offer`s,
    `removal` is a `Removal`, or a number of a later version.
    """

    account_id: AccountId
    name: str = ""
    picture: Picture | None = None
    profile_updated: int = 0
    admin: bool = False
    invitation: int = Offer.NOT_SENT
    promotion: int = Offer.ACCEPTED
    supplement: bool = False
    removal: int = Removal.NOT

    @property
    def status(self) -> MemberStatus:
        """How far the member has come: a removal goes before a promotion, and that before an invitation."""
        if self.removal:
            return _REMOVALS.get(self.removal, MemberStatus.REMOVED_UNKNOWN)
        if self.admin:
            return _PROMOTIONS.get(self.promotion, MemberStatus.PROMOTION_UNKNOWN)
        return _INVITATIONS.get(self.invitation, MemberStatus.INVITE_UNKNOWN)

    def with_invitation(self, offer: Offer) -> Member:
        """After an invitation was sent, failed, was accepted, or is to be sent anew."""
        return replace(self, invitation=offer, supplement=self.supplement and offer is not Offer.ACCEPTED)

    def with_promotion(self, offer: Offer) -> Member:
        """After the offer to be an admin was decided on (not sent yet), sent, failed or was accepted."""
        return replace(self, admin=True, invitation=Offer.ACCEPTED, promotion=offer, supplement=False)

    def removed(self, *, with_messages: bool = False) -> Member:
        """To be removed from the group, perhaps with all that they have written."""
        removal = Removal.WITH_MESSAGES if with_messages else Removal.MEMBER
        return replace(self, invitation=Offer.ACCEPTED, promotion=Offer.ACCEPTED, supplement=False, removal=removal)


_FIELDS: dict[str, fields.Field] = {
    "name": fields.Text(b"n", always=True),
    "picture": fields.Pictured(),
    "profile_updated": fields.Positive(b"t"),
    "admin": fields.Flag(b"A"),
    "invitation": fields.Positive(b"I"),
    "promotion": fields.Positive(b"P"),
    "supplement": fields.Flag(b"s"),
    "removal": fields.Positive(b"R"),
}


@dataclass(frozen=True, slots=True)
class GroupMembers:
    """A view of the data of a group's Members config."""

    data: Tree = EMPTY

    def get(self, account_id: AccountId) -> Member | None:
        """The member of this id. Raises InvalidInput if it is no account's."""
        entry = self.data.branch(_MEMBERS).get(fields.id_bytes(account_id, "05"))
        return _read(account_id, entry) if isinstance(entry, Tree) else None

    def __iter__(self) -> Iterator[Member]:
        """All members, in the order of their ids: those who were invited and those to be removed as well."""
        for key, entry in sorted(self.data.branch(_MEMBERS).items()):
            account_id = fields.id_text(key, "05")
            if account_id and isinstance(entry, Tree):
                yield _read(account_id, entry)

    @property
    def ids(self) -> tuple[AccountId, ...]:
        """The ids of all of them: whom a new key is made for."""
        return tuple(member.account_id for member in self)

    def with_member(self, member: Member) -> GroupMembers:
        """With this member, new or changed. Raises InvalidInput for an id or a picture that can't be."""
        path = (_MEMBERS, fields.id_bytes(member.account_id, "05"))
        written = replace(member, invitation=Offer.ACCEPTED) if member.admin else member
        entry = fields.write_fields(_FIELDS, self.data.branch(*path), written)
        return GroupMembers(self.data.with_value(path, entry))

    def without_member(self, account_id: AccountId) -> GroupMembers:
        """Without this member; the same if there is none."""
        return GroupMembers(self.data.with_value((_MEMBERS, fields.id_bytes(account_id, "05")), None))


def _read(account_id: AccountId, entry: Tree) -> Member:
    member = Member(account_id, **fields.read_fields(_FIELDS, entry))
    if member.admin:
        member = replace(member, invitation=Offer.ACCEPTED)
    honoured = member.invitation and not member.promotion
    return member if honoured else replace(member, supplement=False)
