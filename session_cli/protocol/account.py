"""Accounts: seeds, key pairs and ids.

An account is 16 (rarely 32) random bytes. Padded with zeros to 32 they seed an Ed25519 key pair, which signs;
its X25519 form opens sealed boxes, and that public key behind the byte 05 is the account id.
"""

from __future__ import annotations

import base64
import enum
import os
import re
from dataclasses import dataclass, field
from typing import NewType

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ..errors import BadSignature, InvalidAccountId, InvalidInput

AccountId = NewType("AccountId", str)
"""66 lower-case hex digits: two of prefix, 64 of key. Made by `parse_account_id` or `account_id_of`."""

SEED_BYTES = 16
_FIELD_PRIME = 2**255 - 19
_HEX_ID = re.compile(r"[0-9a-f]{66}\Z")


class IdPrefix(enum.StrEnum):
    """What the first byte of an id says about the key behind it."""

    USER = "05"  # X25519
    GROUP = "03"  # Ed25519
    BLINDED15 = "15"
    BLINDED25 = "25"
    UNBLINDED = "00"


def is_group(address: str) -> bool:
    """Whether an address is that of a group."""
    return address.startswith(IdPrefix.GROUP)


def is_blinded(address: str) -> bool:
    """Whether an address is an id that is blinded for one community server."""
    return address.startswith((IdPrefix.BLINDED15, IdPrefix.BLINDED25))


def is_community(address: str) -> bool:
    """Whether an address is that of a room on a community server: its URL."""
    return address.startswith(("http://", "https://"))


def parse_account_id(text: str) -> AccountId:
    """Parse a user's account id, in either case and with surrounding space.

    Raises InvalidAccountId, saying what is wrong, unless it is 66 hex digits beginning with 05 whose key is a
    point of the curve that an account can have (a damaged id is such a point in one case of sixteen only).
    """
    candidate = text.strip().lower()
    if not _HEX_ID.match(candidate):
        if re.fullmatch(r"[0-9a-f]+", candidate):
            raise InvalidAccountId(f"An account id has 66 hex digits, this has {len(candidate)}.")
        raise InvalidAccountId("An account id has 66 hex digits beginning with 05.")
    prefix = candidate[:2]
    if prefix != IdPrefix.USER:
        kinds = {
            "03": "a group's id",
            "15": "a blinded id of a community",
            "25": "a blinded id of a community",
        }
        what = kinds.get(prefix, f"an id with the unknown prefix {prefix}")
        raise InvalidAccountId(f"An account id begins with 05; this is {what}.")
    try:
        ed25519_from_x25519(bytes.fromhex(candidate[2:]))
    except InvalidInput:
        raise InvalidAccountId("This is no account id: its key is not a point of the curve.") from None
    return AccountId(candidate)


def account_id_of(ed25519_public: bytes) -> AccountId:
    """The 05 id that belongs to an Ed25519 public key (32 bytes).

    Raises InvalidInput if the key is not a point that converts (small order, not on the curve).
    """
    return AccountId(IdPrefix.USER + x25519_from_ed25519(ed25519_public).hex())


def key_of(account_id: str) -> bytes:
    """The 32 key bytes of an id of any kind."""
    return bytes.fromhex(account_id[2:])


def x25519_from_ed25519(ed25519_public: bytes) -> bytes:
    """The X25519 form (32 bytes) of an Ed25519 public key. Raises InvalidInput if there is none."""
    try:
        return bytes(sodium.crypto_sign_ed25519_pk_to_curve25519(ed25519_public))
    except (CryptoError, ValueError, TypeError):
        raise InvalidInput("Not an Ed25519 public key.") from None


def ed25519_from_x25519(x25519_public: bytes) -> bytes:
    """The Ed25519 public key with sign bit 0 that belongs to an X25519 public key (both 32 bytes).

    Two Ed25519 keys share one X25519 key; they differ in the sign bit alone. Raises InvalidInput if there is
    none: u is not canonical, is p - 1, or gives no point of the main subgroup.
    """
    u = int.from_bytes(x25519_public, "little")
    if len(x25519_public) != 32 or u >= _FIELD_PRIME or u == _FIELD_PRIME - 1:
        raise InvalidInput("Not an X25519 public key.")
    y = (u - 1) * pow(u + 1, -1, _FIELD_PRIME) % _FIELD_PRIME
    point = y.to_bytes(32, "little")
    if not sodium.crypto_core_ed25519_is_valid_point(point):
        raise InvalidInput("Not the X25519 form of an Ed25519 public key.")
    return point


def verify_signature(ed25519_public: bytes, message: bytes, signature: bytes) -> None:
    """Check a detached Ed25519 signature (64 bytes). Raises BadSignature."""
    if len(signature) != 64 or len(ed25519_public) != 32:
        raise BadSignature("A signature or its key has the wrong size.")
    try:
        sodium.crypto_sign_open(signature + message, ed25519_public)
    except (CryptoError, ValueError):
        raise BadSignature("A signature does not verify.") from None


@dataclass(frozen=True, slots=True)
class Identity:
    """All keys of one account. Secrets are kept out of `repr`, and comparison takes constant time.

    `seed` is the padded Ed25519 seed (32 bytes); `ed25519_secret` is seed and public key (64 bytes).
    """

    account_id: AccountId
    ed25519_public: bytes
    x25519_public: bytes
    seed: bytes = field(repr=False, compare=False)
    ed25519_secret: bytes = field(repr=False, compare=False)
    x25519_secret: bytes = field(repr=False, compare=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> Identity:
        """Derive the account of a seed of 16 bytes (padded with zeros) or 32 bytes. Raises InvalidInput."""
        if len(seed) not in (16, 32):
            raise InvalidInput(f"A seed has 16 or 32 bytes, not {len(seed)}.")
        padded = seed.ljust(32, b"\0")
        public, secret = sodium.crypto_sign_seed_keypair(padded)
        x_public = sodium.crypto_sign_ed25519_pk_to_curve25519(public)
        return cls(
            account_id=AccountId(IdPrefix.USER + x_public.hex()),
            ed25519_public=public,
            x25519_public=x_public,
            seed=padded,
            ed25519_secret=secret,
            x25519_secret=sodium.crypto_sign_ed25519_sk_to_curve25519(secret),
        )

    @classmethod
    def generate(cls, seed_bytes: int = SEED_BYTES) -> Identity:
        """A new account from the system's randomness. 16 bytes is what every official app can restore."""
        return cls.from_seed(os.urandom(seed_bytes))

    @property
    def short_seed(self) -> bytes:
        """The seed as recovery phrases carry it: 16 bytes if the upper half is zero, else all 32."""
        return self.seed[:16] if sodium.sodium_memcmp(self.seed[16:], bytes(16)) else self.seed

    def sign(self, message: bytes) -> bytes:
        """A detached Ed25519 signature (64 bytes)."""
        return bytes(sodium.crypto_sign(message, self.ed25519_secret)[:64])

    def authentication(self, signed: bytes) -> dict[str, str]:
        """The parameters that prove a storage request about this account to be ours."""
        return {
            "pubkey": self.account_id,
            "pubkey_ed25519": self.ed25519_public.hex(),
            "signature": base64.b64encode(self.sign(signed)).decode(),
        }
