"""A config's state as bytes, to be kept on the device.

A bencoded dict, with the letters that the official library uses for the same things: `!` phase, `#` form of the dump,
`$` the message, `%` its hash, `(` current and `)` obsolete hashes, `*` parts of messages, `@` what a draft began from.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ...errors import MalformedMessage, UnsupportedVersion
from .. import bencode
from . import message as messages
from .kinds import ConfigKind
from .message import Draft
from .multipart import PartSet, PartStore
from .state import ConfigState, Phase
from .tree import Tree, read_tree

_FORM = 1
_PHASE, _FORM_KEY, _MESSAGE, _HASH, _CURRENT, _OBSOLETE, _PARTS, _ORIGIN = (bytes([key]) for key in b"!#$%()*@")
_COUNT, _EXPIRES, _CHUNKS = b"#", b"T", b"p"


def dump(state: ConfigState) -> bytes:
    """The state as bytes. They hold everything of the config that is secret."""
    message = state.message
    fields: dict[bytes, object] = {
        _PHASE: int(state.phase),
        _FORM_KEY: _FORM,
        _CURRENT: _sorted(state.current_hashes),
        _OBSOLETE: _sorted(state.obsolete_hashes),
        _PARTS: {name: _dump_set(part_set) for name, part_set in state.parts.sets.items()},
    }
    if isinstance(message, Draft):
        fields[_ORIGIN] = message.origin.encode()
        message = message.finish()
    fields[_MESSAGE] = messages.serialize(message)
    fields[_HASH] = message.hash
    return bencode.encode(fields)


@dataclass(frozen=True, slots=True)
class Base:
    """What the swarm had of a config, as far as we know: up to which sequence number, and its data."""

    seqno: int
    data: Tree = field(repr=False)


def dump_base(base: Base) -> bytes:
    """What the swarm had as bytes, the number before the data."""
    return b"i%de" % base.seqno + base.data.encode()


def load_base(data: bytes) -> Base:
    """What was dumped so. Raises MalformedMessage."""
    seqno, at = bencode.read_int(data, 0)
    tree, end = read_tree(data, at)
    if end != len(data):
        raise MalformedMessage("Something follows the kept base of a config.")
    return Base(seqno, tree)


def load(kind: ConfigKind, data: bytes) -> ConfigState:
    """The state that was dumped. Raises MalformedMessage, and UnsupportedVersion for a dump of a later version."""
    fields = bencode.decode(data)
    if not isinstance(fields, dict):
        raise MalformedMessage("A kept config is no dict.")
    if fields.get(_FORM_KEY) != _FORM:
        raise UnsupportedVersion("A kept config was written by a later version.")
    phase, origin = fields.get(_PHASE), fields.get(_ORIGIN)
    if phase not in list(Phase) or (phase == Phase.DIRTY) != (origin is not None):
        raise MalformedMessage("A kept config is in no phase that exists.")
    written = replace(messages.parse(_bytes(fields.get(_MESSAGE)), own=True), hash=_bytes(fields.get(_HASH)))
    parts = fields.get(_PARTS)
    if not isinstance(parts, dict):
        raise MalformedMessage("A kept config has malformed parts.")
    message: messages.ConfigMessage | Draft = written
    if origin is not None:
        tree = bencode.complete(read_tree, _bytes(origin))
        message = Draft(written.seqno, written.data, written.lagged, tree, written.unknown)
    return ConfigState(
        kind,
        message,
        Phase(phase),
        _hashes(fields.get(_CURRENT)),
        _hashes(fields.get(_OBSOLETE)),
        PartStore({name: _load_set(part_set) for name, part_set in parts.items()}),
    )


def _sorted(hashes: frozenset[str]) -> list[bytes]:
    return sorted(message_hash.encode() for message_hash in hashes)


def _dump_set(part_set: PartSet) -> dict[bytes, object]:
    chunks = [[index, message_hash.encode(), chunk] for index, (message_hash, chunk) in sorted(part_set.parts.items())]
    return {_COUNT: part_set.count, _EXPIRES: part_set.expires_ms, _CHUNKS: chunks}


def _load_set(value: bencode.Value) -> PartSet:
    match value:
        case {b"#": int() as count, b"T": int() as expires_ms, b"p": list() as chunks}:
            return PartSet(count, expires_ms, dict(map(_load_chunk, chunks)))
    raise MalformedMessage("A kept config has malformed parts.")


def _load_chunk(value: bencode.Value) -> tuple[int, tuple[str, bytes]]:
    match value:
        case [int() as index, bytes() as message_hash, bytes() as chunk]:
            return index, (_text(message_hash), chunk)
    raise MalformedMessage("A kept config has malformed parts.")


def _bytes(value: bencode.Value | None) -> bytes:
    if not isinstance(value, bytes):
        raise MalformedMessage("A kept config lacks something.")
    return value


def _hashes(value: bencode.Value | None) -> frozenset[str]:
    if not isinstance(value, list):
        raise MalformedMessage("A kept config has malformed hashes.")
    return frozenset(_text(_bytes(item)) for item in value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise MalformedMessage("A kept config has malformed hashes.") from None
