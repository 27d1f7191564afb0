"""Both libraries that AES-256-GCM can come from give the same, and refuse the same."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from session_cli.protocol import aes_gcm

KEY, NONCE = bytes(range(32)), bytes(range(12))


@pytest.fixture(params=["libsodium", "OpenSSL"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name == "OpenSSL":
        monkeypatch.setattr(aes_gcm, "sodium_has_it", lambda: False)
    elif not aes_gcm.sodium_has_it():
        pytest.skip("this processor or this PyNaCl has no AES-GCM for libsodium")
    return name


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4096, 1_000_000])
def test_sealed_by_one_and_opened_by_the_other(size: int, library: str) -> None:
    plaintext = os.urandom(size)
    sealed = aes_gcm.seal(KEY, NONCE, memoryview(plaintext))
    assert sealed == AESGCM(KEY).encrypt(NONCE, plaintext, None)
    assert aes_gcm.open_sealed(KEY, NONCE, memoryview(sealed)) == plaintext


def test_forgeries_are_refused(library: str) -> None:
    sealed = aes_gcm.seal(KEY, NONCE, b"text")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(aes_gcm.Forged):
            aes_gcm.open_sealed(KEY, NONCE, bytes(changed))
    for wrong in (sealed[:-1], sealed[1:], bytes(16)):
        with pytest.raises(aes_gcm.Forged):
            aes_gcm.open_sealed(KEY, NONCE, wrong)


@given(st.binary(min_size=16, max_size=200))
def test_any_bytes_are_opened_or_refused(data: bytes) -> None:
    with pytest.raises(aes_gcm.Forged):
        aes_gcm.open_sealed(KEY, NONCE, data)
