"""Config messages made of anything: what is read is written again, what is malformed is said to be, merges agree."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import MalformedMessage
from session_cli.protocol.config import diff as diffs
from session_cli.protocol.config import message as messages
from session_cli.protocol.config.message import ConfigMessage, Draft
from session_cli.protocol.config.tree import EMPTY, Tree, Value

SCALARS = st.integers(-3, 3) | st.sampled_from([b"", b"a", b"b"])
KEYS = st.sampled_from([b"", b"a", b"b", b"c", b"\xff"])


def _tree(entries: dict[bytes, Value]) -> Tree:
    return EMPTY.with_values(entries)


VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS | st.frozensets(SCALARS, min_size=1, max_size=4),
    lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=4).map(_tree),
    max_leaves=10,
)
TREES = st.dictionaries(KEYS, VALUES, max_size=5).map(_tree)


@given(TREES, TREES)
def test_a_diff_leads_from_one_tree_to_the_other(old: Tree, new: Tree) -> None:
    diff = diffs.compare(old, new)
    assert (diff == {}) is (old == new)
    encoded = diffs.encode(diff)
    read, end = diffs.read(encoded, 0)
    assert (read, end) == (diff, len(encoded))
    assert diffs.apply(read, old, new) == new


@given(st.lists(TREES, min_size=1, max_size=8))
def test_messages_that_follow_each_other(history: list[Tree]) -> None:
    chain = [messages.INITIAL]
    for data in history:
        message = messages.draft_after(chain[-1], data).finish()
        serialized = messages.serialize(message)
        assert messages.parse(serialized) == message
        assert messages.serialize(messages.parse(serialized)) == serialized
        chain.append(message)
    assert chain[-1].data == history[-1]
    assert messages.resolve(chain).taken == len(chain) - 1
    assert messages.resolve(chain[::-1]).taken == 0


@given(st.binary(max_size=80))
def test_garbage_is_malformed(data: bytes) -> None:
    for hostile in (data, b"d" + data, b"d1:#i1e1:&d" + data, b"d1:#i1e1:&de1:<le1:=d" + data):
        with contextlib.suppress(MalformedMessage):
            messages.parse(hostile)


@given(TREES, TREES, st.data())
def test_a_changed_message_is_read_as_it_is_or_refused(old: Tree, new: Tree, data: st.DataObject) -> None:
    first = messages.draft_after(messages.INITIAL, old).finish()
    serialized = messages.serialize(messages.draft_after(first, new).finish())
    at = data.draw(st.integers(0, len(serialized) - 1))
    changed = serialized[:at] + data.draw(st.binary(min_size=1, max_size=3)) + serialized[at + 1 :]
    with contextlib.suppress(MalformedMessage):
        parsed = messages.parse(changed)
        # Rows of the lag list that are too old, and a missing list or diff, are all that may differ.
        assert messages.parse(messages.serialize(parsed)).data == parsed.data
        assert parsed.hash == messages.hash_of(changed)


@pytest.mark.parametrize(
    "serialized",
    [
        b"d1:#i-1e1:&de1:<le1:=dee",
        b"d1:#i%de1:&de1:<le1:=dee" % (messages.MAX_SEQNO + 1),
        b"d1:#i1e1:&de1:<lee",
        b"d1:#i1e1:&de1:=de1:~0:e",
        b"d1:#i1e1:&de1:=de2:~ai1ee",
        b"d1:#i1e1:&de1:=d1:ai1eee",
        b"d1:#i1e1:&de1:=d1:al1:aeee",
        b"d1:#i1e1:&de1:=d1:alleleleeee",
        b"d1:#i1e1:&d1:a" + b"d1:a" * 100_000,
        b"d1:#i1e1:&de1:=d1:a" + b"d1:a" * 100_000,
        b"d1:#i1e1:&de1:<l" + b"l" * 100_000,
    ],
    ids=lambda data: repr(data[:40]),
)
def test_refused(serialized: bytes) -> None:
    with pytest.raises(MalformedMessage):
        messages.parse(serialized)


def test_nothing_but_the_lag_list_may_be_missing() -> None:
    parsed = messages.parse(b"d1:#i1e1:&d1:ai1ee1:=d1:a0:ee")
    assert messages.serialize(parsed) == b"d1:#i1e1:&d1:ai1ee1:<le1:=d1:a0:ee"
    assert parsed.hash != messages.hash_of(messages.serialize(parsed))


def _branch(parent: ConfigMessage, data: Tree) -> ConfigMessage:
    return messages.draft_after(parent, data).finish()


@given(TREES, st.lists(st.lists(TREES, min_size=1, max_size=3), min_size=2, max_size=4), st.randoms())
def test_the_order_of_arrival_decides_nothing(base: Tree, branches: list[list[Tree]], random: Random) -> None:
    common = _branch(messages.INITIAL, base)
    written = [common]
    for branch in branches:
        parent = common
        for data in branch:
            parent = _branch(parent, data)
            written.append(parent)
    outcome = _outcome(written)
    for _ in range(3):
        arrived = written + written[:2]
        random.shuffle(arrived)
        assert _outcome(arrived) == outcome


def _outcome(arrived: Sequence[ConfigMessage]) -> ConfigMessage | Draft:
    resolution = messages.resolve(arrived)
    return resolution.draft or arrived[resolution.taken or 0]
