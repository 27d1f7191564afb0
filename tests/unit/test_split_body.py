"""Cutting long texts into messages."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from session_cli.core.bodies import MOST_CHARACTERS, split_body

texts = st.lists(st.sampled_from(["a", "bc", "def ", " ", "\n", "\n \n", "\t", "😀", "e\u0301", "x" * 30])).map("".join)


@given(texts, st.integers(1, 40))
def test_nothing_but_white_space_is_lost(text: str, limit: int) -> None:
    parts = split_body(text, limit)
    assert all(part.strip() and len(part) <= limit for part in parts)
    assert re.sub(r"\s", "", "".join(parts)) == re.sub(r"\s", "", text)
    rest = text
    for part in parts:
        before, found, rest = rest.partition(part)
        assert found
        assert not before.strip()
    assert not rest.strip()


@given(texts, st.integers(1, 40))
def test_words_stay_whole_where_they_can(text: str, limit: int) -> None:
    words = text.split()
    if all(len(word) <= limit // 2 for word in words):
        assert [word for part in split_body(text, limit) for word in part.split()] == words


def test_what_fits_is_left_as_it_is() -> None:
    text = "x" * MOST_CHARACTERS
    assert split_body(text) == [text]
    assert split_body(f"\n {text} \n") == [text]
    assert split_body(" \n ") == []
    assert [len(part) for part in split_body(text + "y")] == [MOST_CHARACTERS, 1]


def test_the_greatest_gap_is_chosen() -> None:
    assert split_body("aaa aaa\n\nbb\nb b", 13) == ["aaa aaa", "bb\nb b"]
    assert split_body("aaa aaa\nbbb bbb", 13) == ["aaa aaa", "bbb bbb"]
    assert split_body("aaa aaa bbb bbb", 13) == ["aaa aaa bbb", "bbb"]
    assert split_body("a\n\nbbbb bbbb bbbb", 13) == ["a\n\nbbbb bbbb", "bbbb"], "a part of one letter would be waste"
