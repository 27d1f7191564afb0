"""The key pair of a group: what its admins have, and what everybody knows of it by its id."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from dataclasses import dataclass, field

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ...errors import InvalidAccountId, InvalidInput
from ..account import AccountId, IdPrefix, key_of, x25519_from_ed25519

SEED_BYTES = 32
MAX_MEMBERS = 100
"""The most that a group has, oneself included. Apps keep to it; nothing else does."""
_HEX_ID = re.compile(r"03[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class GroupIdentity:
    """All keys of a group, 32 bytes each but the libsodium secret key (64). Whoever has them is an admin."""

    group_id: AccountId
    ed25519_public: bytes
    x25519_public: bytes
    seed: bytes = field(repr=False, compare=False)
    ed25519_secret: bytes = field(repr=False, compare=False)
    x25519_secret: bytes = field(repr=False, compare=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> GroupIdentity:
        """The group of a seed of 32 bytes. Raises InvalidInput for another size."""
        if len(seed) != SEED_BYTES:
            raise InvalidInput(f"A group's seed has {SEED_BYTES} bytes, not {len(seed)}.")
        public, secret = sodium.crypto_sign_seed_keypair(seed)
        return cls(
            group_id=AccountId(IdPrefix.GROUP + public.hex()),
            ed25519_public=public,
            x25519_public=x25519_from_ed25519(public),
            seed=seed,
            ed25519_secret=secret,
            x25519_secret=sodium.crypto_sign_ed25519_sk_to_curve25519(secret),
        )

    @classmethod
    def generate(cls) -> GroupIdentity:
        """A new group from the system's randomness."""
        return cls.from_seed(os.urandom(SEED_BYTES))

    @property
    def account_id(self) -> AccountId:
        """The account whose swarm this asks: the group."""
        return self.group_id

    def sign(self, message: bytes) -> bytes:
        """A detached Ed25519 signature (64 bytes)."""
        return bytes(sodium.crypto_sign(message, self.ed25519_secret)[:64])

    def authentication(self, signed: bytes) -> dict[str, str]:
        """The parameters that prove a storage request to be an admin's. The id itself is the key that verifies."""
        return {"pubkey": self.group_id, "signature": base64.b64encode(self.sign(signed)).decode()}


def parse_group_id(text: str) -> AccountId:
    """Parse a group's id, in either case. Raises InvalidAccountId unless it is 03 and a usable Ed25519 key in hex."""
    candidate = text.strip().lower()
    if not _HEX_ID.match(candidate):
        raise InvalidAccountId("A group's id has 66 hex digits beginning with 03.")
    if not sodium.crypto_core_ed25519_is_valid_point(key_of(candidate)):
        raise InvalidAccountId("This is no group's id: its key is not a point of the curve.")
    return AccountId(candidate)


def x25519_of_group(group_id: str) -> bytes:
    """The X25519 form (32 bytes) of a group's key. Raises InvalidInput if it has none."""
    return x25519_from_ed25519(key_of(group_id))


def shared_key(secret: bytes, public: bytes, group_x25519: bytes, member_x25519: bytes, domain: bytes) -> bytes:
    """The key (32 bytes) that a group and one account share for one purpose.

    Each side gives its own X25519 secret and the other's public key; `domain` has at most 64 bytes. Raises InvalidInput
    for a key with which nothing can be agreed on.
    """
    try:
        agreed = sodium.crypto_scalarmult(secret, public)
    except (CryptoError, ValueError, TypeError):
        raise InvalidInput("A key is no usable X25519 key.") from None
    return keyed_hash(domain, agreed + group_x25519 + member_x25519)


def keyed_hash(key: bytes, data: bytes, size: int = 32) -> bytes:
    """BLAKE2b with a key."""
    return hashlib.blake2b(data, key=key, digest_size=size).digest()
