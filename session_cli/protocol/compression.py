"""zstd as Session uses it, with the bounds that what strangers send needs."""

from __future__ import annotations

import io

from ..errors import MalformedMessage

_LEVEL = 1
_MAX_WINDOW_BYTES = 8 * 1024 * 1024


def compress(plaintext: bytes) -> bytes:
    """One zstd frame of the level that all apps use, so that the same bytes always come out the same."""
    import zstandard

    return zstandard.ZstdCompressor(level=_LEVEL).compress(plaintext)


def decompress(frames: bytes, limit: int) -> bytes:
    """Undo `compress`, in memory of a few times `limit` (bytes of plaintext) at most. Raises MalformedMessage."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    try:
        with decompressor.stream_reader(io.BytesIO(frames), read_across_frames=True) as reader:
            plaintext: bytes = reader.read(limit + 1)
    except zstandard.ZstdError:
        raise MalformedMessage("Compressed data does not decompress.") from None
    if len(plaintext) > limit:
        raise MalformedMessage("Compressed data is too large when decompressed.")
    return plaintext
