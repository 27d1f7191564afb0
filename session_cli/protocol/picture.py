"""Profile pictures as they lie on the file server, encrypted.

Two formats are on the network. The legacy one, which every app reads, is AES-256-GCM; we write it. The stream one is
that of attachments; we read both. A picture's URL names its format, and its bytes decide where it is wrong.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ..errors import AttachmentCorrupt
from . import aes_gcm
from .attachment import AttachmentKey

MAX_FILE_BYTES = 10_223_616
"""Of an encrypted one: what the stream format makes of the largest picture that apps take, of 10 MB."""
_TAG_BYTES = 16
_STREAM_MARK = b"S"


@dataclass(frozen=True, slots=True)
class SealedPicture:
    """A picture's encrypted file, and the key (32 bytes) that opens it."""

    file: bytes = field(repr=False)
    key: bytes = field(repr=False)


def seal_picture(picture: bytes, *, key: bytes | None = None, nonce: bytes | None = None) -> SealedPicture:
    """Encrypt a picture. The key (32 bytes) and the nonce (12) are new and random unless a test gives them."""
    key = os.urandom(aes_gcm.KEY_BYTES) if key is None else key
    nonce = os.urandom(aes_gcm.NONCE_BYTES) if nonce is None else nonce
    return SealedPicture(nonce + aes_gcm.seal(key, nonce, picture), key)


def open_picture(file: bytes, key: bytes, *, stream: bool) -> bytes:
    """Decrypt a picture's file; `stream`: its URL says that it is of the stream format.

    Raises AttachmentCorrupt if it was made with another key, was damaged or cut short, or is empty.
    """
    if len(key) != aes_gcm.KEY_BYTES:
        raise AttachmentCorrupt(f"The picture's key has {len(key)} bytes instead of {aes_gcm.KEY_BYTES}.")
    ways = (_open_stream, _open_legacy) if stream else (_open_legacy, _open_stream)
    for way in ways:
        picture = way(file, key)
        if picture is not None:
            if not picture:
                raise AttachmentCorrupt("The downloaded picture is empty.")
            return picture
    raise AttachmentCorrupt("The downloaded picture was damaged or tampered with, or its key is that of another one.")


def _open_legacy(file: bytes, key: bytes) -> bytes | None:
    nonce, ciphertext = file[: aes_gcm.NONCE_BYTES], file[aes_gcm.NONCE_BYTES :]
    if len(ciphertext) < _TAG_BYTES:
        return None
    try:
        return aes_gcm.open_sealed(key, nonce, ciphertext)
    except aes_gcm.Forged:
        return None


def _open_stream(file: bytes, key: bytes) -> bytes | None:
    if not file.startswith(_STREAM_MARK):
        return None
    try:
        return b"".join(AttachmentKey(key, None, 0).plaintext([file]))
    except AttachmentCorrupt:
        return None
