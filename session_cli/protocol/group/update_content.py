"""The messages by which groups are run: typed values (`protocol.payload`) on our side, protobuf on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ...errors import InvalidAccountId, MalformedMessage
from ..account import AccountId
from ..content import truncate_name
from ..payload import (
    GroupDeleteContent,
    GroupInfoChange,
    GroupInfoKind,
    GroupInvite,
    GroupInviteResponse,
    GroupLeftNotice,
    GroupMemberChange,
    GroupMemberKind,
    GroupMemberLeft,
    GroupPromotion,
    GroupUpdate,
    Profile,
)
from .identity import SEED_BYTES, parse_group_id
from .subaccount import AUTH_DATA_BYTES

if TYPE_CHECKING:
    from ..proto import session_pb2 as pb

_SIGNATURE_BYTES = 64
_ACCOUNT_ID = re.compile(r"05[0-9a-f]{64}\Z")


def fill(message: pb.GroupUpdateMessage, update: GroupUpdate) -> None:
    """Write an update; its profile has its place elsewhere."""
    from ..proto import session_pb2

    match update:
        case GroupInvite():
            invite = message.inviteMessage
            invite.groupSessionId, invite.name = update.group_id, update.name
            invite.memberAuthData, invite.adminSignature = update.auth_data, update.signature
        case GroupPromotion():
            message.promoteMessage.groupIdentitySeed, message.promoteMessage.name = update.seed, update.name
        case GroupInfoChange():
            message.infoChangeMessage.CopyFrom(
                session_pb2.GroupUpdateInfoChangeMessage(
                    type=_INFO_KINDS[update.kind],
                    updatedName=update.name,
                    updatedExpiration=update.timer_s,
                    adminSignature=update.signature,
                )
            )
        case GroupMemberChange():
            message.memberChangeMessage.CopyFrom(
                session_pb2.GroupUpdateMemberChangeMessage(
                    type=update.kind.name,
                    memberSessionIds=update.members,
                    adminSignature=update.signature,
                )
            )
            if update.history_shared:
                message.memberChangeMessage.historyShared = True
        case GroupMemberLeft():
            message.memberLeftMessage.SetInParent()
        case GroupLeftNotice():
            message.memberLeftNotificationMessage.SetInParent()
        case GroupInviteResponse():
            message.inviteResponse.isApproved = update.approved
        case GroupDeleteContent():
            message.deleteMemberContent.memberSessionIds.extend(update.members)
            message.deleteMemberContent.messageHashes.extend(update.hashes)
            if update.signature is not None:
                message.deleteMemberContent.adminSignature = update.signature
        case _:
            raise TypeError(f"{type(update).__name__} is no message of a group.")


_INFO_KINDS = {
    GroupInfoKind.NAME: "NAME",
    GroupInfoKind.PICTURE: "AVATAR",
    GroupInfoKind.TIMER: "DISAPPEARING_MESSAGES",
}


def read(message: pb.GroupUpdateMessage, profile: Profile | None) -> GroupUpdate | None:
    """The update, or None if it says nothing in the fields that we know. Raises MalformedMessage."""
    return next((reader(message, profile) for name, reader in _READERS if message.HasField(name)), None)


def _read_invite(message: pb.GroupUpdateMessage, profile: Profile | None) -> GroupUpdate:
    invite = message.inviteMessage
    try:
        group_id = parse_group_id(invite.groupSessionId)
    except InvalidAccountId:
        raise MalformedMessage("An invitation is to no possible group.") from None
    if len(invite.memberAuthData) != AUTH_DATA_BYTES:
        raise MalformedMessage("An invitation lacks what would let us into the group.")
    return GroupInvite(
        group_id, truncate_name(invite.name), invite.memberAuthData, _signature(invite.adminSignature), profile
    )


def _read_promotion(message: pb.GroupUpdateMessage, profile: Profile | None) -> GroupUpdate:
    promotion = message.promoteMessage
    if len(promotion.groupIdentitySeed) != SEED_BYTES:
        raise MalformedMessage("A promotion has no seed of a group.")
    return GroupPromotion(promotion.groupIdentitySeed, truncate_name(promotion.name), profile)


def _read_info_change(message: pb.GroupUpdateMessage, _: Profile | None) -> GroupUpdate:
    info = message.infoChangeMessage
    return GroupInfoChange(
        GroupInfoKind(info.type),
        truncate_name(info.updatedName) if info.HasField("updatedName") else None,
        info.updatedExpiration if info.HasField("updatedExpiration") else None,
        _signature(info.adminSignature),
    )


def _read_member_change(message: pb.GroupUpdateMessage, _: Profile | None) -> GroupUpdate:
    change = message.memberChangeMessage
    return GroupMemberChange(
        GroupMemberKind(change.type),
        _account_ids(change.memberSessionIds),
        change.historyShared,
        _signature(change.adminSignature),
    )


def _read_deletion(message: pb.GroupUpdateMessage, _: Profile | None) -> GroupUpdate:
    deletion = message.deleteMemberContent
    signature = _signature(deletion.adminSignature) if deletion.adminSignature else None
    return GroupDeleteContent(_account_ids(deletion.memberSessionIds), tuple(deletion.messageHashes), signature)


_READERS: tuple[tuple[Any, Callable[[pb.GroupUpdateMessage, Profile | None], GroupUpdate]], ...] = (
    ("inviteMessage", _read_invite),
    ("infoChangeMessage", _read_info_change),
    ("memberChangeMessage", _read_member_change),
    ("promoteMessage", _read_promotion),
    ("memberLeftMessage", lambda _message, _profile: GroupMemberLeft()),
    ("inviteResponse", lambda message, profile: GroupInviteResponse(message.inviteResponse.isApproved, profile)),
    ("deleteMemberContent", _read_deletion),
    ("memberLeftNotificationMessage", lambda _message, _profile: GroupLeftNotice()),
)


def _signature(signature: bytes) -> bytes:
    if len(signature) != _SIGNATURE_BYTES:
        raise MalformedMessage("A signature of a group's admin has the wrong size.")
    return signature


def _account_ids(ids: Iterable[str]) -> tuple[AccountId, ...]:
    found = tuple(ids)
    if not all(map(_ACCOUNT_ID.match, found)):
        raise MalformedMessage("A message of a group names a member that can't be one.")
    return tuple(map(AccountId, found))
