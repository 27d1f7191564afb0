"""Message padding: hides the length of a message to within 160 bytes."""

from __future__ import annotations

BLOCK = 160


def pad(content: bytes) -> bytes:
    """content ‖ 80 ‖ zeros, to a multiple of 160 bytes.

    Content whose length plus one is a multiple of 160 already gets a whole block more, as the apps do.
    """
    used = len(content) + 1
    return content + b"\x80" + bytes(BLOCK - used % BLOCK)


def unpad(padded: bytes) -> bytes:
    """Undo `pad` for content of any length. Never fails: without the byte 80, only trailing zeros are dropped.

    Other clients pad to other multiples (one to 160·k - 1), which is why the length is not looked at.
    """
    stripped = padded.rstrip(b"\0")
    return stripped[:-1] if stripped.endswith(b"\x80") else stripped
