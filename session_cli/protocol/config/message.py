"""One message of a config, in plain: how it is written and read, what follows it, and how several become one.

    d 1:# seqno   1:& data   1:< lagged diffs   1:= diff   1:~ signature e

Keys that we don't know may stand between these, and stay where they are. The hash of a message is that of all its
bytes. A message carries the diffs of the last few before it, each under that message's seqno and hash: so two messages
can tell whether one contains the other, and if neither does, what each of them changed since they parted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ...errors import MalformedMessage
from .. import bencode, signed_dict
from ..signed_dict import Signer
from . import diff as diffs
from .tree import EMPTY, Tree, read_tree

LAG = 5
"""How many seqnos back a message still counts."""
MAX_SEQNO = 2**62
"""The highest seqno that is believed: who has seen the highest possible one could never write again."""
_HASH_BYTES = 32
_SEQNO, _DATA, _LAGGED, _DIFF, _SIGNATURE = b"#", b"&", b"<", b"=", b"~"


@dataclass(frozen=True, slots=True, order=True)
class LaggedDiff:
    """What an earlier message changed: its seqno, its hash (32 bytes), its diff (encoded)."""

    seqno: int
    hash: bytes
    diff: bytes = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ConfigMessage:
    """A message as it is written. `diff` is encoded; `unknown` has the keys we don't know, with encoded values."""

    seqno: int
    data: Tree
    lagged: tuple[LaggedDiff, ...]
    diff: bytes = field(repr=False)
    hash: bytes
    unknown: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    signature: bytes | None = None

    @property
    def order(self) -> tuple[int, bytes]:
        """What decides between messages: the higher one wins."""
        return self.seqno, self.hash


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to come, whose data may still change. Its diff will be that from `origin` to its data."""

    seqno: int
    data: Tree
    lagged: tuple[LaggedDiff, ...]
    origin: Tree
    unknown: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)

    def finish(self, sign: Signer | None = None) -> ConfigMessage:
        """The message, signed if it belongs to a group."""
        diff = diffs.encode(diffs.compare(self.origin, self.data))
        unsigned = _serialize(self.seqno, self.data, self.lagged, diff, self.unknown)
        signature = sign(unsigned[:-1]) if sign else None
        serialized = unsigned if signature is None else signed_dict.append(unsigned, signature)
        return ConfigMessage(self.seqno, self.data, self.lagged, diff, hash_of(serialized), self.unknown, signature)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What several messages come to: the index of the one that holds all of them, or what they were merged into.

    `draft` counts as if it changed nothing (its origin is its own data).
    """

    taken: int | None
    draft: Draft | None


def hash_of(serialized: bytes) -> bytes:
    """A message's hash, of all its bytes."""
    return hashlib.blake2b(serialized, digest_size=_HASH_BYTES).digest()


def serialize(message: ConfigMessage) -> bytes:
    """The bytes of a message."""
    unsigned = _serialize(message.seqno, message.data, message.lagged, message.diff, message.unknown)
    return unsigned if message.signature is None else signed_dict.append(unsigned, message.signature)


def _serialize(
    seqno: int, data: Tree, lagged: tuple[LaggedDiff, ...], diff: bytes, unknown: tuple[tuple[bytes, bytes], ...]
) -> bytes:
    rows = b"".join([b"li%de32:%s%se" % (row.seqno, row.hash, row.diff) for row in lagged])
    return bencode.encode_dict(
        [
            (_SEQNO, b"i%de" % seqno),
            (_DATA, data.encode()),
            (_LAGGED, b"l%se" % rows),
            (_DIFF, diff),
            *unknown,
        ]
    )


INITIAL = Draft(0, EMPTY, (), EMPTY).finish()
"""What every config begins as. It is never stored in a swarm, but the first message names it as its predecessor."""


def parse(serialized: bytes, *, lag: int = LAG, verify_key: bytes | None = None, own: bool = False) -> ConfigMessage:
    """Read a message; with `verify_key` (Ed25519, 32 bytes) only one that is signed by it.

    A signature that is not checked is dropped, except with `own`: the message is known to be good. Raises
    MalformedMessage, and BadSignature for a signature that does not verify.
    """

    if verify_key is not None:
        signed_dict.verify(serialized, verify_key)
    message = bencode.complete(lambda data, at: _read(data, at, lag), serialized)
    return message if verify_key is not None or own else replace(message, signature=None)


