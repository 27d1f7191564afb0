"""The typed views of a group's configs: transitions, limits, and what they leave alone.

What they write is held against the official library's in the scripts of `tests/unit/group`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import InvalidInput
from session_cli.protocol.account import AccountId
from session_cli.protocol.config.fields import Picture
from session_cli.protocol.config.group_info import GroupInfo
from session_cli.protocol.config.group_members import GroupMembers, Member, MemberStatus, Offer, Removal
from session_cli.protocol.config.tree import EMPTY, Tree, Value

ANN, JOE = (AccountId("05" + digit * 64) for digit in "01")
GROUP = "03" + "0" * 64
PICTURE = Picture("http://filev2.getsession.org/file/1", b"\xaa" * 32)
NOW = 1_795_000_000


def entry_of(member: Member) -> Tree:
    return GroupMembers().with_member(member).data.branch(b"m", bytes.fromhex(member.account_id))


# Members.

NEW = Member(ANN, name="Ann", supplement=True)
SENT = NEW.with_invitation(Offer.SENT)
MEMBER = SENT.with_invitation(Offer.ACCEPTED)
OFFERED = MEMBER.with_promotion(Offer.NOT_SENT)
ADMIN = OFFERED.with_promotion(Offer.ACCEPTED)


@pytest.mark.parametrize(
    ("member", "keys", "status"),
    [
        (NEW, {b"I": 3, b"s": 1}, MemberStatus.INVITE_NOT_SENT),
        (SENT, {b"I": 1, b"s": 1}, MemberStatus.INVITE_SENT),
        (SENT.with_invitation(Offer.FAILED), {b"I": 2, b"s": 1}, MemberStatus.INVITE_FAILED),
        (SENT.with_invitation(Offer.NOT_SENT), {b"I": 3, b"s": 1}, MemberStatus.INVITE_NOT_SENT),
        (MEMBER, {}, MemberStatus.MEMBER),
        (OFFERED, {b"A": 1, b"P": 3}, MemberStatus.PROMOTION_NOT_SENT),
        (NEW.with_promotion(Offer.SENT), {b"A": 1, b"P": 1}, MemberStatus.PROMOTION_SENT),
        (OFFERED.with_promotion(Offer.FAILED), {b"A": 1, b"P": 2}, MemberStatus.PROMOTION_FAILED),
        (ADMIN, {b"A": 1}, MemberStatus.ADMIN),
        (NEW.removed(), {b"R": 1}, MemberStatus.REMOVED),
        (OFFERED.removed(with_messages=True), {b"A": 1, b"R": 2}, MemberStatus.REMOVED_WITH_MESSAGES),
        (replace(MEMBER, removal=9), {b"R": 9}, MemberStatus.REMOVED_UNKNOWN),
        (replace(MEMBER, invitation=9), {b"I": 9}, MemberStatus.INVITE_UNKNOWN),
        (replace(ADMIN, promotion=9), {b"A": 1, b"P": 9}, MemberStatus.PROMOTION_UNKNOWN),
    ],
    ids=lambda value: value.name if isinstance(value, MemberStatus) else "",
)
def test_every_step_of_a_member(member: Member, keys: dict[bytes, Value], status: MemberStatus) -> None:
    assert entry_of(member) == EMPTY.with_values({b"n": b"Ann", **keys})
    assert member.status is status
    assert GroupMembers().with_member(member).get(ANN) == member


OFFERS = st.sampled_from(Offer)
STEPS: st.SearchStrategy[Callable[[Member], Member]] = st.one_of(
    OFFERS.map(lambda offer: lambda member: member.with_invitation(offer)),
    OFFERS.map(lambda offer: lambda member: member.with_promotion(offer)),
    st.booleans().map(lambda all_: lambda member: member.removed(with_messages=all_)),
)


@given(st.lists(STEPS, max_size=6), st.booleans())
def test_a_member_is_read_as_it_was_written(steps: list[Callable[[Member], Member]], supplement: bool) -> None:
    view, member = GroupMembers(), Member(ANN, supplement=supplement)
    for step in steps:
        member = step(member)
        view = view.with_member(member)
        found = view.get(ANN)
        assert found
        assert found.status is member.status
        assert entry_of(found) == entry_of(member)
        assert found == replace(found, admin=member.admin, promotion=member.promotion, removal=member.removal)
        member = found


def test_an_admin_is_never_invited() -> None:
    written = GroupMembers().with_member(Member(ANN, admin=True, supplement=True))
    assert written.get(ANN) == Member(ANN, admin=True, invitation=Offer.ACCEPTED)


def test_members_are_listed_by_id_whatever_their_state() -> None:
    view = GroupMembers().with_member(Member(JOE).removed()).with_member(Member(ANN))
    assert view.ids == (ANN, JOE)
    assert [member.removal for member in view] == [Removal.NOT, Removal.MEMBER]
    assert view.without_member(ANN).ids == (JOE,)
    assert view.without_member(ANN).without_member(JOE).data == EMPTY
    assert GroupMembers().get(ANN) is None
    assert GroupMembers().without_member(ANN).data == EMPTY


@pytest.mark.parametrize("wrong", [GROUP, "05", "zz"])
def test_only_accounts_are_members(wrong: str) -> None:
    for ask in (GroupMembers().get, GroupMembers().without_member):
        with pytest.raises(InvalidInput):
            ask(AccountId(wrong))
    with pytest.raises(InvalidInput):
        GroupMembers().with_member(Member(AccountId(wrong)))


def test_unknown_keys_of_members_survive() -> None:
    odd = EMPTY.with_values({b"x": b"later", b"I": 1, b"n": b"Ann", b"Z": frozenset({1})})
    data = EMPTY.with_values({b"m": EMPTY.with_values({bytes.fromhex(ANN): odd, b"odd": odd, b"\5" * 33: 7}), b"y": 1})
    view = GroupMembers(data)
    assert view.ids == (ANN,)
    ann = view.get(ANN)
    assert ann == Member(ANN, "Ann", invitation=Offer.SENT)
    assert view.with_member(ann).data is data
    promoted = view.with_member(ann.with_promotion(Offer.SENT)).data
    path = (b"m", bytes.fromhex(ANN))
    assert promoted == data.with_value(path, odd.with_values({b"I": None, b"A": 1, b"P": 1}))


def test_names_of_members_are_cut_and_always_there() -> None:
    assert entry_of(Member(ANN, name="é" * 60))[b"n"] == "é".encode() * 50
    assert entry_of(Member(ANN))[b"n"] == b""


# Info.

FULL = (
    GroupInfo()
    .with_name("Grp")
    .with_description("What it is about")
    .with_picture(PICTURE)
    .with_timer(3600)
    .with_created(NOW)
    .with_delete_before(NOW + 1)
    .with_delete_attachments_before(NOW + 2)
    .destroyed()
)


def test_every_field_of_a_group() -> None:
    assert FULL.data == EMPTY.with_values(
        {
            b"n": b"Grp",
            b"o": b"What it is about",
            b"p": PICTURE.url.encode(),
            b"q": PICTURE.key,
            b"E": 3600,
            b"c": NOW,
            b"d": NOW + 1,
            b"D": NOW + 2,
            b"!": 1,
        }
    )
    assert (FULL.name, FULL.description, FULL.picture, FULL.timer) == ("Grp", "What it is about", PICTURE, 3600)
    assert (FULL.created, FULL.delete_before, FULL.delete_attachments_before) == (NOW, NOW + 1, NOW + 2)
    assert FULL.is_destroyed
    assert not GroupInfo().is_destroyed
    emptied = FULL.with_name("").with_description("").with_picture(None).with_timer(0)
    emptied = emptied.with_created(0).with_delete_before(0).with_delete_attachments_before(0)
    assert emptied.data == EMPTY.with_value([b"!"], 1)


def test_times_in_finer_units_are_read_and_written_in_seconds() -> None:
    data = EMPTY.with_values({b"c": NOW * 1000, b"d": NOW * 1_000_000})
    assert (GroupInfo(data).created, GroupInfo(data).delete_before) == (NOW, NOW)
    assert GroupInfo().with_delete_before(NOW * 1000).data == EMPTY.with_value([b"d"], NOW)


def test_limits_of_a_group() -> None:
    assert GroupInfo().with_name("é" * 50).name == "é" * 50
    assert GroupInfo().with_description("é" * 300).description == "é" * 300
    with pytest.raises(InvalidInput):
        GroupInfo().with_name("é" * 51)
    with pytest.raises(InvalidInput):
        GroupInfo().with_description("x" * 601)
    with pytest.raises(InvalidInput):
        GroupInfo().with_picture(Picture("", b"\xaa" * 32))
    longer = EMPTY.with_values({b"n": b"x" * 200, b"o": b"x" * 2_000})
    assert (len(GroupInfo(longer).name), len(GroupInfo(longer).description)) == (100, 600)
    assert GroupInfo(longer).with_name("x" * 100).data is longer


@pytest.mark.parametrize("value", [b"", b"\xff", 0, -1, 2**62, frozenset({b"x"}), EMPTY.with_value([b"x"], 1)])
def test_values_of_any_type_are_read(value: Value) -> None:
    entry = EMPTY.with_values(dict.fromkeys([bytes([key]) for key in range(256)], value))
    info = GroupInfo(entry)
    assert info.name == info.description == ""
    assert min(info.timer, info.created, info.delete_before, info.delete_attachments_before) >= 0
    assert info.picture is None
    data = entry.with_value([b"m"], EMPTY.with_values({bytes.fromhex(ANN): entry, bytes.fromhex(JOE): value}))
    assert ANN in GroupMembers(data).ids
    assert all(member.status in MemberStatus for member in GroupMembers(data))
    assert list(GroupMembers(entry)) == []


def test_unknown_keys_of_a_group_survive() -> None:
    odd: dict[bytes, Value] = {b"x": b"later", b"\xff": frozenset({1, b"x"})}
    assert GroupInfo(EMPTY.with_values(odd)).with_name("Grp").data == EMPTY.with_values({**odd, b"n": b"Grp"})
