"""XEd25519 signatures against the official library's, and whatever must not verify."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from session_cli.errors import BadSignature, InvalidInput
from session_cli.protocol.account import verify_signature
from session_cli.protocol.xed25519 import sign, verify
from tests.support.vectors import cases

keys = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize("vector", cases("xed25519", "sign"))
def test_signs_as_the_official_library_does(vector: dict[str, Any]) -> None:
    message = bytes.fromhex(vector["message"])
    signature = sign(bytes.fromhex(vector["x25519_sk"]), message, random=bytes.fromhex(vector["random64"]))
    assert signature.hex() == vector["signature"]
    verify(bytes.fromhex(vector["x25519_pk"]), message, signature)
    verify_signature(bytes.fromhex(vector["ed25519_pk_positive"]), message, signature)


@pytest.mark.parametrize("vector", cases("xed25519", "verify"))
def test_refuses_what_the_official_library_refuses(vector: dict[str, Any]) -> None:
    assert vector["verifies"] is False
    with pytest.raises(BadSignature):
        verify(*(bytes.fromhex(vector[name]) for name in ("x25519_pk", "message", "signature")))


@given(keys, st.binary())
def test_every_key_signs_what_its_public_key_verifies(secret: bytes, message: bytes) -> None:
    """Also one that is not clamped: X25519 clamps it, and so must the signature."""
    signature = sign(secret, message)
    verify(sodium.crypto_scalarmult_base(secret), message, signature)


@given(keys, st.binary(), st.integers(0, 511))
def test_no_bit_of_a_signature_can_change(secret: bytes, message: bytes, bit: int) -> None:
    signature = bytearray(sign(secret, message))
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadSignature):
        verify(sodium.crypto_scalarmult_base(secret), message, bytes(signature))


def test_signatures_differ_by_their_randomness() -> None:
    assert sign(bytes(32), b"message") != sign(bytes(32), b"message")


@given(st.binary(max_size=40), st.binary(max_size=70))
def test_keys_and_signatures_of_any_shape_are_refused(key: bytes, signature: bytes) -> None:
    with pytest.raises(BadSignature):
        verify(key, b"message", signature)


@pytest.mark.parametrize(("key_size", "random_size"), [(31, 64), (33, 64), (32, 63), (32, 0)])
def test_wrong_sizes_are_refused(key_size: int, random_size: int) -> None:
    with pytest.raises(InvalidInput):
        sign(bytes(key_size), b"", random=bytes(random_size))