def _read(data: bytes, at: int, lag: int) -> tuple[ConfigMessage, int]:
    if data[at : at + 4] != b"d1:#":
        raise MalformedMessage("A config does not begin with its sequence number.")
    if data[at + 4] != bencode.INT:
        raise MalformedMessage("The sequence number of a config is no number.")
    seqno, at = bencode.read_int(data, at + 4)
    if not 0 <= seqno <= MAX_SEQNO:
        raise MalformedMessage("The sequence number of a config is out of range.")
    tree: Tree | None = None
    lagged: tuple[LaggedDiff, ...] = ()
    diff = b"de"
    signature: bytes | None = None
    unknown: list[tuple[bytes, bytes]] = []
    last = _SEQNO
    while data[at] != bencode.END:
        key, at = bencode.read_string(data, at)
        if key <= last or last == _SIGNATURE:
            raise MalformedMessage("The keys of a config message are out of order.")
        last = key
        if key > _DATA and tree is None:
            raise MalformedMessage("A config message has no data.")
        value = at
        if key == _DATA:
            tree, at = read_tree(data, at)
        elif key == _LAGGED:
            lagged, at = _read_lagged(data, at, seqno, lag)
        elif key == _DIFF:
            _, at = diffs.read(data, at)
            diff = data[value:at]
        elif key == _SIGNATURE:
            signature, at = bencode.read_string(data, at)
            if len(signature) != signed_dict.SIGNATURE_BYTES:
                raise MalformedMessage("The signature of a config has the wrong size.")
        elif key > _SIGNATURE:
            raise MalformedMessage("Something follows the signature of a config message.")
        else:
            _, at = bencode.read(data, at, 1)
            unknown.append((key, data[value:at]))
    if tree is None or last < _DIFF:
        raise MalformedMessage("A config message lacks its data or its diff.")
    at += 1
    return ConfigMessage(seqno, tree, lagged, diff, hash_of(data[:at]), tuple(unknown), signature), at


def _read_lagged(data: bytes, at: int, seqno: int, lag: int) -> tuple[tuple[LaggedDiff, ...], int]:
    if data[at] != bencode.LIST:
        raise MalformedMessage("The lagged diffs of a config are no list.")
    at += 1
    rows: list[LaggedDiff] = []
    while data[at] != bencode.END:
        if data[at] != bencode.LIST or data[at + 1] != bencode.INT:
            raise MalformedMessage("A lagged diff of a config has no sequence number.")
        row_seqno, after_seqno = bencode.read_int(data, at + 1)
        if row_seqno >= seqno:
            raise MalformedMessage("A lagged diff of a config is not older than the config.")
        if row_seqno <= seqno - lag:
            _, at = bencode.read(data, at, 2)
            continue
        row_hash, start = bencode.read_string(data, after_seqno)
        if len(row_hash) != _HASH_BYTES:
            raise MalformedMessage("A lagged diff of a config has a malformed hash.")
        _, end = diffs.read(data, start)
        row = LaggedDiff(row_seqno, row_hash, data[start:end])
        if data[end] != bencode.END or (rows and row <= rows[-1]):
            raise MalformedMessage("The lagged diffs of a config are out of order.")
        rows.append(row)
        at = end + 1
    return tuple(rows), at + 1


def draft_after(message: ConfigMessage, data: Tree, *, lag: int = LAG) -> Draft:
    """The message that follows another, with other data."""
    seqno = message.seqno + 1
    own = LaggedDiff(message.seqno, message.hash, message.diff)
    return Draft(seqno, data, _within_lag([*message.lagged, own], seqno, lag), message.data, message.unknown)


def redraft(draft: Draft, origin: Tree, seqno: int, *, lag: int = LAG) -> Draft:
    """The same data as a draft with another sequence number, whose diff is that from `origin`."""
    return replace(draft, seqno=seqno, lagged=_within_lag(draft.lagged, seqno, lag), origin=origin)


def _within_lag(rows: Sequence[LaggedDiff], seqno: int, lag: int) -> tuple[LaggedDiff, ...]:
    return tuple(row for row in rows if seqno - lag < row.seqno < seqno)


def resolve(messages: Sequence[ConfigMessage], *, lag: int = LAG, may_merge: bool = True) -> Resolution:
    """Find what several messages (at least one) come to. The order in which they are given decides nothing but which
    of two equal ones is taken.

    Whoever can't sign (`may_merge` false) takes the highest message and leaves it to others to merge.
    """
    highest = max(message.seqno for message in messages)
    superseded = {(row.seqno, row.hash) for message in messages for row in message.lagged}
    kept: dict[tuple[int, bytes], int] = {}
    for index, message in enumerate(messages):
        if message.order not in superseded and message.seqno + lag > highest:
            kept.setdefault(message.order, index)
    if len(kept) == 1 or not may_merge:
        return Resolution(kept[max(kept)], None)
    return Resolution(None, _merge([messages[kept[order]] for order in sorted(kept, reverse=True)], lag))


def _merge(messages: Sequence[ConfigMessage], lag: int) -> Draft:
    """One message out of several that don't contain each other, which are sorted from the highest to the lowest."""
    replay: dict[LaggedDiff, Tree] = {}
    for message in messages:
        own = LaggedDiff(message.seqno, message.hash, message.diff)
        for row in (own, *message.lagged):  # the highest message that carries a diff has the values that count
            replay.setdefault(row, message.data)
    data = messages[0].data
    rows = sorted(replay)
    for row in rows:
        data = diffs.apply(bencode.complete(diffs.read, row.diff), data, replay[row])
    seqno = messages[0].seqno + 1
    return Draft(seqno, data, _within_lag(rows, seqno, lag), origin=data)
