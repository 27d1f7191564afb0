"""Messages to groups: what they survive, and what is refused. The official library's are in the scripts."""

from __future__ import annotations

import os

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import (
    BadSignature,
    DecryptionFailed,
    MalformedMessage,
    MessageTooLong,
    ProtocolError,
    UnsupportedVersion,
)
from session_cli.protocol import bencode
from session_cli.protocol.account import Identity
from session_cli.protocol.content import MAX_TIME_MS
from session_cli.protocol.group import messages
from session_cli.protocol.group.identity import GroupIdentity
from session_cli.protocol.group.messages import decode_message, decrypt, encode_message, encrypt
from session_cli.protocol.group.multi_encrypt import seal
from session_cli.protocol.storage_rpc import MAX_MESSAGE_BYTES

ME = Identity.from_seed(b"\1" * 16)
GROUP = GroupIdentity.from_seed(b"\3" * 32)
ID = GROUP.group_id
KEY, OLD, OTHER = (bytes([number]) * 32 for number in (7, 8, 9))
NONCE = bytes(24)
NOW_MS = 1_795_000_000_000


def sealed(fields: dict[bytes, object], padding: int = 0) -> bytes:
    """A message of these fields, whatever they are."""
    return NONCE + seal(KEY, NONCE, bencode.encode(fields) + bytes(padding))


def signed(value: bytes, where: bytes = b"d", *, over: bytes = GROUP.ed25519_public, **changes: object) -> bytes:
    """A message that holds a value, signed as ours, with changes by the field's name."""
    fields: dict[bytes, object] = {b"": 1, b"a": ME.ed25519_public, where: value, b"s": ME.sign(value + over)}
    return sealed({**fields, **{name.encode(): change for name, change in changes.items()}})


@given(st.binary(max_size=3_000), st.binary(max_size=3).map(lambda part: part * 900), st.integers(1, MAX_TIME_MS))
def test_round_trip(noise: bytes, repeated: bytes, sent_ms: int) -> None:
    for content in (noise, repeated):
        stored = encode_message(ME, ID, KEY, content, sent_ms)
        assert len(stored) % 256 == 0
        opened = decode_message(ID, [OTHER, KEY, OLD], stored)
        assert (opened.sender_id, opened.sender_ed25519) == (ME.account_id, ME.ed25519_public)
        assert (opened.timestamp_ms, opened.content) == (sent_ms, content)


def test_what_repeats_is_compressed() -> None:
    assert len(encode_message(ME, ID, KEY, b"again and " * 2_000, NOW_MS)) == 512
    assert len(encode_message(ME, ID, KEY, os.urandom(300), NOW_MS)) == 768


def test_the_largest_content_fits() -> None:
    largest = os.urandom(messages.MAX_CONTENT_BYTES)
    assert len(encode_message(ME, ID, KEY, largest, MAX_TIME_MS)) == MAX_MESSAGE_BYTES
    with pytest.raises(MessageTooLong):
        encode_message(ME, ID, KEY, largest + b"x", MAX_TIME_MS)


def test_what_compresses_to_little_has_a_bound() -> None:
    with pytest.raises(MessageTooLong):
        encode_message(ME, ID, KEY, bytes(messages.MAX_ENVELOPE_BYTES), NOW_MS)


def test_old_keys_decrypt_and_others_do_not() -> None:
    stored = encrypt(ME, ID, OLD, b"hello")
    assert decrypt(ID, [KEY, OLD], stored).plaintext == b"hello"
    for keys in ([], [KEY, OTHER]):
        with pytest.raises(DecryptionFailed):
            decrypt(ID, keys, stored)


@given(st.data())
def test_damaged_messages_are_refused(data: st.DataObject) -> None:
    stored = encrypt(ME, ID, KEY, b"hello", nonce=NONCE)
    at, bit = data.draw(st.integers(0, len(stored) - 1)), data.draw(st.integers(0, 7))
    damaged = stored[:at] + bytes([stored[at] ^ 1 << bit]) + stored[at + 1 :]
    for wrong in (damaged, stored[:at]):
        with pytest.raises(DecryptionFailed):
            decrypt(ID, [KEY], wrong)


