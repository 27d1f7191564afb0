"""AES-256-GCM: libsodium's where the processor has what it takes, else OpenSSL's, which takes longer to load.

The two give the same bytes. libsodium has no AES in software, because that would not run in constant time.
"""

from __future__ import annotations

from functools import cache

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

NONCE_BYTES = 12
KEY_BYTES = 32


class Forged(Exception):
    """A ciphertext that was not made with this key."""


def seal(key: bytes, nonce: bytes, plaintext: bytes | memoryview) -> bytes:
    """Ciphertext and tag of 16 bytes, for a key of 32 and a nonce of 12 bytes."""
    if sodium_has_it():
        return bytes(sodium.crypto_aead_aes256gcm_encrypt(bytes(plaintext), None, nonce, key))
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key).encrypt(nonce, plaintext, None)


def open_sealed(key: bytes, nonce: bytes, ciphertext: bytes | memoryview) -> bytes:
    """Undo `seal`. Raises Forged."""
    if sodium_has_it():
        try:
            return bytes(sodium.crypto_aead_aes256gcm_decrypt(bytes(ciphertext), None, nonce, key))
        except CryptoError:
            raise Forged from None
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(nonce, ciphertext, None)
    except InvalidTag:
        raise Forged from None


@cache
def sodium_has_it() -> bool:
    """Whether this release of PyNaCl knows it, and this machine's processor has the instructions."""
    encrypt = getattr(sodium, "crypto_aead_aes256gcm_encrypt", None)
    if encrypt is None:
        return False
    try:
        encrypt(b"", None, bytes(NONCE_BYTES), bytes(KEY_BYTES))
    except (CryptoError, RuntimeError):
        return False
    return True
