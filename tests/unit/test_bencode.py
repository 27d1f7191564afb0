"""Bencoding: one encoding for each value, and no bytes that do harm."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import MalformedMessage
from session_cli.protocol import bencode

VALUES = st.recursive(
    st.integers(bencode.MIN_INT, bencode.MAX_INT) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=4), inner, max_size=4),
    max_leaves=12,
)
ALPHABET = st.lists(st.sampled_from([b"i", b"l", b"d", b"e", b"-", b":", b"0", b"1", b"2", b"9", b"a"])).map(b"".join)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    assert bencode.decode(bencode.encode(value)) == value


@given(st.binary(max_size=60) | ALPHABET)
def test_what_decodes_encodes_to_the_same(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        assert bencode.encode(bencode.decode(data)) == data


@given(VALUES, st.integers(0, 200), st.binary(min_size=1, max_size=2))
def test_changed_bytes_decode_to_themselves_or_not_at_all(value: Any, at: int, put: bytes) -> None:
    data = bencode.encode(value)
    changed = data[:at] + put + data[at + 1 :]
    with contextlib.suppress(MalformedMessage):
        assert bencode.encode(bencode.decode(changed)) == changed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"i",
        b"ie",
        b"i-e",
        b"i01e",
        b"i-0e",
        b"i+1e",
        b"i 1e",
        b"i1_0e",
        b"i9223372036854775808e",
        b"i-9223372036854775809e",
        b"i" + b"9" * 100_000 + b"e",
        b"3:ab",
        b"03:abc",
        b"-1:a",
        b":",
        b"1",
        b"99999999999999999999:",
        b"9" * 100_000 + b":",
        b"l",
        b"le" * 2,
        b"d1:ae",
        b"di1ei1ee",
        b"d1:bi1e1:ai1ee",
        b"d1:ai1e1:ai1ee",
        b"x",
        b"l" * 100_000,
        b"d0:" * 100_000,
        b"l" * 33 + b"e" * 33,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        bencode.decode(data)


def test_as_deep_as_allowed() -> None:
    bencode.decode(b"l" * bencode.MAX_DEPTH + b"e" * bencode.MAX_DEPTH)


@pytest.mark.parametrize("value", [None, 1.5, "text", bencode.MAX_INT + 1])
def test_what_has_no_encoding(value: Any) -> None:
    with pytest.raises(ValueError, match="bencoded"):
        bencode.encode(value)
