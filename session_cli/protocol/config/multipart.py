"""Messages in parts: a config that is too large for one message of a swarm, split and put together again.

    m l 32:hash 1:index 1:count chunk e

The hash is that of all chunks together, which are a compressed and padded config. Each part is encrypted by itself.
Parts come in any order, twice, or not all; what has come is kept for a week from the last of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import MalformedMessage
from .. import bencode
from . import sealing

MARK = b"m"
MAX_CHUNK_BYTES = sealing.MAX_MESSAGE_BYTES - 50 - sealing.OVERHEAD
MAX_KEPT_BYTES = 2 * sealing.MAX_PAYLOAD_BYTES
"""How much is kept at most; beyond it, what has waited longest is given up."""
INCOMPLETE_MS = 7 * 24 * 60 * 60 * 1000
FINISHED_MS = 14 * 24 * 60 * 60 * 1000
_HASH_BYTES = 32
_SET_OVERHEAD = 1_024


@dataclass(frozen=True, slots=True)
class Part:
    """One part, decrypted. `payload_hash` names the whole."""

    payload_hash: bytes
    index: int
    count: int
    chunk: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PartSet:
    """The parts that have come of one message: index to the swarm's hash and the chunk. None left once it is complete.

    `expires_ms` is when it is forgotten.
    """

    count: int
    expires_ms: int
    parts: Mapping[int, tuple[str, bytes]]

    @property
    def finished(self) -> bool:
        """Whether all parts have come; the set is only remembered so that late copies are known."""
        return not self.parts

    @property
    def size(self) -> int:
        """How much memory it takes: bytes of the chunks that have come, and something for the rest."""
        return _SET_OVERHEAD + sum(len(chunk) for _, chunk in self.parts.values())


@dataclass(frozen=True, slots=True)
class Whole:
    """A message that is complete: its padded bytes, and the swarm's hashes of its parts, in order."""

    payload: bytes = field(repr=False)
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartStore:
    """The parts of a config that have come so far, by the hash of the whole."""

    sets: Mapping[bytes, PartSet] = field(default_factory=dict)

    @property
    def waiting_hashes(self) -> frozenset[str]:
        """The swarm's hashes of parts whose whole has not come yet: the swarm must keep them."""
        return frozenset(message_hash for part_set in self.sets.values() for message_hash, _ in part_set.parts.values())

    def add(self, part: Part, message_hash: str, now_ms: int) -> tuple[PartStore, Whole | None]:
        """Take in a part, and give the whole if it was the last one.

        A part that came before, or that belongs to a whole that is finished, changes nothing. A set whose whole is not
        what the hash says is forgotten. Raises MalformedMessage for a part that contradicts its set.
        """
        known = self.sets.get(part.payload_hash)
        if known is not None and known.count != part.count:
            raise MalformedMessage("A part of a config disagrees with another about how many there are.")
        if known is not None and (known.finished or part.index in known.parts):
            return self, None
        parts = dict(known.parts) if known else {}
        parts[part.index] = (message_hash, part.chunk)
        if len(parts) < part.count:
            return self._with(part.payload_hash, PartSet(part.count, now_ms + INCOMPLETE_MS, parts)), None
        hashes, chunks = zip(*(parts[index] for index in range(part.count)), strict=True)
        payload = b"".join(chunks)
        if hash_of(payload) != part.payload_hash or len(payload) > sealing.MAX_PAYLOAD_BYTES:
            return self._without({part.payload_hash}), None
        return self.finish(part.payload_hash, part.count, now_ms), Whole(payload, hashes)

    def finish(self, payload_hash: bytes, count: int, now_ms: int) -> PartStore:
        """Remember a whole as known, so that its parts are passed over when they come (again)."""
        return self._with(payload_hash, PartSet(count, now_ms + FINISHED_MS, {}))

    def expire(self, now_ms: int) -> PartStore:
        """Without what has waited, or been remembered, for too long."""
        return self._without({known for known, part_set in self.sets.items() if part_set.expires_ms <= now_ms})

    def _with(self, payload_hash: bytes, part_set: PartSet) -> PartStore:
        sets = {**self.sets, payload_hash: part_set}
        size = sum(kept.size for kept in sets.values())
        for known in sorted(self.sets, key=lambda known: (self.sets[known].expires_ms, known)):
            if size <= MAX_KEPT_BYTES:
                break
            if known != payload_hash:
                size -= sets.pop(known).size
        return PartStore(sets)

    def _without(self, gone: set[bytes]) -> PartStore:
        return PartStore({known: part_set for known, part_set in self.sets.items() if known not in gone})


def hash_of(payload: bytes) -> bytes:
    """What names a whole: the hash of all its chunks."""
    return hashlib.blake2b(payload, digest_size=_HASH_BYTES).digest()


def split(payload: bytes) -> Sequence[bytes]:
    """The parts of a padded config, ready to be encrypted. Raises InvalidInput if it is too large to be stored."""
    sealing.check_size(payload)
    chunks = [payload[at : at + MAX_CHUNK_BYTES] for at in range(0, len(payload), MAX_CHUNK_BYTES)]
    name = hash_of(payload)
    return [
        MARK + bencode.encode([name, bytes([index]), bytes([len(chunks)]), chunk]) for index, chunk in enumerate(chunks)
    ]


def parse(data: bytes) -> Part:
    """Read a part. What follows its list is passed over: official apps leave zeros there. Raises MalformedMessage."""
    if not data.startswith(MARK):
        raise MalformedMessage("A part of a config has no mark.")
    try:
        value, _ = bencode.read(data, len(MARK))
    except IndexError:
        raise MalformedMessage("A part of a config is cut short.") from None
    match value:
        case [bytes() as payload_hash, bytes() as index, bytes() as count, bytes() as chunk] if (
            len(payload_hash) == _HASH_BYTES and len(index) == len(count) == 1 and count[0] > max(1, index[0]) and chunk
        ):
            return Part(payload_hash, index[0], count[0], chunk)
    raise MalformedMessage("A part of a config is malformed.")
