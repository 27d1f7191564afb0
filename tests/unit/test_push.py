"""Payloads of push notifications."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from session_cli.errors import DecryptionFailed, InvalidInput
from session_cli.protocol.push import decrypt_payload
from tests.support.vectors import cases


@pytest.mark.parametrize("vector", cases("session_protocol", "push_notification"))
def test_vectors(vector: dict[str, Any]) -> None:
    key, payload = bytes.fromhex(vector["enc_key"]), bytes.fromhex(vector["payload"])
    if vector["valid"]:
        assert decrypt_payload(key, payload).hex() == vector["plaintext"]
    else:
        with pytest.raises(DecryptionFailed):
            decrypt_payload(key, payload)


def test_a_whole_notification() -> None:
    metadata = (
        b'{"@":"054701d08488451f545a409fb58ae3e58581ca40ac3f7f114698cd71deac73ca01",'
        b'"#":"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG","n":0,"t":1750000000000,"z":1751209600000,"l":5}'
    )
    plaintext = b"l%d:%b5:helloe" % (len(metadata), metadata)
    key, nonce = b"\x11" * 32, bytes(range(24))
    padded = plaintext.ljust(256, b"\0")
    payload = nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(padded, None, nonce, key)
    assert hashlib.sha256(payload).hexdigest() == "15096d1808d34161ca0a54089cf7320f3a4cdd5efb544c6857464ef0eb21369b"
    assert decrypt_payload(key, payload) == plaintext


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        decrypt_payload(bytes(32), payload)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_keys_of_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(InvalidInput):
        decrypt_payload(bytes(size), bytes(100))
