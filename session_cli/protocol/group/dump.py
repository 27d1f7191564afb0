"""A group's keys as bytes, to be kept on the device.

A bencoded dict, with the letters that the official library uses for the same things: `A` hashes by generation, `L`
keys, `P` what is pending; and `#` form of the dump.
"""

from __future__ import annotations

from ...errors import MalformedMessage, UnsupportedVersion
from .. import bencode
from ..account import AccountId
from .keys import GroupKey, GroupKeys, PendingKey

_FORM = 1
_FORM_KEY, _HASHES, _KEYS, _PENDING = b"#", b"A", b"L", b"P"


def dump(keys: GroupKeys) -> bytes:
    """The keys as bytes, which hold all that is secret in them."""
    fields: dict[bytes, object] = {
        _FORM_KEY: _FORM,
        _HASHES: [
            [generation, *sorted(found.encode() for found in hashes)]
            for generation, hashes in sorted(keys.hashes.items())
        ],
        _KEYS: [{b"g": one.generation, b"k": one.key, b"t": one.timestamp_ms} for one in keys.keys],
    }
    if keys.pending:
        pending = keys.pending
        fields[_PENDING] = {b"c": pending.message, b"g": pending.generation, b"k": pending.key}
    return bencode.encode(fields)


def load(group_id: AccountId, data: bytes) -> GroupKeys:
    """The keys that were dumped. Raises MalformedMessage, and UnsupportedVersion for a dump of a later version."""
    fields = bencode.decode(data)
    if not isinstance(fields, dict):
        raise MalformedMessage("Kept keys of a group are no dict.")
    if fields.get(_FORM_KEY) != _FORM:
        raise UnsupportedVersion("The kept keys of a group were written by a later version.")
    match fields:
        case {b"A": list() as hashes, b"L": list() as keys}:
            pending = _load_pending(fields[_PENDING]) if _PENDING in fields else None
            return GroupKeys(group_id, tuple(map(_load_key, keys)), dict(map(_load_hashes, hashes)), pending)
    raise MalformedMessage("Kept keys of a group lack something.")


def _load_hashes(value: bencode.Value) -> tuple[int, frozenset[str]]:
    match value:
        case [int() as generation, *hashes]:
            return generation, frozenset(map(_text, hashes))
    raise MalformedMessage("Kept keys of a group have malformed hashes.")


def _load_key(value: bencode.Value) -> GroupKey:
    match value:
        case {b"g": int() as generation, b"k": bytes() as key, b"t": int() as timestamp_ms}:
            return GroupKey(generation, timestamp_ms, key)
    raise MalformedMessage("A kept key of a group is malformed.")


def _load_pending(value: bencode.Value) -> PendingKey:
    match value:
        case {b"c": bytes() as message, b"g": int() as generation, b"k": bytes() as key}:
            return PendingKey(message, generation, key)
    raise MalformedMessage("A kept key of a group is malformed.")


def _text(value: bencode.Value) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else ""
    except UnicodeDecodeError:
        raise MalformedMessage("Kept keys of a group have malformed hashes.") from None
