"""Properties of contents and their layers: what is written is read, and no bytes bring out anything but our errors.

`SESSION_TEST_EXAMPLES=nightly python -m pytest --timeout 0` tries each of them with 10,000 examples instead of 200.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import MalformedMessage, ProtocolError
from session_cli.protocol import content as contents
from session_cli.protocol import session_v1
from session_cli.protocol.account import Identity
from session_cli.protocol.content import MAX_TIME_MS
from session_cli.protocol.padding import pad
from session_cli.protocol.payload import Content, Ignored, Unknown
from session_cli.protocol.picture import open_picture
from session_cli.protocol.proto import session_pb2 as pb
from tests.support.payloads import CONTENTS, mutations

ALICE = Identity.from_seed(bytes.fromhex("0123456789abcdef0123456789abcdef"))
BOB = Identity.from_seed(bytes.fromhex("00112233445566778899aabbccddeeff"))
SERIALIZED = CONTENTS.map(contents.serialize)
STORED = st.builds(
    lambda serialized, sent_ms: session_v1.encode_message(ALICE, BOB.account_id, serialized, sent_ms),
    SERIALIZED,
    st.integers(0, MAX_TIME_MS),
)


@given(CONTENTS)
def test_what_is_written_is_read(content: Content) -> None:
    assert contents.parse(contents.serialize(content)) == content


@given(CONTENTS, st.integers(0, MAX_TIME_MS))
def test_through_all_layers(content: Content, sent_ms: int) -> None:
    data = session_v1.encode_message(ALICE, BOB.account_id, contents.serialize(content), sent_ms)
    opened = session_v1.decode_message(BOB, data)
    assert (opened.sender_id, opened.timestamp_ms) == (ALICE.account_id, sent_ms)
    assert contents.parse(opened.content) == content


@given(SERIALIZED, st.integers(200, 2**29 - 1), st.binary(max_size=20))
def test_what_is_added_later_is_passed_over(serialized: bytes, number: int, value: bytes) -> None:
    added = pb.Content.FromString(serialized).SerializeToString() + _field(number, value)
    assert contents.parse(added) == contents.parse(serialized)


def _field(number: int, value: bytes) -> bytes:
    def varint(rest: int) -> bytes:
        return bytes([rest]) if rest < 128 else bytes([rest & 127 | 128]) + varint(rest >> 7)

    return varint(number << 3 | 2) + varint(len(value)) + value


def _is_sound(content: Content) -> None:
    """What holds for every content, wherever it comes from: what we understand, we could have written ourselves."""
    assert content.timestamp_ms is None or 0 < content.timestamp_ms <= MAX_TIME_MS
    assert 0 <= content.expiration.seconds < 2**32
    if not isinstance(content.payload, Ignored | Unknown):
        contents.serialize(content)


@given(st.binary(max_size=300) | mutations(SERIALIZED))
def test_any_content_is_read_or_malformed(data: bytes) -> None:
    try:
        content = contents.parse(data)
    except MalformedMessage:
        return
    _is_sound(content)


@given(SERIALIZED, SERIALIZED)
def test_two_contents_in_one(first: bytes, second: bytes) -> None:
    try:
        content = contents.parse(first + second)
    except MalformedMessage:
        return
    _is_sound(content)


@pytest.mark.parametrize("layer", [session_v1.unwrap, lambda data: session_v1.decode_message(BOB, data)])
@given(data=st.binary(max_size=500) | mutations(STORED))
def test_any_stored_bytes_are_read_or_refused(layer: Any, data: bytes) -> None:
    with suppress(ProtocolError):
        layer(data)


@given(mutations(SERIALIZED.map(lambda plain: session_v1.seal(ALICE, BOB.x25519_public, pad(plain)))))
def test_a_changed_box_never_opens(box: bytes) -> None:
    try:
        opened = session_v1.open_box(BOB, box)
    except ProtocolError:
        return
    # The accidents cancelled each other out.
    assert session_v1.open_box(BOB, box).sender_id == ALICE.account_id == opened.sender_id


@given(mutations(SERIALIZED), st.integers(0, MAX_TIME_MS))
def test_whoever_signs_may_sign_anything(content: bytes, sent_ms: int) -> None:
    opened = session_v1.decode_message(BOB, session_v1.encode_message(ALICE, BOB.account_id, content, sent_ms))
    # Padding is zeros behind a mark: zeros at the end of a content are no part of it.
    assert opened.sender_id == ALICE.account_id
    assert opened.content == content


@given(st.binary(max_size=200), st.binary(max_size=40), st.booleans())
def test_any_file_is_a_picture_or_corrupt(file: bytes, key: bytes, stream: bool) -> None:
    with pytest.raises(ProtocolError):
        open_picture(file, key, stream=stream)
