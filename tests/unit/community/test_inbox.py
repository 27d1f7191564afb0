"""Direct messages between blinded ids."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import DecryptionFailed, MalformedMessage, MessageTooLong, UnsupportedVersion
from session_cli.protocol import content as contents
from session_cli.protocol.account import Identity
from session_cli.protocol.blinding import BlindedId, blind25, encrypt
from session_cli.protocol.community.auth import ServerIdentity
from session_cli.protocol.community.inbox import (
    MAX_MESSAGE_BYTES,
    MOST_MESSAGES,
    DirectMessage,
    DirectMessages,
    SentMessage,
    open_direct_message,
    parse_direct_messages,
    parse_sent_message,
    seal_direct_message,
)
from session_cli.protocol.payload import Content, VisibleMessage

SERVER = bytes.fromhex("c3b3c6f32f0ab5a57f853cc4f30f5da7fda5624b0c77b3fb0829de562ada081d")
ALICE, BOB, EVE = (ServerIdentity.of(Identity.from_seed(name * 16), SERVER) for name in (b"a", b"b", b"e"))
POSTED_MS = 1_700_000_000_100


def blinded(who: ServerIdentity) -> BlindedId:
    assert who.blinded is not None
    return who.blinded.blinded_id


def serialized(timestamp_ms: int = POSTED_MS) -> bytes:
    return contents.serialize(Content(VisibleMessage("hello"), timestamp_ms))


def message(data: bytes) -> DirectMessage:
    return DirectMessage(3, POSTED_MS, POSTED_MS + 1000, blinded(ALICE), blinded(BOB), data)


def row(**changes: Any) -> dict[str, Any]:
    sealed = seal_direct_message(ALICE, blinded(BOB), serialized())
    return {
        "id": 3,
        "posted_at": POSTED_MS / 1000,
        "expires_at": POSTED_MS / 1000 + 1,
        "sender": blinded(ALICE),
        "recipient": blinded(BOB),
        "message": base64.b64encode(sealed).decode(),
    } | changes


@pytest.mark.parametrize(("reader", "sent_by_us"), [(ALICE, True), (BOB, False)])
def test_both_sides_read_it(reader: ServerIdentity, sent_by_us: bool) -> None:
    [found] = parse_direct_messages([row()], 100).messages
    opened = open_direct_message(reader, found)
    assert opened.sender == ALICE.identity.account_id
    assert opened.sent_by_us is sent_by_us
    assert opened.content.payload == VisibleMessage("hello")
    assert opened.serialized == serialized()


def test_a_message_to_oneself() -> None:
    sealed = seal_direct_message(ALICE, blinded(ALICE), serialized())
    opened = open_direct_message(ALICE, replace(message(sealed), recipient=blinded(ALICE)))
    assert opened.sent_by_us


def test_others_read_nothing_and_nobody_can_pretend() -> None:
    sealed = seal_direct_message(ALICE, blinded(BOB), serialized())
    with pytest.raises(DecryptionFailed):
        open_direct_message(EVE, message(sealed))
    with pytest.raises(DecryptionFailed):
        open_direct_message(BOB, replace(message(sealed), sender=blinded(EVE)))
    with pytest.raises(DecryptionFailed):
        open_direct_message(BOB, replace(message(sealed), recipient=blinded(EVE)))
    # Two ids of different kinds: nothing can be meant.
    with pytest.raises(DecryptionFailed):
        open_direct_message(BOB, replace(message(sealed), sender=blind25(ALICE.identity, SERVER).blinded_id))


def test_25_ids_write_to_each_other() -> None:
    sender, recipient = (blind25(who.identity, SERVER).blinded_id for who in (ALICE, BOB))
    sealed = seal_direct_message(ALICE, recipient, serialized())
    opened = open_direct_message(BOB, replace(message(sealed), sender=sender, recipient=recipient))
    assert opened.sender == ALICE.identity.account_id


def test_what_was_sealed_and_makes_no_sense_is_refused() -> None:
    for plaintext in (b"\xff", b"\x0a\xff"):
        with pytest.raises(MalformedMessage):
            open_direct_message(BOB, message(encrypt(ALICE.identity, SERVER, blinded(BOB), plaintext)))
    with pytest.raises(MalformedMessage, match="another time"):
        open_direct_message(BOB, message(seal_direct_message(ALICE, blinded(BOB), serialized(POSTED_MS + 10**8))))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises((DecryptionFailed, UnsupportedVersion)):
        open_direct_message(BOB, message(data))


def test_messages_have_a_largest_size() -> None:
    with pytest.raises(MessageTooLong):
        seal_direct_message(ALICE, blinded(BOB), bytes(MAX_MESSAGE_BYTES))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"posted_at": None},
        {"expires_at": "later"},
        {"sender": None},
        {"sender": "15" + "00" * 32},
        {"sender": "05" + blinded(ALICE)[2:]},
        {"recipient": blinded(BOB).upper()},
        {"recipient": " " + blinded(BOB)},
        {"message": None},
        {"message": "?"},
        {"message": "A" * (MAX_MESSAGE_BYTES * 2)},
    ],
)
def test_an_odd_message_costs_only_itself(changes: dict[str, Any]) -> None:
    found = parse_direct_messages([row(id=1), row(id=9) | changes, row(id=5)], 100)
    assert [one.id for one in found.messages] == [1, 5]
    assert (found.malformed, found.more) == (1, False)
    assert found.newest_id == (5 if changes == {"id": None} else 9)


def test_lists_have_an_end_and_an_order() -> None:
    found = parse_direct_messages([row(id=number) for number in range(MOST_MESSAGES + 5, 0, -1)], 1000)
    assert [one.id for one in found.messages] == list(range(6, MOST_MESSAGES + 6))
    assert (found.malformed, found.more, found.newest_id) == (5, True, MOST_MESSAGES + 5)
    assert parse_direct_messages([], 100) == DirectMessages()
    with pytest.raises(MalformedMessage):
        parse_direct_messages({}, 100)


def test_an_answer_to_a_message() -> None:
    answer = row(sender=ALICE.identity.account_id)
    del answer["message"]
    assert parse_sent_message(answer) == SentMessage(3, POSTED_MS, POSTED_MS + 1000)
    assert "hello" not in repr(parse_direct_messages([row()], 100))
