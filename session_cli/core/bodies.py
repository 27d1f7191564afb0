"""The texts of messages: how long they may be, and cutting longer ones."""

from __future__ import annotations

import re

from ..errors import MessageTooLong
from ..protocol.content import MAX_BODY_CODE_POINTS

MOST_CHARACTERS = MAX_BODY_CODE_POINTS
"""In one message."""


def check_body(body: str) -> None:
    """Raise MessageTooLong if a body is over the protocol's limit; receivers would cut it silently."""
    if len(body) > MOST_CHARACTERS:
        raise MessageTooLong(
            f"The message has {len(body):,} characters; Session takes up to {MOST_CHARACTERS:,}. "
            "Send it in parts with --split, or as a file: session attach send TO -"
        )


def split_body(body: str, limit: int = MOST_CHARACTERS) -> list[str]:
    """Cut a long body into parts of up to `limit` characters: between paragraphs, lines or words where that can be.

    No part is blank. Nothing but the white space at the cuts is lost.
    """
    parts, rest = [], body.strip()
    while len(rest) > limit:
        # A part shorter than half would be waste: then rather cut at something smaller.
        window = rest[: limit + 1]
        for pattern in (r"\n\s*\n", r"\n", r"\s"):
            cuts = [match.start() for match in re.finditer(pattern, window) if match.start() >= limit // 2]
            if cuts:
                break
        cut = cuts[-1] if cuts else limit
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*parts, rest] if rest else parts
