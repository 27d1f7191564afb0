"""The signature at the end of a group's configs and keys: under the key `~`, over all bytes before it."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import MalformedMessage
from .account import verify_signature

Signer = Callable[[bytes], bytes]
"""Gives the Ed25519 signature (64 bytes) of a group over some bytes."""

SIGNATURE_BYTES = 64
_HEAD = b"1:~64:"


def append(unsigned: bytes, signature: bytes) -> bytes:
    """A bencoded dict with its signature. `unsigned` has no key behind `~`."""
    return b"%s%s%se" % (unsigned[:-1], _HEAD, signature)


def sign(unsigned: bytes, signer: Signer) -> bytes:
    """Sign a bencoded dict, which has no key behind `~`."""
    return append(unsigned, signer(unsigned[:-1]))


def verify(serialized: bytes, verify_key: bytes) -> None:
    """Check a dict's signature, before anything else is looked at: nothing may follow it, so its place is known.

    Raises MalformedMessage if there is none, and BadSignature.
    """
    unsigned, rest = serialized[: -SIGNATURE_BYTES - 7], serialized[-SIGNATURE_BYTES - 7 :]
    if not rest.startswith(_HEAD):
        raise MalformedMessage("What a group is to have signed bears no signature.")
    verify_signature(verify_key, unsigned, rest[len(_HEAD) : -1])
