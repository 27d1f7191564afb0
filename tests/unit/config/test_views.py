"""The typed views: what they write, what they read of what others wrote, and what they leave alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import InvalidInput, InvalidUrl
from session_cli.protocol import bencode
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.blinding import BlindedId
from session_cli.protocol.config import message as messages
from session_cli.protocol.config import servers
from session_cli.protocol.config.contacts import BlindedContact, Contact, Contacts
from session_cli.protocol.config.convo_info_volatile import ConversationKind, ConvoInfoVolatile, ReadState
from session_cli.protocol.config.fields import NotifyMode, Picture
from session_cli.protocol.config.local import Local
from session_cli.protocol.config.pro import ProCredential
from session_cli.protocol.config.tree import EMPTY, Tree, Value
from session_cli.protocol.config.user_groups import Community, Group, LegacyGroup, LegacyKeys, Removed, UserGroups
from session_cli.protocol.config.user_profile import UserProfile
from session_cli.protocol.payload import Expiration, ExpirationMode

NOW = 1_795_000_000
NOW_MS = NOW * 1000
DAY_MS = 24 * 60 * 60 * 1000
JOE, ANN, TOM = (AccountId("05" + digit * 64) for digit in "012")
GROUP = AccountId("03" + "0" * 64)
PICTURE = Picture("http://filev2.getsession.org/file/1", b"\xaa" * 32)
OTHER_PICTURE = Picture("http://filev2.getsession.org/file/2", b"\xbb" * 32)
SERVER_KEY = bytes(31) + b"\1"


def message_hash(data: Tree) -> str:
    """The hash of the first message with this data."""
    return messages.draft_after(messages.INITIAL, data).finish().hash.hex()


# Published layouts


def test_layout_of_a_profile() -> None:
    data = EMPTY.with_value([b"n"], b"Alice")
    assert message_hash(data) == "7c1bdc7bfddaa9fb95571e85a80bdcf3707d9e0fd6c1472615cb3a724324d251"


def test_layout_of_contacts() -> None:
    joe = Contact(
        JOE,
        name="Joe",
        nickname="Joey",
        picture=PICTURE,
        approved=True,
        priority=2,
        notify=NotifyMode.DISABLED,
        muted_until=1_800_000_000,
        expiration=Expiration(ExpirationMode.AFTER_SEND, 3600),
        created=1_700_000_000,
    )
    view = Contacts().with_contact(joe).with_contact(Contact(ANN))
    assert message_hash(view.data) == "04892fb3b1e2ca95dd4e5a23cd672f15467d6f18ecb39724b9fe95304f5f5ee3"
    assert list(view) == [joe, Contact(ANN)]
    first = messages.draft_after(messages.INITIAL, view.data).finish()
    second = messages.draft_after(first, view.without_contact(JOE).data).finish()
    assert second.hash.hex() == "b92ae9d568570e11e5b15db803f75278982bd28458c4c3b008f5f48d70420479"


def test_layout_of_groups() -> None:
    community = Community(base_url="HTTP://Example.ORG:80", room="SudokuRoom", server_key=SERVER_KEY, priority=3)
    group = Group(group_id=GROUP, name="G", joined_at=1_700_000_000, invited=True, auth_data=b"A" * 100)
    legacy = LegacyGroup(
        group_id=TOM,
        name="old",
        keys=LegacyKeys(b"P" * 32, b"S" * 32),
        members=frozenset([AccountId("05" + "3" * 64)]),
        admins=frozenset([ANN]),
        timer=60,
    )
    view = UserGroups().with_group(group).with_community(community).with_legacy_group(legacy)
    assert message_hash(view.data) == "1ff3a3036a38fb16aa89d926fd1a615a9dfea937fb8706abedec7e8d4c27ba78"
    assert (list(view.groups()), list(view.legacy_groups())) == ([group], [legacy])
    assert list(view.communities()) == [replace(community, base_url="http://example.org")]
    first = messages.draft_after(messages.INITIAL, view.data).finish()
    kicked = messages.draft_after(first, view.with_group(group.kicked()).data).finish()
    assert kicked.hash.hex() == "31c78fc7013d882e94d3ead38d7224642ac319dea4435a4a61f8956289c95441"


def test_layout_of_conversations() -> None:
    view = (
        ConvoInfoVolatile()
        .with_read(ConversationKind.ONE_TO_ONE, ANN, ReadState(4_102_444_800_000, unread=True), NOW_MS)
        .with_community("http://example.org", "sudokuroom", SERVER_KEY, ReadState(4_102_444_800_001), NOW_MS)
        .with_read(ConversationKind.GROUP, GROUP, ReadState(4_102_444_800_002), NOW_MS)
    )
    assert message_hash(view.data) == "875917f426cf442d39d020ad538bc9c9ae606a83e4a478c6b8e4e3c15d441101"


# What is left alone

UNKNOWN: dict[bytes, Value] = {
    b"Zz": b"from a later version",
    b"\xff": EMPTY.with_values({b"a": frozenset({1, b"x"}), b"b": 7}),
}


def test_unknown_keys_survive_changes_everywhere() -> None:
    contact = EMPTY.with_values({**UNKNOWN, b"n": b"Joe", b"@": 9, b"a": b"not a number"})
    odd = EMPTY.with_values(UNKNOWN)
    data = EMPTY.with_values(UNKNOWN).with_value([b"c", bytes.fromhex(JOE)], contact)
    data = data.with_value([b"c", b"odd key"], odd)
    view = Contacts(data)
    joe = view.get(JOE)
    assert joe == Contact(JOE, name="Joe")
    assert list(view) == [joe]
    changed = view.with_contact(replace(joe, blocked=True)).data
    assert changed.branch(b"c", bytes.fromhex(JOE)) == contact.with_value([b"b"], 1)
    assert changed.branch(b"c", b"odd key") == odd
    assert changed == data.with_value([b"c", bytes.fromhex(JOE), b"b"], 1)
    assert Contacts(changed).with_contact(joe).data == data


@pytest.mark.parametrize("value", [b"", b"\xff\xfe", 0, -1, 2**62, frozenset({b"x"}), EMPTY.with_value([b"x"], 1)])
def test_values_of_any_type_are_read(value: Value) -> None:
    entry = EMPTY.with_values(dict.fromkeys([bytes([key]) for key in range(256)], value))
    raw = [bytes.fromhex(some_id) for some_id in (JOE, GROUP)]
    data = entry.with_values(
        {top: EMPTY.with_values(dict.fromkeys([*raw, b"http://a.b"], entry)) for top in (b"c", b"1", b"g", b"C", b"b")}
    )
    rooms = EMPTY.with_values({b"#": SERVER_KEY, b"R": EMPTY.with_values({b"room": entry, b"Not Lower": entry})})
    data = data.with_value([b"o"], EMPTY.with_values({b"http://a.bc": rooms, b"HTTP://A.BC": rooms, b"\xff": rooms}))
    for given_data in (entry, data):
        assert len(list(Contacts(given_data))) <= 1
        list(Contacts(given_data).blinded())
        groups = UserGroups(given_data)
        assert len([*groups.groups(), *groups.communities(), *groups.legacy_groups()]) <= 3
        conversations = ConvoInfoVolatile(given_data).without_stale(NOW_MS)
        assert all(len(list(conversations.items(kind))) <= 1 for kind in ConversationKind)
        profile = UserProfile(given_data)
        assert profile.name in {"", "x"}
        assert profile.picture is None
        assert profile.pro_credential is None
        assert min(profile.updated, profile.note_to_self_expiry, profile.pro_expiry, profile.pro_grace) >= 0


def test_writing_what_was_read_changes_nothing() -> None:
    raw = EMPTY.with_values({b"n": b"x" * 120, b"@": 3, b"!": 1_700_000_000_000, b"e": 2, b"j": -5})
    contacts = EMPTY.with_value([b"c", bytes.fromhex(JOE)], raw)
    joe = Contacts(contacts).get(JOE)
    assert joe == Contact(JOE, name="x" * 100, notify=NotifyMode.ALL, muted_until=1_700_000_000)
    assert Contacts(contacts).with_contact(joe).data is contacts


# Limits


@given(st.text(max_size=120))
def test_names_are_cut_at_a_character(name: str) -> None:
    contact = Contacts().with_contact(Contact(JOE, name=name)).get(JOE)
    assert contact
    assert len(contact.name.encode()) <= 100
    assert name.encode(errors="replace").decode().startswith(contact.name)


def test_the_own_name_is_not_cut() -> None:
    assert UserProfile().with_name("é" * 50, NOW).name == "é" * 50
    with pytest.raises(InvalidInput, match="100 bytes"):
        UserProfile().with_name("é" * 50 + "e", NOW)


@pytest.mark.parametrize("picture", [Picture("", bytes(32)), Picture("u" * 224, bytes(32)), Picture("u", bytes(31))])
def test_pictures_that_nobody_could_load(picture: Picture) -> None:
    with pytest.raises(InvalidInput):
        UserProfile().with_picture(picture, NOW)
    with pytest.raises(InvalidInput):
        Contacts().with_contact(Contact(JOE, picture=picture))


@pytest.mark.parametrize("bad", ["", "05", "05" + "g" * 64, "03" + "0" * 64, "05" + "0" * 63, "05" + "0" * 65])
def test_ids_of_the_wrong_kind(bad: str) -> None:
    with pytest.raises(InvalidInput):
        Contacts().with_contact(Contact(AccountId(bad)))
    with pytest.raises(InvalidInput):
        ConvoInfoVolatile().with_read(ConversationKind.ONE_TO_ONE, bad, ReadState(NOW_MS), NOW_MS)
    with pytest.raises(InvalidInput):
        UserGroups().with_legacy_group(LegacyGroup(group_id=AccountId(bad)))


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTPS://ULREVA.Example.ORG:443/", "https://ulreva.example.org"),
        ("http://a.bc:80", "http://a.bc"),
        ("http://a.bc:443", "http://a.bc:443"),
        ("https://127.0.0.1:8080/", "https://127.0.0.1:8080"),
    ],
)
def test_addresses_of_communities(url: str, canonical: str) -> None:
    assert servers.canonical_base_url(url) == canonical


@pytest.mark.parametrize(
    "url",
    ["", "a.bc", "ftp://a.bc", "http://host", "http://a..bc", "http://a.bc/room", "http://a.bc:65536", "http://a.bc:x",
     "http://\u212a.bc", "http://" + "a" * 300 + ".bc", "http://a.bc//", "http://user@a.bc"],
)  # fmt: skip
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InvalidUrl):
        servers.canonical_base_url(url)


@pytest.mark.parametrize("room", ["", "a b", "ä", "r" * 65, "\u212aitchen", "a/b"])
def test_rooms_that_are_none(room: str) -> None:
    with pytest.raises(InvalidUrl):
        UserGroups().with_community(Community(base_url="http://a.bc", room=room, server_key=SERVER_KEY))


def test_sizes_of_keys() -> None:
    with pytest.raises(InvalidInput):
        UserGroups().with_community(Community(base_url="http://a.bc", room="r", server_key=bytes(31)))
    with pytest.raises(InvalidInput):
        UserGroups().with_group(Group(group_id=GROUP, auth_data=bytes(99)))
    with pytest.raises(InvalidInput):
        UserGroups().with_legacy_group(LegacyGroup(group_id=JOE, keys=LegacyKeys(bytes(32), b"")))
    with pytest.raises(InvalidInput):
        ConvoInfoVolatile().with_read(ConversationKind.ONE_TO_ONE, JOE, ReadState(NOW_MS, pro_tag=b"x"), NOW_MS)


# Profiles


def test_the_later_picture_is_shown() -> None:
    profile = UserProfile().with_picture(PICTURE, NOW)
    assert (profile.picture, profile.updated) == (PICTURE, NOW)
    again = profile.with_reuploaded_picture(OTHER_PICTURE, NOW + 10)
    assert (again.picture, again.updated) == (OTHER_PICTURE, NOW + 10)
    renamed = again.with_name("Alice", NOW + 20)
    assert (renamed.picture, renamed.updated) == (OTHER_PICTURE, NOW + 20)
    chosen = renamed.with_picture(Picture("http://x", bytes(32)), NOW + 30)
    assert chosen.picture == Picture("http://x", bytes(32))
    cleared = chosen.with_picture(None, NOW + 40)
    assert (cleared.picture, cleared.updated) == (None, NOW + 40)
    assert set(cleared.data) == {b"n", b"t", b"T"}


def test_what_is_the_same_moves_no_time() -> None:
    profile = UserProfile().with_name("Alice", NOW).with_picture(PICTURE, NOW).with_blinded_requests(True, NOW)
    assert profile.with_name("Alice", NOW + 9) is profile
    assert profile.with_picture(PICTURE, NOW + 9) is profile
    assert profile.with_blinded_requests(True, NOW + 9) is profile
    assert profile.with_note_to_self_priority(-1).updated == NOW


def test_subscriptions_are_read_in_all_their_forms() -> None:
    proof: dict[bytes, Value] = {b"e": 1_800_000_000, b"g": b"t" * 32, b"s": b"s" * 64}
    expected = ProCredential(1_800_000_000, b"t" * 32, b"r" * 32, b"s" * 64)
    packed: Value = bencode.encode({**proof, b"r": b"r" * 32})
    nested = EMPTY.with_values({b"r": b"r" * 32, b"p": EMPTY.with_values(proof)})
    oldest = EMPTY.with_values(
        {b"r": b"r" * 32 + b"p" * 32, b"p": EMPTY.with_values({**proof, b"e": 1_800_000_000_000, b"@": 0})}
    )
    for value in (packed, nested, oldest):
        assert UserProfile(EMPTY.with_value([b"s"], value)).pro_credential == expected
    assert UserProfile(EMPTY.with_value([b"s"], b"di1e")).pro_credential is None


def test_subscription_times() -> None:
    profile = UserProfile(
        EMPTY.with_values({b"E": 1_800_000_000_000, b"G": 60, b"A": 1, b"R": NOW, b"I": NOW - 700_000})
    )
    assert (profile.pro_expiry, profile.pro_grace, profile.pro_renews) == (1_800_000_000, 60, True)
    assert (profile.pro_refund_requested(NOW + 60), profile.pro_purchase_begun(NOW)) == (NOW, 0)
    assert UserProfile(EMPTY.with_value([b"f"], frozenset({0, 1, b"x"}))).pro_features == {0, 1}


# Contacts, conversations, groups


@pytest.mark.parametrize("prefix", ["15", "25"])
def test_blinded_contacts(prefix: str) -> None:
    contact = BlindedContact(BlindedId(prefix + "ab" * 32), "http://a.bc", SERVER_KEY, name="Stranger", created=NOW)
    view = Contacts().with_blinded(contact)
    assert list(view.blinded()) == [contact]
    assert list(view) == []
    assert view.without_blinded(contact).data == EMPTY


def test_blinded_conversations_in_both_forms() -> None:
    bare = EMPTY.with_values({b"r": NOW_MS, b"y": 1})
    view = ConvoInfoVolatile(EMPTY.with_value([b"b", b"\xab" * 32], bare))
    blinded_id = "15" + "ab" * 32
    assert list(view.items(ConversationKind.BLINDED)) == [(blinded_id, ReadState(NOW_MS))]
    moved = view.with_read(ConversationKind.BLINDED, blinded_id, ReadState(NOW_MS + 1), NOW_MS)
    assert moved.data.branch(b"b", b"\xab" * 32) == bare.with_value([b"r"], NOW_MS + 1)
    fresh = ConvoInfoVolatile().with_read(ConversationKind.BLINDED, blinded_id, ReadState(NOW_MS), NOW_MS)
    assert fresh.data.branch(b"b", bytes.fromhex(blinded_id)) == bare


def test_what_was_read_long_ago() -> None:
    kind, old = ConversationKind.ONE_TO_ONE, ReadState(NOW_MS - 31 * DAY_MS)
    view = ConvoInfoVolatile().with_read(kind, JOE, old, NOW_MS)
    assert view.get(kind, JOE) is None
    unread = view.with_read(kind, JOE, replace(old, unread=True), NOW_MS)
    assert unread.get(kind, JOE) == ReadState(unread=True)
    later = ConvoInfoVolatile().with_read(kind, JOE, ReadState(NOW_MS), NOW_MS)
    assert later.with_read(kind, JOE, old, NOW_MS).get(kind, JOE) == old
    assert later.without_stale(NOW_MS + 44 * DAY_MS).get(kind, JOE) == ReadState(NOW_MS)
    assert later.without_stale(NOW_MS + 46 * DAY_MS).data == EMPTY
    community = ConvoInfoVolatile().with_community("http://a.bc", "r", SERVER_KEY, ReadState(NOW_MS), NOW_MS)
    assert community.without_stale(NOW_MS + 46 * DAY_MS).data == EMPTY


def test_admins_and_members() -> None:
    seed = bytes(range(32))
    group_id = AccountId("03" + Identity.from_seed(seed).ed25519_public.hex())
    member = Group(group_id=group_id, name="G", auth_data=b"A" * 100)
    view = UserGroups().with_group(member)
    promoted = view.with_group(replace(member, seed=seed)).group(group_id)
    assert promoted == replace(member, seed=seed)
    assert promoted.is_admin
    stranger = view.with_group(replace(member, seed=bytes(32))).group(group_id)
    assert stranger == member
    assert not stranger.is_admin
    kicked = promoted.kicked()
    assert (kicked.seed, kicked.auth_data, kicked.removed) == (None, None, Removed.KICKED)
    assert kicked.invited_again().removed is Removed.NOT
    assert kicked.destroyed().kicked().invited_again().removed is Removed.DESTROYED
    assert UserGroups().with_group(Group(group_id=GROUP)).group(GROUP) == Group(group_id=GROUP)


def test_the_last_room_takes_its_server_along() -> None:
    rooms = [Community(base_url="http://a.bc", room=room, server_key=SERVER_KEY) for room in ("One", "two")]
    view = UserGroups().with_community(rooms[0]).with_community(rooms[1])
    assert view.community("http://A.bc:80", "ONE") == rooms[0]
    fewer = view.without_community("http://a.bc", "one")
    assert list(fewer.communities()) == [rooms[1]]
    assert fewer.without_community("http://a.bc", "two").data == EMPTY
    assert fewer.without_community("http://a.bc", "three").data is fewer.data


def test_members_of_legacy_groups_beside_what_is_none() -> None:
    odd = EMPTY.with_values({b"n": b"old", b"m": frozenset({b"odd", bytes.fromhex(JOE), 3})})
    view = UserGroups(EMPTY.with_value([b"C", bytes.fromhex(TOM)], odd))
    (group,) = view.legacy_groups()
    assert group.members == {JOE}
    changed = view.with_legacy_group(replace(group, members=frozenset({ANN})))
    assert changed.data.branch(b"C", bytes.fromhex(TOM)).get(b"m") == {b"odd", 3, bytes.fromhex(ANN)}


def test_local_settings() -> None:
    local = Local().with_number("theme", 2).with_setting("typing", True).with_setting("links", False)
    assert (local.number("theme"), local.number("notify_sound")) == (2, 0)
    assert (local.setting("typing"), local.setting("links"), local.setting("none")) == (True, False, None)
    assert local.with_setting("typing", None).with_setting("links", None).data == EMPTY.with_value([b"theme"], 2)
    with pytest.raises(InvalidInput):
        local.number("colour")


def test_values_are_not_shown() -> None:
    group = Group(group_id=GROUP, seed=b"S" * 32, auth_data=b"A" * 100)
    keys = LegacyKeys(b"P" * 32, b"S" * 32)
    credential = ProCredential(1, b"t" * 32, b"S" * 32, b"s" * 64)
    shown = repr((group, keys, credential, UserGroups().with_group(group), Picture("u", b"S" * 32)))
    assert "SSSS" not in shown
    assert "AAAA" not in shown
