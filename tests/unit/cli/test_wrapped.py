"""Lines cut for a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.cli.text import cell_width, harmless, wrapped

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("", 10, [""]),
        ("fits here.", 10, ["fits here."]),
        ("cut between words", 10, ["cut", "between", "words"]),
        ("cut  at  all  spaces", 9, ["cut  at", "all", "spaces"]),
        ("averylongword", 5, ["avery", "longw", "ord"]),
        ("a averylongword", 5, ["a", "avery", "longw", "ord"]),
        ("    indented", 8, ["indented"]),
        ("日本語です", 4, ["日本", "語で", "す"]),
        ("x" + "\u0301" * 3 + "y", 1, ["x" + "\u0301" * 3, "y"]),
        ("\x1b[1;31mhit\x1b[0m and more", 7, ["\x1b[1;31mhit\x1b[0m and", "more"]),
    ],
)
def test_examples(text: str, columns: int, lines: list[str]) -> None:
    assert wrapped(text, columns) == lines


@given(st.text(st.characters(codec="utf-8"), max_size=300).map(harmless), st.integers(2, 40), st.booleans())
def test_nothing_is_lost_and_nothing_sticks_out(text: str, columns: int, coloured: bool) -> None:
    shown = f"\x1b[1m{text}\x1b[0m" if coloured else text
    lines = wrapped(shown, columns)
    assert COLOUR.sub("", "".join(lines)).replace(" ", "") == text.replace(" ", "")
    assert all(COLOUR.findall(line) == ["\x1b[1m", "\x1b[0m"] * coloured for line in lines if line)
    assert all(cell_width(COLOUR.sub("", line)) <= columns for line in lines)
