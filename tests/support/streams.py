"""The writer's side of the stream attachment format, which this client only reads."""

from __future__ import annotations

import hashlib
import struct

from nacl import bindings as sodium
from nacl._sodium import ffi

CHUNK, OVERHEAD = 32_768, 17


def _padding(size: int) -> int:
    chunks = -(-size // CHUNK)
    minimum = size + 26 + OVERHEAD * chunks
    factor = (1 << (max(minimum, 131_072).bit_length() - 1)) >> 5
    pad = -(-minimum // factor) * factor - minimum + 1
    extra = OVERHEAD * (pad // (CHUNK + OVERHEAD)) if pad >= CHUNK + OVERHEAD else 0
    if pad % (CHUNK + OVERHEAD) > chunks * CHUNK - size:
        extra += OVERHEAD
    return pad - extra


def _hchacha20(key: bytes, nonce: bytes) -> bytes:
    def quarter(x: list[int], a: int, b: int, c: int, d: int) -> None:
        for target, source, rotated, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[target] = (x[target] + x[source]) & 0xFFFFFFFF
            mixed = x[rotated] ^ x[target]
            x[rotated] = ((mixed << bits) | (mixed >> (32 - bits))) & 0xFFFFFFFF

    state = list(struct.unpack("<4I8I4I", b"expand 32-byte k" + key + nonce))
    for _ in range(10):
        for column in range(4):
            quarter(state, column, column + 4, column + 8, column + 12)
        for diagonal in range(4):
            quarter(state, diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


def encrypt_stream(data: bytes, seed: bytes, personal: bytes = b"SessionAttachmnt") -> tuple[bytes, bytes]:
    """The whole file and its 32-byte key, as the official library makes them from a 32-byte seed."""
    derived = hashlib.blake2b(data, key=seed, person=personal, digest_size=56).digest()
    nonce, key = derived[:24], derived[24:]
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_push(state, key)
    packed = _hchacha20(key, nonce[:16]) + b"\x01\0\0\0" + nonce[16:] + bytes(8)
    # libsodium draws its own header; the format wants a given one, so the state is laid in by hand.
    ffi.memmove(state.statebuf, packed, len(packed))
    plain = bytes(_padding(len(data)) - 1) + b"\x01" + data
    file = b"S" + nonce
    for at in range(0, len(plain), CHUNK):
        last = at + CHUNK >= len(plain)
        tag = 3 if last else 0
        file += sodium.crypto_secretstream_xchacha20poly1305_push(state, plain[at : at + CHUNK], None, tag)
    return file, key
