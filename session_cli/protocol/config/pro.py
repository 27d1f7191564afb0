"""What proves a subscription to Session Pro, as the account's devices share it. This client reads it and no more."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import MalformedMessage
from .. import bencode
from .fields import blob, integer
from .tree import Tree, Value, read_tree

_MILLISECONDS_FROM = 10**12


@dataclass(frozen=True, slots=True)
class ProCredential:
    """`expiry` in seconds; `tag` (32 bytes) names it in lists of revocations; `seed` (32 bytes) signs messages.

    `signature` (64 bytes) is the payment server's.
    """

    expiry: int
    tag: bytes
    seed: bytes = field(repr=False)
    signature: bytes


def read_credential(value: Value | None) -> ProCredential | None:
    """The credential in its form of 2026 (one bencoded string) or one of the forms before (a dict)."""
    if isinstance(value, bytes):
        try:
            packed = bencode.complete(read_tree, value)
        except MalformedMessage:
            return None
        return _credential(packed, blob(packed, b"r", 32))
    if isinstance(value, Tree):
        secret = value.get(b"r")
        seed = secret[:32] if isinstance(secret, bytes) and len(secret) in (32, 64) else None
        return _credential(value.branch(b"p"), seed)
    return None


def _credential(proof: Tree, seed: bytes | None) -> ProCredential | None:
    expiry, tag, signature = integer(proof, b"e"), blob(proof, b"g", 32), blob(proof, b"s", 64)
    if seed is None or tag is None or signature is None or expiry <= 0:
        return None
    return ProCredential(expiry // 1000 if expiry > _MILLISECONDS_FROM else expiry, tag, seed, signature)
