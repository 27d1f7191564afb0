"""What lets a member into its group's swarm: a subaccount of the group's account, that an admin has signed.

The account of a member, blinded for this group, gives the key under which the swarm verifies what the member asks for:
so neither the swarm nor the other members learn from a request who made it. An admin gives out the factor and its
signature over the token (`auth_data`, 100 bytes), from which the member computes the rest:

    auth data   03, access, two zero bytes; factor (32 bytes); signature over the token (64 bytes)
    token       03, access, two zero bytes; blinded Ed25519 key (32 bytes)
"""

from __future__ import annotations

import base64
import enum
from dataclasses import dataclass, field

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ...errors import BadSignature, InvalidInput, MalformedMessage
from ..account import AccountId, Identity, ed25519_from_x25519, key_of, verify_signature
from ..xed25519 import sign_with_scalar
from .identity import GroupIdentity, keyed_hash

AUTH_DATA_BYTES = 100
TOKEN_BYTES = 36
_HEAD_BYTES = 4
_FACTOR_END = 36
_GROUP_PREFIX = b"\x03"
_SIGN_BIT = 0x80


class Access(enum.IntFlag):
    """What a subaccount may do in the swarm of its account."""

    READ = 1
    WRITE = 2
    DELETE = 4
    ANY_PREFIX = 8


MEMBER_ACCESS = Access.READ | Access.WRITE
"""What members get, and what an invitation has to give."""


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A group as one of its members asks its swarm. Made by `from_auth_data`."""

    group_id: AccountId
    token: bytes
    token_signature: bytes
    _scalar: bytes = field(repr=False, compare=False)
    _nonce_secret: bytes = field(repr=False, compare=False)

    @classmethod
    def from_auth_data(
        cls, identity: Identity, group_id: AccountId, auth_data: bytes, needed: Access = MEMBER_ACCESS
    ) -> GroupMember:
        """Verify what an admin gave this account, and compute what to sign with.

        Raises MalformedMessage if it is malformed or gives less access than `needed`, and BadSignature if it is not for
        this account, or no admin of the group has signed it.
        """
        if len(auth_data) != AUTH_DATA_BYTES or not auth_data.startswith(_GROUP_PREFIX):
            raise MalformedMessage("What is to let us into a group is malformed.")
        if auth_data[1] & needed != needed:
            raise MalformedMessage("What is to let us into a group gives too little access.")
        head, factor, signature = auth_data[:_HEAD_BYTES], auth_data[_HEAD_BYTES:_FACTOR_END], auth_data[_FACTOR_END:]
        try:
            token = head + _blinded(factor, identity.x25519_public)
        except InvalidInput:
            raise MalformedMessage("What is to let us into a group is malformed.") from None
        verify_signature(key_of(group_id), token, signature)
        # An X25519 secret key is the very scalar of the Ed25519 key that it comes from. Others know that key without
        # its sign alone.
        scalar = sodium.crypto_core_ed25519_scalar_mul(factor, identity.x25519_secret)
        if identity.ed25519_public[31] & _SIGN_BIT:
            scalar = sodium.crypto_core_ed25519_scalar_negate(scalar)
        return cls(group_id, token, signature, scalar, keyed_hash(b"SubaccountSeed", identity.seed))

    @property
    def account_id(self) -> AccountId:
        """The account whose swarm this asks: the group."""
        return self.group_id

    def sign(self, message: bytes) -> bytes:
        """A deterministic signature (64 bytes), which is a plain Ed25519 one by the key in the token."""
        public = self.token[_HEAD_BYTES:]
        digest = keyed_hash(b"SubaccountSig", self._nonce_secret + public + message, 64)
        return sign_with_scalar(self._scalar, public, sodium.crypto_core_ed25519_scalar_reduce(digest), message)

    def authentication(self, signed: bytes) -> dict[str, str]:
        """The parameters that prove a storage request to be a member's."""
        return {
            "pubkey": self.group_id,
            "subaccount": base64.b64encode(self.token).decode(),
            "subaccount_sig": base64.b64encode(self.token_signature).decode(),
            "signature": base64.b64encode(self.sign(signed)).decode(),
        }


def token(group: GroupIdentity, account_id: AccountId, access: Access = MEMBER_ACCESS) -> bytes:
    """The token (36 bytes) of a member, to revoke or unrevoke it. Raises InvalidInput for an id without a key."""
    return _head(access) + _blinded(_factor(group, account_id), key_of(account_id))


def auth_data(group: GroupIdentity, account_id: AccountId, access: Access = MEMBER_ACCESS) -> bytes:
    """What lets a member in (100 bytes), the same whichever admin makes it, and however often. Raises InvalidInput."""
    signature = group.sign(token(group, account_id, access))
    return _head(access) + _factor(group, account_id) + signature


def is_valid(identity: Identity, group_id: AccountId, auth_data: bytes, needed: Access = MEMBER_ACCESS) -> bool:
    """Whether auth data lets this account into the group with the access that is needed."""
    try:
        GroupMember.from_auth_data(identity, group_id, auth_data, needed)
    except (BadSignature, MalformedMessage):
        return False
    return True


def _head(access: Access) -> bytes:
    return _GROUP_PREFIX + bytes([access, 0, 0])


def _factor(group: GroupIdentity, account_id: AccountId) -> bytes:
    mask = keyed_hash(b"SessionGroupSubaccountMask", group.seed)
    digest = keyed_hash(mask, bytes.fromhex(account_id) + bytes.fromhex(group.group_id), 64)
    return bytes(sodium.crypto_core_ed25519_scalar_reduce(digest))


def _blinded(factor: bytes, x25519_public: bytes) -> bytes:
    """A member's Ed25519 key (with sign bit 0) times its factor. Raises InvalidInput."""
    try:
        return bytes(sodium.crypto_scalarmult_ed25519_noclamp(factor, ed25519_from_x25519(x25519_public)))
    except CryptoError:
        raise InvalidInput("A key is not a usable point of the curve.") from None
