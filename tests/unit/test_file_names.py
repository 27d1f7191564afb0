"""Names from strangers, for files and for the terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.cli.text import harmless, human_size
from session_cli.core.file_names import numbered, safe_file_name
from session_cli.core.spool import largest_plaintext
from session_cli.protocol.attachment import encrypted_size


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\x.exe", "x.exe"),
        ("..", "file.txt"),
        (".", "file.txt"),
        ("", "file.txt"),
        (None, "file.txt"),
        ("   ", "file.txt"),
        (".bashrc", "_bashrc"),
        ("-rf", "_-rf"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("a\0b", "ab"),
        ("a\nb\x1b[31m", "ab[31m"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a:b*c?.txt", "a_b_c_.txt"),
        ("Grüße 世界.pdf", "Grüße 世界.pdf"),
        ("trailing. ", "trailing"),
    ],
)
def test_safe_names(name: str | None, safe: str) -> None:
    assert safe_file_name(name, "text/plain; charset=utf-8", "file") == safe


def test_long_names_keep_their_ending() -> None:
    assert safe_file_name("x" * 300 + ".pdf", "", "file") == "x" * 196 + ".pdf"
    assert len(safe_file_name("世" * 300, "", "file").encode()) <= 200


@given(st.none() | st.text(max_size=300))
def test_any_name_is_made_safe(name: str | None) -> None:
    safe = safe_file_name(name, "application/octet-stream", "file")
    assert safe
    assert safe not in (".", "..")
    assert not set(safe) & set('/\\:*?"<>|\0')
    assert not safe.startswith((".", "-", " "))
    assert len(safe.encode()) <= 200
    assert safe_file_name(safe, "application/octet-stream", "file") == safe


def test_numbers_go_before_the_ending() -> None:
    assert numbered("a.txt", 2) == "a (2).txt"
    assert numbered("a", 3) == "a (3)"


@given(st.text(max_size=100))
def test_nothing_harmful_reaches_a_terminal(text: str) -> None:
    shown = harmless(text)
    assert shown.isprintable() or all(unicodedata.category(c) not in ("Cc", "Cs", "Co") for c in shown)
    assert not set(shown) & set("\x1b\x07\r\n\u202e\u2066\u200b")
    lines = harmless(text, multiline=True)
    assert not set(lines) & set("\x1b\x07\r\u202e")
    assert lines.count("\n") == text.count("\n")


def test_emoji_with_joiners_stay_whole() -> None:
    assert harmless("👩\u200d🚀 hi") == "👩\u200d🚀 hi"
    assert harmless("\x1b[2Jx\x7f") == "␛[2Jx␡"
    assert harmless("\u202e") == "<U+202E>"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_034, "12.0 kB"), (10**10, "10.0 GB")]
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize("limit", [592, 10_000, 10_000_000, 100_000_064])
def test_the_largest_file_that_fits(limit: int) -> None:
    largest = largest_plaintext(limit)
    assert encrypted_size(largest) <= limit < encrypted_size(largest + 1)
    if limit == 10_000_000:
        assert largest == 9_828_080
    if limit == 100_000_064:
        assert largest == 100_000_000 + 15
