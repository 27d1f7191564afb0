"""XEd25519: Ed25519 signatures made with an X25519 key pair.

The signer takes the X25519 scalar for an Ed25519 one, negated where the public key would have its sign bit set; so
the X25519 public key alone names the Ed25519 key (`account.ed25519_from_x25519`) under which anybody verifies. The
nonce scalar is libsession's, not Signal's: a personalised BLAKE2b of scalar, message and 64 random bytes.
"""

from __future__ import annotations

import hashlib
import os

from nacl import bindings as sodium

from ..errors import BadSignature, InvalidInput
from .account import ed25519_from_x25519, verify_signature

RANDOM_BYTES = 64
_PERSONALISATION = b"xed25519signatur"


def sign(x25519_secret: bytes, message: bytes, *, random: bytes | None = None) -> bytes:
    """Sign with an X25519 secret key (32 bytes); the signature has 64 bytes.

    `random` (64 bytes) is drawn from the system unless given, and must never serve two messages. Raises InvalidInput
    for wrong sizes.
    """
    if random is None:
        random = os.urandom(RANDOM_BYTES)
    if len(x25519_secret) != 32 or len(random) != RANDOM_BYTES:
        raise InvalidInput(f"An X25519 key has 32 bytes, the randomness of a signature {RANDOM_BYTES}.")
    scalar = _clamped(x25519_secret)
    public = sodium.crypto_scalarmult_ed25519_base_noclamp(scalar)
    if public[31] & 0x80:
        scalar = sodium.crypto_core_ed25519_scalar_negate(scalar)
        public = public[:31] + bytes([public[31] & 0x7F])
    nonce = sodium.crypto_core_ed25519_scalar_reduce(
        hashlib.blake2b(scalar + message + random, digest_size=64, person=_PERSONALISATION).digest()
    )
    return sign_with_scalar(scalar, public, nonce, message)


def verify(x25519_public: bytes, message: bytes, signature: bytes) -> None:
    """Check a signature (64 bytes) by an X25519 public key (32 bytes).

    Raises BadSignature, also if the key is none that could have signed.
    """
    try:
        public = ed25519_from_x25519(x25519_public)
    except InvalidInput:
        raise BadSignature("The X25519 key of a signature has no Ed25519 form.") from None
    verify_signature(public, message, signature)


def sign_with_scalar(scalar: bytes, public: bytes, nonce: bytes, message: bytes) -> bytes:
    """The last step of every Ed25519 signature: from secret scalar, its point and the nonce scalar (each 32 bytes).

    The nonce must be secret, uniform modulo the group's order, and belong to this message alone.
    """
    commitment = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = sodium.crypto_core_ed25519_scalar_reduce(hashlib.sha512(commitment + public + message).digest())
    response = sodium.crypto_core_ed25519_scalar_add(nonce, sodium.crypto_core_ed25519_scalar_mul(challenge, scalar))
    return bytes(commitment + response)


def _clamped(secret: bytes) -> bytes:
    """The scalar that X25519 makes of a secret key: only this one belongs to the X25519 public key."""
    return bytes([secret[0] & 0xF8]) + secret[1:31] + bytes([secret[31] & 0x7F | 0x40])
