"""Onion layers as their readers handle them: opened and sealed in place, however large they are."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7
from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ..errors import OnionError
from ..protocol.onion import EncType, LayerKey

_TAG_BYTES = 16
_PIECE_BYTES = 1 << 20
"""Large layers are worked on in pieces, so that other threads get their turn in between."""


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """The X25519 key pair (32 bytes each) with which a node or server reads layers."""

    public: bytes
    secret: bytes = field(repr=False)


class LayerCipher:
    """The cipher of one layer, seen from its reader; also that of the answer.

    Besides the two ciphers of today's clients it speaks the AES-CBC of old ones, which the servers still do.
    Raises OnionError for an unknown cipher or a key that can't be used.
    """

    def __init__(self, keys: NodeKeys, ephemeral_public: bytes, enc_type: str | None) -> None:
        self._cbc_key: bytes | None = None
        self._layer_key: LayerKey | None = None
        if enc_type in ("aes-cbc", "cbc"):
            try:
                self._cbc_key = bytes(sodium.crypto_scalarmult(keys.secret, ephemeral_public))
            except (CryptoError, ValueError, TypeError):
                raise OnionError("An onion layer names a key that can't be used.") from None
        else:
            parsed = EncType.parse(enc_type)
            self._layer_key = LayerKey.for_receiver(keys.public, keys.secret, ephemeral_public, parsed)

    def open(self, blob: memoryview) -> memoryview:
        """Decrypt a layer; AES-GCM in place, so that the plaintext lies in the same memory. Raises OnionError."""
        key = self._layer_key
        if key is None:
            return memoryview(bytearray(_open_cbc(self._cbc_key or b"", bytes(blob))))
        if key.enc_type is EncType.AES_GCM:
            return _open_gcm_in_place(key.key, blob)
        plaintext = key.open(blob)
        # Back into the one buffer, so that the copy which the library needs does not live on.
        start = key.enc_type.nonce_bytes
        blob[start : start + len(plaintext)] = plaintext
        return blob[start : start + len(plaintext)]

    def seal(self, plaintext: bytes) -> bytes:
        """Encrypt a small answer."""
        if self._layer_key is None:
            return _seal_cbc(self._cbc_key or b"", plaintext)
        return self._layer_key.seal(plaintext)

    @property
    def prefix_bytes(self) -> int:
        """Room that `seal_in_place` needs before the plaintext; it needs 16 bytes behind, too."""
        return 0 if self._layer_key is None else self._layer_key.enc_type.nonce_bytes

    def seal_in_place(self, buffer: bytearray) -> bytearray | bytes:
        """Encrypt a large answer that lies in the buffer with `prefix_bytes` before it and 16 bytes behind."""
        key = self._layer_key
        if key is not None and key.enc_type is EncType.AES_GCM:
            _seal_gcm_in_place(key.key, memoryview(buffer))
            return buffer
        return self.seal(bytes(memoryview(buffer)[self.prefix_bytes : len(buffer) - _TAG_BYTES]))


def _open_gcm_in_place(key: bytes, blob: memoryview) -> memoryview:
    nonce_bytes = EncType.AES_GCM.nonce_bytes
    size = len(blob) - nonce_bytes - _TAG_BYTES
    if size < 0:
        raise OnionError("An onion layer is too short to hold anything.")
    if size == 0:
        # There is nothing to decrypt, but the tag still has to be right.
        try:
            AESGCM(key).decrypt(bytes(blob[:nonce_bytes]), bytes(blob[nonce_bytes:]), None)
        except InvalidTag:
            raise OnionError("An onion layer does not decrypt.") from None
        return blob[nonce_bytes:nonce_bytes]
    tag = bytes(blob[-_TAG_BYTES:])
    decryptor = Cipher(algorithms.AES256(key), modes.GCM(bytes(blob[:nonce_bytes]))).decryptor()
    text = blob[nonce_bytes:]
    for start in range(0, size, _PIECE_BYTES):
        end = min(start + _PIECE_BYTES, size)
        # The library wants room for one block more than it writes; the tag's bytes are that room.
        decryptor.update_into(text[start:end], text[start : end + _TAG_BYTES])
    try:
        decryptor.finalize_with_tag(tag)
    except InvalidTag:
        raise OnionError("An onion layer does not decrypt.") from None
    return text[:size]


def _seal_gcm_in_place(key: bytes, buffer: memoryview) -> None:
    nonce_bytes = EncType.AES_GCM.nonce_bytes
    nonce = os.urandom(nonce_bytes)
    buffer[:nonce_bytes] = nonce
    text = buffer[nonce_bytes:]
    size = len(text) - _TAG_BYTES
    encryptor = Cipher(algorithms.AES256(key), modes.GCM(nonce)).encryptor()
    for start in range(0, size, _PIECE_BYTES):
        end = min(start + _PIECE_BYTES, size)
        encryptor.update_into(text[start:end], text[start : end + _TAG_BYTES])
    encryptor.finalize()
    text[size:] = encryptor.tag


def _open_cbc(key: bytes, blob: bytes) -> bytes:
    if len(blob) < 32 or len(blob) % 16:
        raise OnionError("An onion layer is too short to hold anything.")
    decryptor = Cipher(algorithms.AES256(key), modes.CBC(blob[:16])).decryptor()
    unpadder = PKCS7(128).unpadder()
    try:
        return unpadder.update(decryptor.update(blob[16:]) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise OnionError("An onion layer does not decrypt.") from None


def _seal_cbc(key: bytes, plaintext: bytes) -> bytes:
    padder = PKCS7(128).padder()
    initial = os.urandom(16)
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(initial)).encryptor()
    return initial + encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()


def split_frame(data: memoryview) -> tuple[memoryview, bytes]:
    """The blob and the control text of a frame, in the words in which the storage server complains.

    Raises OnionError.
    """
    if len(data) < 4:
        raise OnionError("Unexpected payload size; expected ciphertext size")
    (size,) = struct.unpack_from("<I", data)
    rest = len(data) - 4
    if size > rest:
        raise OnionError(f"Unexpected payload size {rest}, expected >= {size}")
    return data[4 : 4 + size], bytes(data[4 + size :])
