"""Which names people may have: those that others see, and those that we give."""

from __future__ import annotations

import re
import unicodedata

from ..errors import InvalidInput

MIN_PREFIX = 8
"""Digits of an id that can stand for all of it."""
MAX_NICKNAME = 100
"""Bytes: what all devices keep."""
JOINERS = "\u200c\u200d"
"""Invisible characters that scripts and emoji need."""
_HARMFUL = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def is_harmful(char: str) -> bool:
    """Whether a character could move a cursor, change colours, turn the writing direction, or can't be shown at all."""
    return char not in JOINERS and unicodedata.category(char) in _HARMFUL


def looks_like_id(text: str) -> bool:
    """Whether a text is taken for an account id, or for the beginning of one."""
    return len(text) >= MIN_PREFIX and re.fullmatch(r"[0-9a-fA-F]+", text) is not None


def check_nickname(text: str) -> str:
    """A name that we give to somebody, without spaces around it. Raises InvalidInput if it could not be told apart."""
    nickname = _check(text)
    if nickname.lower() == "me":
        raise InvalidInput(f"{nickname!r} means yourself; choose another name.")
    if looks_like_id(nickname):
        raise InvalidInput(f"{nickname!r} could be the beginning of an account id; choose another name.")
    size = len(nickname.encode())
    if size > MAX_NICKNAME:
        raise InvalidInput(f"The name takes {size} bytes, more than {MAX_NICKNAME}; choose a shorter one.")
    return nickname


def check_display_name(text: str) -> str:
    """The name that others see, without spaces around it. Raises InvalidInput for one that no client would show."""
    from ..protocol.content import MAX_NAME_BYTES

    name = _check(text)
    size = len(name.encode())
    if size > MAX_NAME_BYTES:
        raise InvalidInput(f"The name takes {size} bytes, more than {MAX_NAME_BYTES}; choose a shorter one.")
    return name


def _check(text: str) -> str:
    name = text.strip()
    if not any(char not in JOINERS and not char.isspace() for char in name):
        raise InvalidInput("A name can't be empty.")
    harmful = next((char for char in name if is_harmful(char)), None)
    if harmful is not None:
        raise InvalidInput(
            f"There is a control or direction character in the name, U+{ord(harmful):04X}; leave it out."
        )
    return name
