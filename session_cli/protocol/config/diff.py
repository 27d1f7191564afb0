"""What one message of a config changed: which keys, not to what.

A diff is a dict with the keys of what changed. A scalar that was set is `SET`, one that was removed `REMOVED`; a set
says what was added and removed; a dict holds the diff of its own keys. The values stand in the message's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ...errors import MalformedMessage
from .. import bencode
from .tree import EMPTY, Scalar, ScalarSet, Tree, Value, encode_set, read_set

SET = b""
REMOVED = b"-"


@dataclass(frozen=True, slots=True)
class SetDiff:
    """What came into a set, and what left it."""

    added: ScalarSet
    removed: ScalarSet


Diff: TypeAlias = Mapping[bytes, "bytes | SetDiff | Diff"]


def compare(old: Tree, new: Tree) -> Diff:
    """The diff from one tree to another; empty if they are equal."""
    if old is new:
        return {}
    diff: dict[bytes, bytes | SetDiff | Diff] = {}
    for key, value in new.items():
        before = old.get(key)
        if before is value:
            continue
        change = _compare_values(before, value)
        if change is not None:
            diff[key] = change
    for key, value in old.items():
        if key not in new:
            diff[key] = _removal(value)
    return diff


def _compare_values(old: Value | None, new: Value) -> bytes | SetDiff | Diff | None:
    """A value's change, where it is there after it; None if there is none. Another kind of value is a new value."""
    if isinstance(new, Tree):
        return compare(old if isinstance(old, Tree) else EMPTY, new) or None
    if isinstance(new, frozenset):
        before = old if isinstance(old, frozenset) else frozenset[Scalar]()
        return SetDiff(new - before, before - new) if new != before else None
    return None if type(old) is type(new) and old == new else SET


def _removal(old: Value) -> bytes | SetDiff | Diff:
    if isinstance(old, Tree):
        return compare(old, EMPTY)
    if isinstance(old, frozenset):
        return SetDiff(frozenset(), old)
    return REMOVED


def apply(diff: Diff, data: Tree, source: Tree) -> Tree:
    """`data` with the changes of a diff; the new values are those of `source`, the data of the diff's message.

    Where `source` has nothing of the diff's kind any more, a later change removed or replaced it: it is removed here
    too, and the later change does the rest.
    """
    entries: dict[bytes, Value] = dict(data.items())
    for key, change in diff.items():
        new = source.get(key)
        present = entries.get(key)
        result: Value | None = None
        if isinstance(change, bytes):
            if change == SET and isinstance(new, int | bytes):
                result = new
        elif isinstance(change, SetDiff):
            if isinstance(new, frozenset):
                before = present if isinstance(present, frozenset) else frozenset[Scalar]()
                result = (before | change.added) - change.removed
        elif isinstance(new, Tree):
            result = apply(change, present if isinstance(present, Tree) else EMPTY, new)
        if result is None or (isinstance(result, Tree | frozenset) and not result):
            entries.pop(key, None)
        else:
            entries[key] = result
    return Tree(entries)


def encode(diff: Diff) -> bytes:
    """The bencoded diff."""
    parts = [b"d"]
    for key, change in sorted(diff.items()):
        parts.append(b"%d:%s" % (len(key), key))
        if isinstance(change, bytes):
            parts.append(b"%d:%s" % (len(change), change))
        elif isinstance(change, SetDiff):
            parts.append(b"l%s%se" % (encode_set(change.added), encode_set(change.removed)))
        else:
            parts.append(encode(change))
    parts.append(b"e")
    return b"".join(parts)


def read(data: bytes, at: int, depth: int = 0) -> tuple[Diff, int]:
    """The diff whose `d` stands at `at`, and the place behind it; see `bencode` for the errors."""
    bencode.check_depth(depth)
    if data[at] != bencode.DICT:
        raise MalformedMessage("A config's diff is no dict.")
    at += 1
    diff: dict[bytes, bytes | SetDiff | Diff] = {}
    last = None
    while data[at] != bencode.END:
        key, at = bencode.read_string(data, at)
        if last is not None and key <= last:
            raise MalformedMessage("The keys of a config's diff are out of order.")
        last = key
        token = data[at]
        change: bytes | SetDiff | Diff
        if token == bencode.DICT:
            change, at = read(data, at, depth + 1)
        elif token == bencode.LIST:
            change, at = _read_set_diff(data, at)
        else:
            change, at = bencode.read_string(data, at)
            if change not in (SET, REMOVED):
                raise MalformedMessage("A config's diff says neither that a value is set nor that it is removed.")
        diff[key] = change
    return diff, at + 1


def _read_set_diff(data: bytes, at: int) -> tuple[SetDiff, int]:
    added, at = read_set(data, at + 1)
    removed, at = read_set(data, at)
    if data[at] != bencode.END:
        raise MalformedMessage("A config's diff of a set has more than two lists.")
    return SetDiff(added, removed), at + 1
