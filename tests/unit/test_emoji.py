"""What counts as one emoji, and how it is written."""

from __future__ import annotations

import emoji
import pytest

from session_cli.core.reacting import one_emoji
from session_cli.errors import InvalidInput


@pytest.mark.parametrize(
    "text", ["👍", "👍🏽", "❤️", "👨‍👩‍👧‍👦", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "👩🏽‍❤️‍💋‍👨🏿", "🏳️‍🌈"]
)  # fmt: skip
def test_emoji_stay_as_they_are(text: str) -> None:
    assert one_emoji(text) == text


@pytest.mark.parametrize(("text", "written"), [("❤", "❤️"), ("1⃣", "1️⃣"), ("☹", "☹️"), ("🏳‍🌈", "🏳️‍🌈")])
def test_what_lacks_the_mark_of_a_picture_gets_it(text: str, written: str) -> None:
    assert one_emoji(text) == written


@pytest.mark.parametrize(
    "text", ["", " ", "hello", "1", "#", ":+1:", ":thumbs_up:", "👍👍", "👍 ", "a👍", "\u200d", "\ufe0f"]
)
def test_all_else_is_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="not one emoji"):
        one_emoji(text)


def test_all_emoji_are_written_in_full() -> None:
    full = {text for text, facts in emoji.EMOJI_DATA.items() if facts["status"] == emoji.STATUS["fully_qualified"]}
    assert {text for text in full if one_emoji(text) != text} == set()
    parts = {text for text, facts in emoji.EMOJI_DATA.items() if facts["status"] == emoji.STATUS["component"]}
    assert {one_emoji(text) for text in emoji.EMOJI_DATA if text not in parts} == full
