"""The messages by which admins run a group: what of them is signed, and the check of it.

Every signature covers the time (ms) at which the message that carries it was sent, so that it can't be used again in
another. Of most messages it covers no more than their kind: they only tell people what the group's configs hold.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import BadSignature
from ..account import AccountId, key_of, verify_signature
from ..payload import (
    GroupDeleteContent,
    GroupInfoChange,
    GroupInfoKind,
    GroupInvite,
    GroupMemberChange,
    GroupMemberKind,
    GroupPromotion,
    Profile,
)
from . import subaccount
from .identity import GroupIdentity


def invite(
    group: GroupIdentity, account_id: AccountId, name: str, sent_ms: int, profile: Profile | None = None
) -> GroupInvite:
    """An invitation for one account, which nobody else can use. Raises InvalidInput for an id without a usable key."""
    auth_data = subaccount.auth_data(group, account_id)
    return GroupInvite(group.group_id, name, auth_data, group.sign(_invite(account_id, sent_ms)), profile)


def promotion(group: GroupIdentity, name: str, profile: Profile | None = None) -> GroupPromotion:
    """What makes an admin of whoever reads it."""
    return GroupPromotion(group.seed, name, profile)


def name_change(group: GroupIdentity, name: str, sent_ms: int) -> GroupInfoChange:
    """The notice of another name."""
    return GroupInfoChange(GroupInfoKind.NAME, name, None, group.sign(_info_change(GroupInfoKind.NAME, sent_ms)))


def picture_change(group: GroupIdentity, sent_ms: int) -> GroupInfoChange:
    """The notice of another picture, or of none."""
    return GroupInfoChange(GroupInfoKind.PICTURE, None, None, group.sign(_info_change(GroupInfoKind.PICTURE, sent_ms)))


def timer_change(group: GroupIdentity, seconds: int, sent_ms: int) -> GroupInfoChange:
    """The notice that messages disappear after so many seconds; 0 for never."""
    return GroupInfoChange(GroupInfoKind.TIMER, None, seconds, group.sign(_info_change(GroupInfoKind.TIMER, sent_ms)))


def member_change(
    group: GroupIdentity,
    kind: GroupMemberKind,
    members: Sequence[AccountId],
    sent_ms: int,
    *,
    history_shared: bool = False,
) -> GroupMemberChange:
    """The notice of members who were added, removed or promoted."""
    return GroupMemberChange(kind, tuple(members), history_shared, group.sign(_member_change(kind, sent_ms)))


def delete_content(
    group: GroupIdentity, sent_ms: int, *, members: Sequence[AccountId] = (), hashes: Sequence[str] = ()
) -> GroupDeleteContent:
    """An admin's order to delete messages, by their hashes, or all that members have sent before `sent_ms`."""
    signature = group.sign(_delete_content(members, hashes, sent_ms))
    return GroupDeleteContent(tuple(members), tuple(hashes), signature)


def delete_own_content(hashes: Sequence[str]) -> GroupDeleteContent:
    """A member's order to delete messages of its own."""
    return GroupDeleteContent((), tuple(hashes))


def verify_invite(invite: GroupInvite, account_id: AccountId, sent_ms: int) -> None:
    """Check that an admin invited this account in a message sent at this time. Raises BadSignature.

    What lets it in has to be checked as well: see `subaccount.GroupMember`.
    """
    verify_signature(key_of(invite.group_id), _invite(account_id, sent_ms), invite.signature)


def verify_change(
    change: GroupInfoChange | GroupMemberChange | GroupDeleteContent, group_id: AccountId, sent_ms: int
) -> None:
    """Check that an admin of a group signed a change, in a message sent at this time. Raises BadSignature."""
    match change:
        case GroupInfoChange():
            signed = _info_change(change.kind, sent_ms)
        case GroupMemberChange():
            signed = _member_change(change.kind, sent_ms)
        case GroupDeleteContent():
            signed = _delete_content(change.members, change.hashes, sent_ms)
    if change.signature is None:
        raise BadSignature("A change of a group bears no signature of an admin.")
    verify_signature(key_of(group_id), signed, change.signature)


def _invite(account_id: AccountId, sent_ms: int) -> bytes:
    return f"INVITE{account_id}{sent_ms}".encode()


def _info_change(kind: GroupInfoKind, sent_ms: int) -> bytes:
    return f"INFO_CHANGE{kind.value}{sent_ms}".encode()


def _member_change(kind: GroupMemberKind, sent_ms: int) -> bytes:
    return f"MEMBER_CHANGE{kind.value}{sent_ms}".encode()


def _delete_content(members: Sequence[AccountId], hashes: Sequence[str], sent_ms: int) -> bytes:
    return f"DELETE_CONTENT{sent_ms}{''.join(members)}{''.join(hashes)}".encode()
