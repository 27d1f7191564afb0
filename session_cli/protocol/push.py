"""The payload of push notifications, as the push server encrypts it for a device.

A nonce of 24 bytes, and an XChaCha20-Poly1305 ciphertext under a key that the device chose. The plaintext is a
bencoded list (metadata as JSON, then the message as the swarm holds it, unless that is too large), filled up with zero
bytes.
"""

from __future__ import annotations

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ..errors import DecryptionFailed, InvalidInput

KEY_BYTES = 32
_NONCE_BYTES = 24
_TAG_BYTES = 16


def decrypt_payload(key: bytes, payload: bytes) -> bytes:
    """Decrypt a notification (`key`: 32 bytes) and take the padding off; what is left is the bencoded list.

    Raises DecryptionFailed if the payload is too short, damaged or for another key, and InvalidInput for a key of
    another size.
    """
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"The key of push notifications has {KEY_BYTES} bytes, not {len(key)}.")
    if len(payload) < _NONCE_BYTES + _TAG_BYTES:
        raise DecryptionFailed("A push notification is too short.")
    nonce, sealed = payload[:_NONCE_BYTES], payload[_NONCE_BYTES:]
    try:
        plaintext = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, None, nonce, key)
    except CryptoError:
        raise DecryptionFailed("A push notification does not decrypt.") from None
    return bytes(plaintext).rstrip(b"\0")
