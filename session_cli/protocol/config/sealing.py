"""From the plain bytes of a config message to what is stored, and back: compress, pad, encrypt.

The encryption is deterministic: key and nonce follow from the plaintext. So two devices with the same config store the
same bytes, of which a swarm keeps one copy.
"""

from __future__ import annotations

import hashlib

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ...errors import DecryptionFailed, InvalidInput
from .. import compression

MAX_MESSAGE_BYTES = 76_800
"""The largest message that a swarm stores."""
MAX_PAYLOAD_BYTES = 5_000_000
"""The largest config, in plain and on its way."""
OVERHEAD = 40
"""How much longer a message is encrypted: an authenticator and a nonce."""

_NONCE_BYTES = 24
_NONCE_KEY = b"libsessionutil-config-encrypted-"
_COMPRESSED = b"z"
_PADDING_STEPS = ((5_120, 256), (20_480, 1_024), (40_960, 2_048))
_LARGEST_STEP = 5_120


def compress(plaintext: bytes) -> bytes:
    """The byte `z` and a zstd frame, where that is shorter than the plaintext; else the plaintext.

    Raises InvalidInput for a config that nobody would take.
    """
    check_size(plaintext)
    compressed = _COMPRESSED + compression.compress(plaintext)
    return compressed if len(compressed) < len(plaintext) else plaintext


def decompress(data: bytes) -> bytes:
    """Undo `compress`, in memory of a few times `MAX_PAYLOAD_BYTES` at most. Raises MalformedMessage."""
    return compression.decompress(data[1:], MAX_PAYLOAD_BYTES) if data.startswith(_COMPRESSED) else data


def check_size(data: bytes) -> None:
    """Raise InvalidInput for more than `MAX_PAYLOAD_BYTES`."""
    if len(data) > MAX_PAYLOAD_BYTES:
        raise InvalidInput(
            f"A config of {len(data):,} bytes is too large to be synchronised; {MAX_PAYLOAD_BYTES:,} are the most. "
            "Remove contacts or groups."
        )


def padded_size(size: int, overhead: int = OVERHEAD) -> int:
    """What a message of this size is padded to, so that with the overhead it is one of few sizes."""
    total = size + overhead
    step = next((step for limit, step in _PADDING_STEPS if total < limit), _LARGEST_STEP)
    return -(-total // step) * step - overhead


def pad(data: bytes) -> bytes:
    """Put zeros in front."""
    return data.rjust(padded_size(len(data)), b"\0")


def unpad(data: bytes) -> bytes:
    """Take the zeros off, however many there are."""
    return data.lstrip(b"\0")


def encrypt(plaintext: bytes, key: bytes, domain: bytes) -> bytes:
    """XChaCha20-Poly1305 with a key and a nonce that follow from `key` (32 bytes), domain and plaintext."""
    nonce = hashlib.blake2b(plaintext, key=_NONCE_KEY + domain, digest_size=_NONCE_BYTES).digest()
    message_key = _message_key(key, domain, len(plaintext))
    return bytes(sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, None, nonce, message_key)) + nonce


def decrypt(ciphertext: bytes, key: bytes, domain: bytes) -> bytes:
    """Undo `encrypt`. Raises DecryptionFailed."""
    if len(ciphertext) < OVERHEAD:
        raise DecryptionFailed("A config is too short to be encrypted.")
    sealed, nonce = ciphertext[:-_NONCE_BYTES], ciphertext[-_NONCE_BYTES:]
    message_key = _message_key(key, domain, len(ciphertext) - OVERHEAD)
    try:
        return bytes(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, None, nonce, message_key))
    except CryptoError:
        raise DecryptionFailed("A config does not decrypt with this key.") from None


def _message_key(key: bytes, domain: bytes, size: int) -> bytes:
    return hashlib.blake2b(key + size.to_bytes(8, "big") + domain, digest_size=32).digest()
