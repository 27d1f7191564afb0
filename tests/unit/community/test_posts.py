"""Posts: made, verified, and read out of lists in which not everything is as it should be."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from session_cli.errors import BadSignature, InvalidInput, MalformedMessage, MessageTooLong
from session_cli.protocol import content as contents
from session_cli.protocol import xed25519
from session_cli.protocol.account import Identity, ed25519_from_x25519, key_of
from session_cli.protocol.blinding import blind25
from session_cli.protocol.community.auth import ServerIdentity
from session_cli.protocol.community.posts import (
    CLOCK_TOLERANCE_MS,
    MAX_POST_BYTES,
    MOST_POSTS,
    MOST_REACTIONS,
    MOST_REACTORS,
    Deletion,
    Page,
    Post,
    PostReaction,
    ReactionChange,
    SentPost,
    SignedPost,
    content_of,
    make_post,
    open_post,
    parse_entry,
    parse_page,
    parse_post,
    parse_reactors,
    parse_sent_post,
    verify_post,
)
from session_cli.protocol.community.values import MemberId
from session_cli.protocol.padding import pad
from session_cli.protocol.payload import AttachmentPointer, Content, VisibleMessage
from session_cli.protocol.proto import session_pb2
from session_cli.protocol.session_v1 import serialize_envelope

SERVER = bytes.fromhex("c3b3c6f32f0ab5a57f853cc4f30f5da7fda5624b0c77b3fb0829de562ada081d")
POSTED_MS = 1_700_000_000_123
# One account whose Ed25519 key has sign bit 0, and one where it is 1.
POSITIVE, NEGATIVE = (
    next(
        identity
        for identity in (Identity.from_seed(bytes([number]) * 16) for number in range(99))
        if identity.ed25519_public[31] >> 7 == sign
    )
    for sign in (0, 1)
)
ALICE = ServerIdentity.of(POSITIVE, SERVER)
VISIBLE = VisibleMessage("hello", blocks_requests=True)


def serialized(timestamp_ms: int | None = POSTED_MS) -> bytes:
    return contents.serialize(Content(VISIBLE, timestamp_ms))


def row(**changes: Any) -> dict[str, Any]:
    """A post as a server gives it."""
    return {
        "id": 7,
        "session_id": ALICE.member_id,
        "posted": POSTED_MS / 1000,
        "seqno": 9,
        "reactions": {},
        **make_post(ALICE, serialized()).json(),
    } | changes


def post_of(made: SignedPost, author: MemberId) -> Post:
    return Post(7, 9, author, POSTED_MS, None, made.data, made.signature)


# One post.


@pytest.mark.parametrize("identity", [POSITIVE, NEGATIVE])
@pytest.mark.parametrize("blinded", [True, False])
def test_what_is_made_can_be_read(identity: Identity, blinded: bool) -> None:
    author = ServerIdentity.of(identity, SERVER, blinded=blinded)
    made = make_post(author, serialized())
    assert len(made.data) % 160 == 0
    opened = open_post(post_of(made, author.member_id))
    assert opened.content.payload == VISIBLE
    assert opened.serialized == serialized()


def test_a_25_id_can_be_an_author() -> None:
    keys = blind25(POSITIVE, SERVER)
    padded = pad(serialized())
    verify_post(MemberId(keys.blinded_id), padded, keys.sign(padded))


@pytest.mark.parametrize("identity", [POSITIVE, NEGATIVE])
def test_all_ways_to_sign_as_an_account(identity: Identity) -> None:
    """By the X25519 key, its sign in the signature's last bit (Desktop) or not; and by the Ed25519 key (Android)."""
    author, padded = MemberId(identity.account_id), pad(b"x")
    strict = xed25519.sign(identity.x25519_secret, padded)
    verify_post(author, padded, strict)
    own = identity.sign(padded)
    verify_post(author, padded, own)
    sign = identity.ed25519_public[31] & 0x80
    verify_post(author, padded, own[:63] + bytes([own[63] | sign]))
    assert ed25519_from_x25519(key_of(author))[31] < 0x80


@given(st.data(), st.booleans())
def test_no_bit_of_a_post_can_change(data: st.DataObject, blinded: bool) -> None:
    author = ServerIdentity.of(NEGATIVE, SERVER, blinded=blinded)
    made = make_post(author, b"x")
    whole = bytearray(made.data + made.signature)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    if not blinded and bit == len(whole) * 8 - 1:
        # The last bit tells the sign of the key, which is found out anyway.
        verify_post(author.member_id, bytes(whole[:-64]), bytes(whole[-64:]))
        return
    with pytest.raises(BadSignature):
        verify_post(author.member_id, bytes(whole[:-64]), bytes(whole[-64:]))


