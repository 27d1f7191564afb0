"""One message for several accounts, encrypted for each alone. Who can read none of it learns only how many can.

    d 1:# nonce (24 bytes)   1:e list of ciphertexts e

Every recipient tries all ciphertexts with the key that it shares with the sender. Nothing is signed: what decrypts
comes from the sender or from the recipient itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ...errors import InvalidInput, MalformedMessage
from .. import bencode
from .identity import shared_key

NONCE_BYTES = 24
TAG_BYTES = 16
_DOMAIN_BYTES = 64
_NONCE, _CIPHERTEXTS = b"#", b"e"


def encrypt(
    secret: bytes,
    public: bytes,
    messages: Iterable[tuple[bytes, bytes]],
    domain: bytes,
    *,
    nonce: bytes | None = None,
) -> bytes:
    """Encrypt with the sender's X25519 key pair for pairs of a recipient's X25519 key and its message.

    Only the first 64 bytes of `domain` count. `nonce` (24 bytes) is drawn from the system unless given. Keys that can't
    be used are passed over: nobody has them.
    """
    nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce
    ciphertexts = []
    for recipient, message in messages:
        try:
            key = shared_key(secret, recipient, public, recipient, domain[:_DOMAIN_BYTES])
        except InvalidInput:
            continue
        ciphertexts.append(seal(key, nonce, message))
    return bencode.encode({_NONCE: nonce, _CIPHERTEXTS: ciphertexts})


def decrypt(secret: bytes, public: bytes, sender: bytes, encrypted: bytes, domain: bytes) -> bytes | None:
    """What is in it for the owner of an X25519 key pair; None if nothing is. `sender` is the sender's X25519 key.

    Raises MalformedMessage.
    """
    match bencode.decode(encrypted):
        case {b"#": bytes() as nonce, b"e": list() as ciphertexts} if len(nonce) == NONCE_BYTES:
            pass
        case _:
            raise MalformedMessage("A message to several recipients is malformed.")
    try:
        key = shared_key(secret, sender, sender, public, domain[:_DOMAIN_BYTES])
    except InvalidInput:
        raise MalformedMessage("A message to several recipients comes from an unusable key.") from None
    return open_first(key, nonce, ciphertexts)


def seal(key: bytes, nonce: bytes, plaintext: bytes) -> bytes:
    """XChaCha20-Poly1305 (key: 32 bytes, nonce: 24), the authenticator behind the ciphertext."""
    return bytes(sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, None, nonce, key))


def unseal(key: bytes, nonce: bytes, ciphertext: bytes) -> bytes | None:
    """Undo `seal`; None if this is not the key."""
    if len(ciphertext) < TAG_BYTES:
        return None
    try:
        return bytes(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, None, nonce, key))
    except CryptoError:
        return None


def open_first(key: bytes, nonce: bytes, ciphertexts: Iterable[bencode.Value]) -> bytes | None:
    """The plaintext of the first of the ciphertexts that this key opens. Raises MalformedMessage for what is none."""
    for ciphertext in ciphertexts:
        if not isinstance(ciphertext, bytes):
            raise MalformedMessage("A ciphertext is no string.")
        plaintext = unseal(key, nonce, ciphertext)
        if plaintext is not None:
            return plaintext
    return None