@given(st.binary(max_size=200))
def test_whatever_was_encrypted_is_read_or_refused(inner: bytes) -> None:
    with pytest.raises(ProtocolError):
        decrypt(ID, [KEY], NONCE + seal(KEY, NONCE, inner))


def test_a_signature_counts_in_one_group_alone() -> None:
    """Messages of January 2025 left the group out of what they signed: nobody takes them any more."""
    assert decrypt(ID, [KEY], signed(b"hello")).plaintext == b"hello"
    other = GroupIdentity.from_seed(b"\4" * 32)
    for over in (b"", other.ed25519_public, b"\x03" + GROUP.ed25519_public):
        with pytest.raises(BadSignature):
            decrypt(ID, [KEY], signed(b"hello", over=over))
    with pytest.raises(BadSignature):
        decrypt(other.group_id, [KEY], signed(b"hello"))


def test_the_author_is_whoever_signed() -> None:
    mallory = Identity.from_seed(b"\2" * 16)
    with pytest.raises(BadSignature):
        decrypt(ID, [KEY], signed(b"hello", a=mallory.ed25519_public))
    with pytest.raises(BadSignature):
        decrypt(ID, [KEY], signed(b"hello", s=bytes(63)))
    small_order = b"\1" + bytes(31)
    with pytest.raises((BadSignature, MalformedMessage)):
        decrypt(ID, [KEY], signed(b"hello", a=small_order, s=small_order + bytes(32)))


@pytest.mark.parametrize(
    "stored",
    [
        sealed({}),
        signed(b""),
        signed(b"hello", z=b"hello"),
        signed(b"hello", d=7),
        signed(b"hello", a=7),
        signed(b"hello", s=[]),
        sealed({b"": b"1", b"d": b"hello"}),
        signed(b"not a frame", b"z"),
        NONCE + seal(KEY, NONCE, b"l5:helloe"),
        NONCE + seal(KEY, NONCE, b""),
        NONCE + seal(KEY, NONCE, b"d1:ai1e1:ai1ee"),
    ],
    ids=["nothing", "empty", "both", "int", "key", "signature", "version", "frame", "list", "zeros", "twice"],
)
def test_malformed_messages(stored: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decrypt(ID, [KEY], stored)


def test_versions_to_come() -> None:
    fields: dict[bytes, object] = {b"": 2, b"x": b"new"}
    with pytest.raises(UnsupportedVersion):
        decrypt(ID, [KEY], sealed(fields))


def test_keys_and_padding_of_later_versions_are_passed_over() -> None:
    value = b"hello"
    fields = {b"": 1, b"a": ME.ed25519_public, b"d": value, b"s": ME.sign(value + GROUP.ed25519_public), b"zz": 5}
    for padding in (0, 1, 700):
        assert decrypt(ID, [KEY], sealed(fields, padding)).plaintext == value


def test_a_bomb_does_not_go_off() -> None:
    for size in (messages.MAX_ENVELOPE_BYTES + 1, 50_000_000):
        with pytest.raises(MalformedMessage):
            decrypt(ID, [KEY], signed(zstandard.ZstdCompressor().compress(bytes(size)), b"z"))
    most = signed(zstandard.ZstdCompressor().compress(bytes(messages.MAX_ENVELOPE_BYTES)), b"z")
    assert len(decrypt(ID, [KEY], most).plaintext) == messages.MAX_ENVELOPE_BYTES
    with pytest.raises(MalformedMessage):
        decrypt(ID, [KEY], signed(bytes(messages.MAX_ENVELOPE_BYTES + 1)))


def test_what_holds_no_envelope() -> None:
    with pytest.raises(MalformedMessage):
        decode_message(ID, [KEY], encrypt(ME, ID, KEY, b"hello"))