@given(
    st.sampled_from(["05", "15", "25"]),
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=200),
    st.binary(max_size=70),
)
def test_nobody_signed_what_was_made_up(prefix: str, key: bytes, data: bytes, signature: bytes) -> None:
    with pytest.raises(BadSignature):
        verify_post(MemberId(prefix + key.hex()), data, signature)


def test_a_post_by_somebody_else_is_refused() -> None:
    bob = ServerIdentity.of(NEGATIVE, SERVER)
    with pytest.raises(BadSignature):
        open_post(post_of(make_post(bob, serialized()), ALICE.member_id))


@pytest.mark.parametrize("away_ms", [-CLOCK_TOLERANCE_MS - 1, CLOCK_TOLERANCE_MS + 1])
def test_a_post_from_another_time_is_refused(away_ms: int) -> None:
    """Somebody gives out again what was said before, or elsewhere."""
    with pytest.raises(MalformedMessage, match="another time"):
        open_post(post_of(make_post(ALICE, serialized(POSTED_MS + away_ms)), ALICE.member_id))


@pytest.mark.parametrize("timestamp_ms", [None, POSTED_MS - CLOCK_TOLERANCE_MS, POSTED_MS + CLOCK_TOLERANCE_MS])
def test_a_post_from_about_then_is_taken(timestamp_ms: int | None) -> None:
    opened = open_post(post_of(make_post(ALICE, serialized(timestamp_ms)), ALICE.member_id))
    assert opened.content.timestamp_ms == timestamp_ms


def test_a_post_that_is_no_content_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        open_post(post_of(make_post(ALICE, b"\xff\xff"), ALICE.member_id))


def test_contents_come_bare_or_in_envelopes_padded_or_not() -> None:
    envelope = serialize_envelope(session_pb2.Envelope.CLOSED_GROUP_MESSAGE, pad(serialized()), POSTED_MS)
    for padded in (serialized(), pad(serialized()), serialized() + b"\x80\0", envelope):
        assert content_of(padded) == serialized()


@given(st.binary(max_size=400))
def test_any_content_survives_its_padding(content: bytes) -> None:
    assert content_of(pad(content)) == content


def test_files_of_rooms_have_no_key() -> None:
    pointer = AttachmentPointer("https://example.org/room/lobby/file/3", b"", 10, server_id=3)
    written = contents.serialize(Content(VisibleMessage(attachments=(pointer,)), None))
    assert contents.parse(written).payload == VisibleMessage(attachments=(pointer,))


def test_posts_have_a_largest_size() -> None:
    with pytest.raises(MessageTooLong):
        make_post(ALICE, bytes(MAX_POST_BYTES))


def test_texts_stay_out_of_repr() -> None:
    post = parse_post(row())
    assert "hello" not in repr(make_post(ALICE, serialized())) + repr(post)


# Entries.


def test_a_post() -> None:
    entry = parse_entry(row(edited=POSTED_MS / 1000 + 5, whisper=True, whisper_mods=1, whisper_to="anything"))
    assert isinstance(entry, Post)
    assert (entry.id, entry.seqno, entry.author, entry.posted_ms) == (7, 9, ALICE.member_id, POSTED_MS)
    assert entry.edited_ms == POSTED_MS + 5000
    assert (entry.whisper, entry.whisper_mods, entry.whisper_to) == (True, True, "anything")
    assert open_post(entry).content.payload == VISIBLE


def test_a_deletion_and_a_change_of_reactions() -> None:
    assert parse_entry({**row(data=None, deleted=True), "edited": 1.0}) == Deletion(7, 9)
    change = parse_entry({"id": 7, "seqno": 9, "reactions": {"👍": {"count": 1, "index": 0}}})
    assert change == ReactionChange(7, 9, (PostReaction("👍", 1, False, ()),))
    for value in (change, Deletion(7, 9)):
        assert value.seqno == 9
    with pytest.raises(MalformedMessage):
        parse_post({"id": 7, "seqno": 9, "reactions": {}})


def test_reactions_are_in_their_order_and_odd_ones_left_out() -> None:
    reactions = {
        "b": {"index": 1, "count": 3, "you": True, "reactors": [ALICE.member_id, 7, "somebody"]},
        "a": {"index": 0, "count": 1, "reactors": []},
        "z": {"count": 2},
        "": {"index": 3, "count": 1},
        "x" * 13: {"index": 4, "count": 1},
        "\ud800": {"index": 4, "count": 1},
        "none": {"index": 5, "count": 0},
        "c": {"index": -1, "count": 1},
        "d": {"index": 1, "count": "1"},
        "e": None,
    }
    entry = parse_entry(row(reactions=reactions))
    assert not isinstance(entry, Deletion)
    assert entry.reactions == (
        PostReaction("a", 1, False, ()),
        PostReaction("b", 3, True, (ALICE.member_id,)),
        PostReaction("z", 2, False, ()),
    )


