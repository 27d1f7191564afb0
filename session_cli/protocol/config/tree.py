"""The data of a config: a tree of dicts, whose leaves are integers, byte strings and sets of both.

A tree never changes; what changes it gives another, that shares all that is as before. So "is it the same object?" is
a quick answer to "has anything changed?", and branches that stay keep their encoding. A tree holds no empty branch and
no empty set: to leave one empty is to remove it.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, Sequence
from typing import TypeAlias

from ...errors import MalformedMessage
from .. import bencode

Scalar = int | bytes
ScalarSet = frozenset[Scalar]
Value: TypeAlias = "Scalar | ScalarSet | Tree"


class Tree:
    """An immutable mapping of byte strings to values, without order. Equal if the entries are."""

    __slots__ = ("_encoded", "_entries")

    def __init__(self, entries: Mapping[bytes, Value] | None = None, *, encoded: bytes | None = None) -> None:
        """`encoded` is the encoding, where it is known. Empty branches and sets have to be left out by the caller."""
        self._entries = dict(entries or {})
        self._encoded = encoded

    def __getitem__(self, key: bytes) -> Value:
        return self._entries[key]

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        return self is other or self._entries == other._entries

    def __hash__(self) -> int:
        return hash(self.encode())

    def __repr__(self) -> str:
        return f"Tree(of {len(self)} keys)"  # values are names, keys and secrets

    def items(self) -> ItemsView[bytes, Value]:
        """Keys and values."""
        return self._entries.items()

    def get(self, key: bytes) -> Value | None:
        """The value of a key, or None."""
        return self._entries.get(key)

    def branch(self, *path: bytes) -> Tree:
        """The dict at the end of a path of keys; empty if there is none."""
        tree = self
        for key in path:
            value = tree._entries.get(key)
            if not isinstance(value, Tree):
                return EMPTY
            tree = value
        return tree

    def with_value(self, path: Sequence[bytes], value: Value | None) -> Tree:
        """A tree with this value at the end of a path, or nothing there for None or something empty.

        On the way, what is missing or no dict becomes one if there is something to put; dicts that are left empty
        go. The tree itself, if that changes nothing.
        """
        key, *rest = path
        present = self._entries.get(key)
        if rest:
            branch = present if isinstance(present, Tree) else EMPTY
            changed = branch.with_value(rest, value)
            if changed is branch:
                return self
            value = changed
        if value is None or (isinstance(value, Tree | frozenset) and not value):
            if present is None:
                return self
            entries = dict(self._entries)
            del entries[key]
            return Tree(entries)
        if present is value or (type(present) is type(value) and present == value):
            return self
        return Tree({**self._entries, key: value})

    def with_values(self, changes: Mapping[bytes, Value | None]) -> Tree:
        """A tree with each of these values at its key; see `with_value`."""
        tree = self
        for key, value in changes.items():
            tree = tree.with_value([key], value)
        return tree

    def encode(self) -> bytes:
        """The bencoded dict."""
        if self._encoded is not None:
            return self._encoded
        parts = [b"d"]
        nested = False
        for key, value in sorted(self._entries.items()):
            parts.append(b"%d:%s" % (len(key), key))
            if isinstance(value, bytes):
                parts.append(b"%d:%s" % (len(value), value))
            elif isinstance(value, int):
                parts.append(b"i%de" % value)
            elif isinstance(value, Tree):
                nested = True
                parts.append(value.encode())
            else:
                parts.append(encode_set(value))
        parts.append(b"e")
        encoded = b"".join(parts)
        if not nested:  # kept by the innermost dicts alone: these are the many, and keep each byte once
            self._encoded = encoded
        return encoded


EMPTY = Tree()


def sort_scalars(scalars: ScalarSet) -> list[Scalar]:
    """In the order of the encoding: integers by value, then strings by their bytes."""
    integers = sorted(scalar for scalar in scalars if isinstance(scalar, int))
    return [*integers, *sorted(scalar for scalar in scalars if isinstance(scalar, bytes))]


def encode_set(scalars: ScalarSet) -> bytes:
    """A set's encoding: a sorted list."""
    return bencode.encode(sort_scalars(scalars))


def read_tree(data: bytes, at: int, depth: int = 0) -> tuple[Tree, int]:
    """The dict whose `d` stands at `at`, and the place behind it; see `bencode` for the errors."""
    bencode.check_depth(depth)
    if data[at] != bencode.DICT:
        raise MalformedMessage("The data of a config is no dict.")
    start = at
    at += 1
    entries: dict[bytes, Value] = {}
    last = None
    nested = False
    while (token := data[at]) != bencode.END:
        key, at = bencode.read_string(data, at)
        if last is not None and key <= last:
            raise MalformedMessage("The keys of a config are out of order.")
        last = key
        token = data[at]
        value: Value
        if token == bencode.INT:
            value, at = bencode.read_int(data, at)
        elif token == bencode.DICT:
            nested = True
            value, at = read_tree(data, at, depth + 1)
            if not value:
                raise MalformedMessage("A config holds an empty dict.")
        elif token == bencode.LIST:
            value, at = read_set(data, at)
            if not value:
                raise MalformedMessage("A config holds an empty set.")
        else:
            value, at = bencode.read_string(data, at)
        entries[key] = value
    at += 1
    return Tree(entries, encoded=None if nested else data[start:at]), at


def read_set(data: bytes, at: int) -> tuple[ScalarSet, int]:
    """The set whose `l` stands at `at`, which may be empty, and the place behind it; see `bencode` for the errors."""
    if data[at] != bencode.LIST:
        raise MalformedMessage("A set of a config is no list.")
    at += 1
    scalars: list[Scalar] = []
    while data[at] != bencode.END:
        scalar, at = bencode.read_int(data, at) if data[at] == bencode.INT else bencode.read_string(data, at)
        scalars.append(scalar)
    found = frozenset(scalars)
    if len(found) != len(scalars) or sort_scalars(found) != scalars:
        raise MalformedMessage("A set of a config is out of order.")
    return found, at + 1
