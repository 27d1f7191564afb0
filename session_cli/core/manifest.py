"""A file in parts: several attachments of one message, and one more that says how they belong together.

The manifest is called `NAME.parts.json`, of type application/json:

    {"session_parts": 1, "name": ..., "size": bytes, "sha256": hex, "content_type": ...,
     "parts": [{"name": ..., "size": bytes, "sha256": hex}, ...]}

The parts, in their order, are `NAME.001`, `NAME.002` and so on, so that whoever has no program for it can join them.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import AttachmentCorrupt
from ..protocol.content import MAX_ATTACHMENTS
from .file_names import shortened

VERSION = 1
CONTENT_TYPE = "application/json"
ENDING = ".parts.json"
MOST_BYTES = 65_536
"""Of a manifest. One of ours with the longest names has half of that."""
MOST_PARTS = MAX_ATTACHMENTS - 1
_NAME_BYTES = 180
"""Of the whole file's name, so that what is put behind it is never cut off."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 2**53


@dataclass(frozen=True, slots=True)
class Part:
    """One part: the name of its attachment, and what must be in it. `sha256` is hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole file and its parts, in their order. `name` is what its sender called it: don't use it as a path."""

    name: str
    size: int
    sha256: str
    content_type: str
    parts: tuple[Part, ...]

    def serialize(self) -> bytes:
        """The manifest as it is sent."""
        values = {
            "session_parts": VERSION,
            "name": self.name,
            "size": self.size,
            "sha256": self.sha256,
            "content_type": self.content_type,
            "parts": [{"name": part.name, "size": part.size, "sha256": part.sha256} for part in self.parts],
        }
        return json.dumps(values, ensure_ascii=False, indent=1).encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest | None:
    """Read a manifest; None for a file that is something else.

    Raises AttachmentCorrupt for one that contradicts itself, or is of a version that is not known.
    """
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or "session_parts" not in values:
        return None
    if values["session_parts"] != VERSION:
        raise AttachmentCorrupt("A file was sent in parts by a program that is newer than this one.")
    try:
        manifest = _manifest(values)
    except (KeyError, TypeError, ValueError):
        raise AttachmentCorrupt("A file was sent in parts, but what says how they are joined makes no sense.") from None
    names = [part.name for part in manifest.parts]
    if len(set(names)) < len(names):
        raise AttachmentCorrupt("A file was sent in parts, but two of them have the same name.")
    if sum(part.size for part in manifest.parts) != manifest.size:
        raise AttachmentCorrupt("A file was sent in parts that don't add up to it.")
    return manifest


def _manifest(values: Mapping[str, Any]) -> Manifest:
    """Raises KeyError, TypeError, ValueError."""
    parts = values["parts"]
    if not isinstance(parts, list) or not 1 <= len(parts) <= MOST_PARTS:
        raise ValueError
    return Manifest(
        _text(values["name"]),
        _size(values["size"]),
        _sha256(values["sha256"]),
        _text(values["content_type"]),
        tuple(Part(_text(part["name"]), _size(part["size"]), _sha256(part["sha256"])) for part in parts),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # half of a surrogate pair is no text
    return value


def _size(value: Any) -> int:
    if type(value) is not int or not 0 < value <= _LARGEST:
        raise ValueError
    return value


def _sha256(value: Any) -> str:
    if not _SHA256.fullmatch(_text(value)):
        raise ValueError
    return str(value)


def whole_name(name: str) -> str:
    """The name of a file that goes in parts, short enough for what is put behind it."""
    return shortened(name, _NAME_BYTES)


def part_name(name: str, number: int) -> str:
    """The name of a part, counted from 1."""
    return f"{name}.{number:03d}"


def hint(name: str, count: int) -> str:
    """What the message says to whoever has another program."""
    quoted = shlex.quote(name)
    return f"{name} comes in {count} parts. To join them: cat {quoted}.0* > {quoted}"
