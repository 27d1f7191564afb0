"""The messages by which a group is run: their wire, their signatures, what is refused, what is for later versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import BadSignature, InvalidInput, MalformedMessage
from session_cli.protocol import content as contents
from session_cli.protocol.account import AccountId, Identity, verify_signature
from session_cli.protocol.group import updates
from session_cli.protocol.group.identity import GroupIdentity
from session_cli.protocol.group.subaccount import GroupMember
from session_cli.protocol.payload import (
    Content,
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
    Ignored,
    Payload,
    Profile,
    Unknown,
)
from session_cli.protocol.proto import session_pb2 as pb
from tests.support.payloads import GROUP_UPDATES

GROUP = GroupIdentity.from_seed(b"\3" * 32)
OTHER_GROUP = GroupIdentity.from_seed(b"\4" * 32)
ANN, TOM = (Identity.from_seed(bytes([number]) * 16) for number in (1, 2))
NOW_MS = 1_795_000_000_000
HASHES = ("a" * 43, "b" * 43)
SIGNATURE = b"s" * 64


def read(**fields: Any) -> Payload:
    """What a data message with this group update comes to."""
    update = pb.GroupUpdateMessage(**fields)
    return contents.parse(pb.Content(dataMessage=pb.DataMessage(groupUpdateMessage=update)).SerializeToString()).payload


@given(GROUP_UPDATES)
def test_round_trip(update: GroupUpdate) -> None:
    content = Content(update, NOW_MS)
    assert contents.parse(contents.serialize(content)) == content


def test_wire() -> None:
    """Field numbers of the public clients: 120 in a data message, and so on down."""

    def wire(update: GroupUpdate) -> bytes:
        content = pb.Content.FromString(contents.serialize(Content(update, None)))
        return content.dataMessage.SerializeToString()

    assert wire(GroupMemberLeft()).hex() == "c207022a00"
    assert wire(GroupLeftNotice()).hex() == "c207024200"
    assert wire(GroupInviteResponse(approved=True)).hex() == "c2070432020801"
    sign = "2240" + SIGNATURE.hex()
    assert (
        wire(GroupInfoChange(GroupInfoKind.TIMER, None, 60, SIGNATURE)).hex() == "c207481246" + "0803" + "183c" + sign
    )
    assert wire(GroupMemberChange(GroupMemberKind.REMOVED, (), True, SIGNATURE)).hex() == (
        "c207481a46" + "0802" + "1801" + sign
    )
    assert wire(GroupDeleteContent((), ("h",))).hex() == "c207053a03120168"
    assert wire(GroupPromotion(b"g" * 32, "G")).hex() == "c207272225" + "0a20" + "67" * 32 + "120147"
    invite = GroupInvite(GROUP.group_id, "G", b"a" * 100, SIGNATURE)
    assert wire(invite).hex() == "".join(
        ("c207f2010aef01", "0a42", GROUP.group_id.encode().hex(), "120147", "1a64", "61" * 100, sign)
    )


def test_invitations() -> None:
    profile = Profile("Bob")
    invite = updates.invite(GROUP, ANN.account_id, "Friends", NOW_MS, profile)
    assert (invite.group_id, invite.name, invite.profile) == (GROUP.group_id, "Friends", profile)
    signed = f"INVITE{ANN.account_id}{NOW_MS}".encode()
    verify_signature(GROUP.ed25519_public, signed, invite.signature)
    updates.verify_invite(invite, ANN.account_id, NOW_MS)
    assert GroupMember.from_auth_data(ANN, invite.group_id, invite.auth_data).group_id == GROUP.group_id
    for wrong, account_id, sent_ms in (
        (invite, TOM.account_id, NOW_MS),
        (invite, ANN.account_id, NOW_MS + 1),
        (replace(invite, group_id=OTHER_GROUP.group_id), ANN.account_id, NOW_MS),
        (replace(invite, signature=SIGNATURE), ANN.account_id, NOW_MS),
    ):
        with pytest.raises(BadSignature):
            updates.verify_invite(wrong, account_id, sent_ms)
    with pytest.raises(InvalidInput):
        updates.invite(GROUP, AccountId("05" + "00" * 32), "Friends", NOW_MS)


def test_a_promotion_is_the_seed() -> None:
    promotion = updates.promotion(GROUP, "Friends")
    assert GroupIdentity.from_seed(promotion.seed) == GROUP
    assert repr(GROUP.seed)[2:-1] not in repr(promotion)


MEMBERS = (TOM.account_id, ANN.account_id)
CHANGES: list[tuple[GroupInfoChange | GroupMemberChange | GroupDeleteContent, str]] = [
    (updates.name_change(GROUP, "New", NOW_MS), f"INFO_CHANGE1{NOW_MS}"),
    (updates.picture_change(GROUP, NOW_MS), f"INFO_CHANGE2{NOW_MS}"),
    (updates.timer_change(GROUP, 60, NOW_MS), f"INFO_CHANGE3{NOW_MS}"),
    (updates.member_change(GROUP, GroupMemberKind.ADDED, MEMBERS, NOW_MS), f"MEMBER_CHANGE1{NOW_MS}"),
    (updates.member_change(GROUP, GroupMemberKind.REMOVED, MEMBERS, NOW_MS), f"MEMBER_CHANGE2{NOW_MS}"),
    (updates.member_change(GROUP, GroupMemberKind.PROMOTED, MEMBERS, NOW_MS), f"MEMBER_CHANGE3{NOW_MS}"),
    (
        updates.delete_content(GROUP, NOW_MS, members=MEMBERS, hashes=HASHES),
        f"DELETE_CONTENT{NOW_MS}{TOM.account_id}{ANN.account_id}{'a' * 43}{'b' * 43}",
    ),
    (updates.delete_content(GROUP, NOW_MS, hashes=HASHES), f"DELETE_CONTENT{NOW_MS}{'a' * 43}{'b' * 43}"),
]


@pytest.mark.parametrize(("change", "signed"), CHANGES, ids=[signed[:16] for _, signed in CHANGES])
def test_changes(change: GroupInfoChange | GroupMemberChange | GroupDeleteContent, signed: str) -> None:
    assert change.signature
    verify_signature(GROUP.ed25519_public, signed.encode(), change.signature)
    updates.verify_change(change, GROUP.group_id, NOW_MS)
    for group_id, sent_ms in ((OTHER_GROUP.group_id, NOW_MS), (GROUP.group_id, NOW_MS + 1)):
        with pytest.raises(BadSignature):
            updates.verify_change(change, group_id, sent_ms)
    assert contents.parse(contents.serialize(Content(change, NOW_MS))).payload == change


def test_a_change_of_another_kind_is_none() -> None:
    name, member, deletion = CHANGES[0][0], CHANGES[3][0], CHANGES[6][0]
    assert isinstance(name, GroupInfoChange)
    assert isinstance(member, GroupMemberChange)
    assert isinstance(deletion, GroupDeleteContent)
    for wrong in (
        replace(name, kind=GroupInfoKind.TIMER),
        replace(member, kind=GroupMemberKind.PROMOTED),
        replace(deletion, members=MEMBERS[::-1]),
        replace(deletion, hashes=HASHES[:1]),
        replace(deletion, signature=None),
        updates.delete_own_content(HASHES),
    ):
        with pytest.raises(BadSignature):
            updates.verify_change(wrong, GROUP.group_id, NOW_MS)


# What is refused, and what is not for us yet.

INVITE: dict[str, Any] = {
    "groupSessionId": GROUP.group_id,
    "name": "G",
    "memberAuthData": b"a" * 100,
    "adminSignature": SIGNATURE,
}
INFO: dict[str, Any] = {"type": "NAME", "adminSignature": SIGNATURE}
MEMBER: dict[str, Any] = {"type": "ADDED", "adminSignature": SIGNATURE}


@pytest.mark.parametrize(
    "fields",
    [
        {"inviteMessage": INVITE | {"groupSessionId": ANN.account_id}},
        {"inviteMessage": INVITE | {"groupSessionId": "03" + "00" * 32}},
        {"inviteMessage": INVITE | {"memberAuthData": b"a" * 99}},
        {"inviteMessage": INVITE | {"adminSignature": b"s" * 63}},
        {"inviteMessage": {"name": "G"}},
        {"infoChangeMessage": INFO | {"adminSignature": b""}},
        {"infoChangeMessage": {"adminSignature": SIGNATURE}},
        {"memberChangeMessage": MEMBER | {"adminSignature": b"s" * 65}},
        {"memberChangeMessage": MEMBER | {"memberSessionIds": ["05" + "A" * 64]}},
        {"memberChangeMessage": MEMBER | {"memberSessionIds": [GROUP.group_id]}},
        {"promoteMessage": {"groupIdentitySeed": b"g" * 64, "name": "G"}},
        {"promoteMessage": {"groupIdentitySeed": b"g" * 32}},
        {"deleteMemberContent": {"adminSignature": b"s"}},
        {"deleteMemberContent": {"memberSessionIds": [""]}},
        {"inviteResponse": {}},
    ],
    ids=str,
)
def test_malformed_updates(fields: dict[str, Any]) -> None:
    message = pb.GroupUpdateMessage()
    for name, values in fields.items():
        getattr(message, name).MergeFrom(type(getattr(message, name))(**values))
    data = pb.DataMessage()
    data.groupUpdateMessage.MergeFrom(message)
    with pytest.raises(MalformedMessage):
        contents.parse(pb.Content(dataMessage=data).SerializePartialToString())


def test_names_are_cut() -> None:
    invite = read(inviteMessage=pb.GroupUpdateInviteMessage(**{**INVITE, "name": "é" * 80}))
    assert isinstance(invite, GroupInvite)
    assert invite.name == "é" * 50
    change = read(infoChangeMessage=pb.GroupUpdateInfoChangeMessage(**{**INFO, "updatedName": "é" * 80}))
    assert isinstance(change, GroupInfoChange)
    assert change.name == "é" * 50


def test_of_several_the_first_counts() -> None:
    both = read(
        memberLeftMessage=pb.GroupUpdateMemberLeftMessage(),
        inviteResponse=pb.GroupUpdateInviteResponseMessage(isApproved=True),
    )
    assert both == GroupMemberLeft()


def in_content(update: bytes) -> bytes:
    """A content with these bytes in the place of its group update."""
    data = b"\xc2\x07" + _varint(len(update)) + update
    return b"\x0a" + _varint(len(data)) + data


@pytest.mark.parametrize(
    "update",
    ["4a00", "1244" + "0809" + "2240" + "73" * 64, "1a46" + "0809" + "1801" + "2240" + "73" * 64],
    ids=["kind", "info", "member"],
)
def test_updates_of_later_versions(update: str) -> None:
    assert isinstance(contents.parse(in_content(bytes.fromhex(update))).payload, Unknown)


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80, number >> 7])


def test_an_update_without_anything_means_nothing() -> None:
    assert isinstance(read(), Ignored)


@given(st.binary(max_size=60))
def test_whatever_stands_there_is_read_or_refused(inner: bytes) -> None:
    try:
        payload = contents.parse(in_content(inner)).payload
    except MalformedMessage:
        return
    assert isinstance(payload, GroupUpdate | Ignored | Unknown)
