"""Text from strangers, made harmless for a terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from ..core.names import JOINERS, is_harmful

_EMOJI_MARK = "\ufe0f"


def harmless(text: str, *, multiline: bool = False) -> str:
    """`text` with everything made visible that could move the cursor, change colours or turn the writing direction.

    With `multiline` line feeds and tabs stay; without, they too are shown.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char, multiline) for char in text)


def _shown(char: str, multiline: bool) -> str:
    if multiline and char in "\n\t":
        return char
    if not is_harmful(char):
        return char
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)  # the pictures of the control characters: ␛, ␇ …
    return "␡" if code == 0x7F else f"<U+{code:04X}>"


COLOUR_END = "\x1b[0m"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CHARACTER = re.compile(r"\x1b\[[0-9;]*m|.", re.DOTALL)
_WORD = re.compile(r"([^ ]*)( *)", re.DOTALL)


def cell_width(text: str) -> int:
    """How many columns of a terminal a harmless text takes: two for each wide character, none for marks and joiners."""
    if text.isascii():
        return len(text)
    width = 0
    for char in text:
        if char == _EMOJI_MARK:
            width += 1  # makes a wide picture of the character before it
        elif char not in JOINERS and unicodedata.category(char) not in ("Mn", "Me"):
            width += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return width


def fitted(text: str, columns: int) -> str:
    """A harmless text in exactly so many columns: filled up with spaces, or cut off with an ellipsis."""
    missing = columns - cell_width(text)
    if missing >= 0:
        return text + " " * missing
    kept = text
    while kept and cell_width(kept) > columns - 1:
        kept = kept[:-1]
    kept = kept.rstrip(JOINERS)
    return kept + "…" + " " * (columns - 1 - cell_width(kept))


def wrapped(text: str, columns: int) -> list[str]:
    """A line in lines of at most so many columns: cut between words, and in words that are longer than a line.

    The text is harmless, but for colours of ours, which end with each line and begin again in the next. The spaces that
    it is cut at are left out.
    """
    if columns <= 0 or cell_width(text) <= columns:
        return [text]
    lines, line, width = list[str](), "", 0
    for word, spaces in _WORD.findall(text):
        size = cell_width(_COLOUR.sub("", word))
        if width and width + size > columns:
            lines += [line.rstrip(" ")] if line.strip(" ") else []
            line, width = "", 0
        for char in _CHARACTER.findall(word) if size > columns else [word]:
            char_size = cell_width(_COLOUR.sub("", char))
            if width and char_size and width + char_size > columns:
                lines.append(line)
                line, width = "", 0
            line, width = line + char, width + char_size
        line, width = line + spaces, width + len(spaces)
    return list(_coloured_apart([*lines, line.rstrip(" ")]))


def _coloured_apart(lines: Iterable[str]) -> Iterator[str]:
    going_on = ""
    for line in lines:
        begun = going_on + line
        codes = _COLOUR.findall(begun)
        going_on = codes[-1] if codes and codes[-1] != COLOUR_END else ""
        yield begun + (COLOUR_END if going_on else "")


def human_size(size: int) -> str:
    """A number of bytes as people write it: 999 B, 12.0 kB, 3.4 MB."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"


def human_time(seconds: float) -> str:
    """A length of time as people say it, in its largest unit: 3 seconds, 2 hours."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length or (seconds >= length and unit == "day"):
            return counted(round(seconds / length), unit)
    return counted(max(0, round(seconds)), "second")


def counted(number: int, noun: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short_id(place_id: str) -> str:
    """An id as people tell it from others; of the address of a room, all but the scheme."""
    _, is_address, rest = place_id.partition("://")
    return rest if is_address else place_id[:10] + "…"


def room_token(address: str) -> str:
    """A room's short name on its server, from its address."""
    return address.rpartition("/")[2]