def test_reactions_have_an_end() -> None:
    many = {
        chr(0x4E00 + number): {"index": number, "count": 1, "reactors": [ALICE.member_id] * 500}
        for number in range(900)
    }
    entry = parse_entry({"id": 7, "seqno": 9, "reactions": many})
    assert isinstance(entry, ReactionChange)
    assert len(entry.reactions) == MOST_REACTIONS
    assert {len(reaction.reactors) for reaction in entry.reactions} == {MOST_REACTORS}


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": -1},
        {"id": 2**63},
        {"id": "7"},
        {"id": True},
        {"seqno": None},
        {"session_id": None},
        {"session_id": ALICE.member_id.upper()},
        {"session_id": "03" + "ab" * 32},
        {"posted": None},
        {"posted": "now"},
        {"posted": -1},
        {"posted": 1e300},
        {"posted": float("inf")},
        {"posted": True},
        {"data": None},
        {"data": "?"},
        {"data": "A" * (MAX_POST_BYTES * 2)},
        {"signature": None},
        {"signature": "AAAA"},
        {"signature": base64.b64encode(bytes(65)).decode()},
        {"reactions": [7]},
        {"deleted": "yes"},
        {"edited": "then"},
        {"whisper": "yes"},
        {"whisper_to": 7},
    ],
)
def test_an_odd_entry_costs_only_itself(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        parse_entry(row(**changes))
    page = parse_page([row(id=1), row(**changes), row(id=3, seqno=4)], 100)
    assert [entry.id for entry in page.entries] == [1, 3]
    assert (page.malformed, page.newest_seqno, page.more) == (1, 9, False)


def test_base64_may_come_without_its_padding() -> None:
    assert parse_post(row(signature=row()["signature"].rstrip("="))) == parse_post(row())


def test_an_answer_to_a_post() -> None:
    assert parse_sent_post(row(filtered=True)) == SentPost(7, 9, POSTED_MS, filtered=True)
    with pytest.raises(MalformedMessage):
        parse_sent_post({})


def test_reactors() -> None:
    assert parse_reactors([[ALICE.member_id, 1.5], [7, 1.5], [ALICE.member_id], None]) == ((ALICE.member_id, 1500),)


# Pages.


def test_a_page_is_in_the_order_of_posting_and_has_each_message_once() -> None:
    page = parse_page([row(id=3, seqno=5), row(id=1, seqno=8), row(id=3, seqno=9, data=None, deleted=True)], 3)
    assert [(entry.id, entry.seqno) for entry in page.entries] == [(1, 8), (3, 9)]
    assert isinstance(page.entries[1], Deletion)
    assert page == Page(page.entries, 1, 9, more=True)
    assert parse_page([], 100) == Page(())


def test_an_odd_entry_is_not_asked_for_again() -> None:
    page = parse_page([row(seqno=4), {"seqno": 77}, {"seqno": "x"}, None], 100)
    assert (page.newest_seqno, page.malformed) == (77, 3)


def test_a_page_has_an_end() -> None:
    page = parse_page([row(id=number, seqno=number) for number in range(1, MOST_POSTS + 50)], 1000)
    assert len(page.entries) == MOST_POSTS
    assert (page.newest_seqno, page.malformed, page.more) == (MOST_POSTS, 49, True)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 100), st.booleans()), max_size=30))
def test_pages_lose_nothing_and_invent_nothing(rows: list[tuple[int, int, bool]]) -> None:
    page = parse_page(
        [row(id=number, seqno=seqno, **({} if good else {"data": 7})) for number, seqno, good in rows], 100
    )
    good = {number: max(seqno for other, seqno, ok in rows if ok and other == number) for number, _, ok in rows if ok}
    assert {entry.id: entry.seqno for entry in page.entries} == good
    assert [entry.id for entry in page.entries] == sorted(good)
    assert page.malformed == len(rows) - len(good)
    assert page.newest_seqno == max((seqno for _, seqno, _ in rows), default=None)


def test_keys_of_small_order_have_signed_nothing() -> None:
    nobody = MemberId("15" + "01" + "00" * 31)
    assert not sodium.crypto_core_ed25519_is_valid_point(key_of(nobody))
    with pytest.raises(BadSignature):
        verify_post(nobody, b"", bytes([1]) + bytes(63))


def test_a_key_that_no_account_has_signed_nothing() -> None:
    for number in range(256):
        author = MemberId("05" + bytes([number]).hex() + "00" * 31)
        try:
            ed25519_from_x25519(key_of(author))
        except InvalidInput:
            with pytest.raises(BadSignature):
                verify_post(author, b"x", bytes(64))
            return
    pytest.fail("All keys are points.")
