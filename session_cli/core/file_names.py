"""Names that strangers gave to files, made safe for this machine."""

from __future__ import annotations

import mimetypes
import re
import unicodedata

_MAX_BYTES = 200
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?\Z")
_FORBIDDEN = frozenset('/\\:*?"<>|')
_BIDI_AND_CONTROL = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def safe_file_name(name: str | None, content_type: str, fallback: str) -> str:
    """A name without folders, control or direction marks, dots in front or names with a meaning; never empty.

    `fallback` names a file that has no usable name; `content_type` gives it an ending. At most 200 bytes.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name or ""))[-1]
    kept = "".join(
        "_" if char in _FORBIDDEN else char for char in last if unicodedata.category(char) not in _BIDI_AND_CONTROL
    )
    kept = kept.strip(" .")
    if last.startswith("."):
        kept = kept and "_" + kept
    if _RESERVED.match(kept):
        kept = "_" + kept
    if kept.startswith("-"):
        kept = "_" + kept
    if not kept:
        kept = fallback + (mimetypes.guess_extension(content_type.partition(";")[0]) or "")
    return shortened(kept)


def shortened(name: str, most: int = _MAX_BYTES) -> str:
    """A name cut to so many bytes; its ending stays."""
    if len(name.encode()) <= most:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending.encode()) > 20:
        stem, dot, ending = name, "", ""
    room = most - len((dot + ending).encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + ending


def numbered(name: str, number: int) -> str:
    """`a.txt` → `a (2).txt`, for the second file of that name."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem} ({number}).{ending}" if dot and stem else f"{name} ({number})"
