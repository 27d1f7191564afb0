"""Sealing and opening of one-to-one messages against the official library's results."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import MalformedMessage, ProtocolError, UnsupportedVersion
from session_cli.protocol import content as contents
from session_cli.protocol import payload as payloads
from session_cli.protocol import session_v1
from session_cli.protocol.account import Identity
from session_cli.protocol.padding import pad, unpad
from session_cli.protocol.payload import Content, Expiration, VisibleMessage
from tests.support.vectors import load

VECTORS = load("session_protocol")
ALICE = Identity.from_seed(bytes.fromhex("0123456789abcdef0123456789abcdef"))
BOB = Identity.from_seed(bytes.fromhex("00112233445566778899aabbccddeeff"))


def _of_kind(kind: str) -> list[dict[str, Any]]:
    return [vector for vector in VECTORS if vector["kind"] == kind]


def _identity(account: dict[str, Any]) -> Identity:
    return Identity.from_seed(bytes.fromhex(account["seed"]))


@pytest.mark.parametrize(
    "vector",
    _of_kind("encrypt_for_recipient") + _of_kind("encrypt_for_recipient_deterministic"),
    ids=lambda v: v["description"],
)
def test_encrypt_for_recipient(vector: dict[str, Any]) -> None:
    sender, recipient = _identity(vector["sender"]), _identity(vector["recipient"])
    message = bytes.fromhex(vector["message"])
    if vector["ephemeral_x25519_sk"] is None:
        ephemeral = session_v1.deterministic_ephemeral_secret(sender, recipient.x25519_public, message)
    else:
        ephemeral = bytes.fromhex(vector["ephemeral_x25519_sk"])
    sealed = session_v1.seal(sender, recipient.x25519_public, message, ephemeral_secret=ephemeral)
    assert sealed.hex() == vector["ciphertext"]
    opened = session_v1.open_box(recipient, sealed)
    assert opened.plaintext.hex() == vector["decrypted_message"]
    assert opened.sender_ed25519.hex() == vector["decrypted_sender_ed25519_pk"]
    assert opened.sender_id == vector["decrypted_sender_account_id"]


@pytest.mark.parametrize("vector", _of_kind("encrypt_for_recipient_x25519"), ids=lambda v: v["message"][:16])
def test_encrypt_for_bare_key(vector: dict[str, Any]) -> None:
    sender, recipient = _identity(vector["sender"]), vector["recipient"]
    public, secret = bytes.fromhex(recipient["x25519_pk"]), bytes.fromhex(recipient["x25519_sk"])
    ephemeral = bytes.fromhex(vector["ephemeral_x25519_sk"])
    sealed = session_v1.seal(sender, public, bytes.fromhex(vector["message"]), ephemeral_secret=ephemeral)
    assert sealed.hex() == vector["ciphertext"]
    assert session_v1.open_box_with(public, secret, sealed).plaintext.hex() == vector["decrypted_message"]


@pytest.mark.parametrize("vector", _of_kind("decrypt_incoming"), ids=lambda v: v["description"])
def test_forged_and_damaged_boxes_are_refused(vector: dict[str, Any]) -> None:
    assert vector["valid"] is False
    with pytest.raises(ProtocolError):
        session_v1.open_box(_identity(vector["recipient"]), bytes.fromhex(vector["ciphertext"]))


def test_a_complete_message_byte_for_byte() -> None:
    timestamp = 1_700_000_000_000
    content = bytes.fromhex("0a070a0568656c6c6f7880d095ffbc31")
    padded = pad(content)
    assert hashlib.sha256(padded).hexdigest() == "3096f86f720a8b1ae27a1d470191f275fbd8b33150ad8c030699c8a8161e1f7c"
    ephemeral = session_v1.deterministic_ephemeral_secret(ALICE, BOB.x25519_public, padded)
    sealed = session_v1.seal(ALICE, BOB.x25519_public, padded, ephemeral_secret=ephemeral)
    assert hashlib.sha256(sealed).hexdigest() == "6e3e0482664ad00b4e5bb29320940ff43cb9e73e09decc9297a62f99ab1d4cb0"
    stored = session_v1.wrap(sealed, timestamp, pro_signature=bytes(64))
    assert hashlib.sha256(stored).hexdigest() == "c86896e3478a217799172db7cb2b3ec97e1db3ee813a3ba454a2d263d93d764d"
    opened = session_v1.decode_message(BOB, stored)
    assert (opened.sender_id, opened.timestamp_ms, opened.content) == (ALICE.account_id, timestamp, content)
    parsed = contents.parse(opened.content)
    assert parsed == Content(VisibleMessage("hello"), timestamp)


def test_unpadded_deterministic_public_value() -> None:
    ephemeral = session_v1.deterministic_ephemeral_secret(ALICE, BOB.x25519_public, b"hello")
    sealed = session_v1.seal(ALICE, BOB.x25519_public, b"hello", ephemeral_secret=ephemeral)
    assert sealed.hex().startswith("208f96785db92319bc7a14afecc01e17bde912d17bbb32834c03ea63b1862c2a")
    assert sealed.hex().endswith("f0434639906f93e548f909d5286edde365ebddc146")


@pytest.mark.parametrize(
    ("size", "padded"), [(0, 160), (158, 160), (159, 320), (160, 320), (318, 320), (319, 480), (40_100, 40_160)]
)
def test_padding_sizes(size: int, padded: int) -> None:
    assert len(pad(b"x" * size)) == padded


@given(st.binary(max_size=700))
def test_padding_round_trip(content: bytes) -> None:
    assert unpad(pad(content)) == content


def test_unpadding_never_fails() -> None:
    assert unpad(b"") == b""
    assert unpad(bytes(160)) == b""
    assert unpad(b"abc\0\0") == b"abc"


def test_largest_content_fits_one_store() -> None:
    def stored(size: int) -> bytes:
        return session_v1.encode_message(ALICE, BOB.account_id, bytes(size), 1_700_000_000_000)

    assert len(stored(session_v1.MAX_CONTENT_BYTES)) <= 76_800
    assert len(stored(session_v1.MAX_CONTENT_BYTES + 1)) > 76_800


def test_newer_version_is_told_apart() -> None:
    with pytest.raises(UnsupportedVersion):
        session_v1.decode_message(BOB, b"\x00\x02" + bytes(2000))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff",
        bytes.fromhex("0801"),  # no request
        bytes.fromhex("080112040a001200"),  # no body
        bytes.fromhex("080112061a04") + bytes.fromhex("08062801"),  # an envelope without content
        bytes.fromhex("0801120c1a0a") + bytes.fromhex("08061203303531") + bytes.fromhex("2801 4200"),  # a short source
    ],
)
def test_malformed_envelopes(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        session_v1.unwrap(data)


def test_decoy_signature_looks_like_one_and_differs() -> None:
    from nacl import bindings as sodium

    first, second = session_v1.decoy_signature(), session_v1.decoy_signature()
    assert len(first) == len(second) == 64
    assert first != second
    assert sodium.crypto_core_ed25519_is_valid_point(first[:32])
    assert sodium.crypto_core_ed25519_scalar_reduce(first[32:] + bytes(32)) == first[32:]


@given(st.binary(max_size=400))
def test_garbage_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        session_v1.decode_message(BOB, data)


@given(st.binary(max_size=300))
def test_garbage_content_parses_or_is_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        contents.parse(data)


BODIES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300).filter(lambda t: t.strip() != "")


@given(BODIES, st.integers(1, contents.MAX_TIME_MS), st.integers(0, 2**32 - 1))
def test_message_round_trip(body: str, timestamp: int, seconds: int) -> None:
    mode = payloads.ExpirationMode.AFTER_SEND if seconds else payloads.ExpirationMode.OFF
    content = Content(VisibleMessage(body, sync_target=BOB.account_id), timestamp, Expiration(mode, seconds))
    data = session_v1.encode_message(ALICE, BOB.account_id, contents.serialize(content), timestamp)
    opened = session_v1.decode_message(BOB, data)
    assert opened.sender_id == ALICE.account_id
    assert contents.parse(opened.content) == content
