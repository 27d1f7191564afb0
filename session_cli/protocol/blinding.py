"""Blinded identities of communities, what is signed with them, and the direct messages sent between them.

On a community server an account goes by a blinded key: its Ed25519 key times a factor k. The two kinds in use are
named after the first byte of their ids. For 15, k depends on the server alone, and the blinded key follows from an
account id up to its sign. For 25, k depends on the server and the account, and the id follows exactly. In
both a "server key" is the 32-byte X25519 key of the community's server.

A blinded direct message is XChaCha20-Poly1305 under a key agreed on between the two blinded keys; inside, behind
the message, stands the sender's real Ed25519 key, which must blind to the id that the message came from.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field
from typing import NewType

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ..errors import DecryptionFailed, InvalidInput, UnsupportedVersion
from .account import AccountId, Identity, IdPrefix, account_id_of, ed25519_from_x25519, key_of
from .xed25519 import sign_with_scalar

BlindedId = NewType("BlindedId", str)
"""66 lower-case hex digits beginning with 15 or 25. Made by `parse_blinded_id` or by blinding."""

_DM_VERSION = 0
_NONCE_BYTES = 24
_TAG_BYTES = 16
_KEY_BYTES = 32
_SIGN_BIT = 0x80


class Platform(enum.StrEnum):
    """The builds that the file server knows versions of."""

    DESKTOP = "desktop"
    ANDROID = "android"
    IOS = "ios"


@dataclass(frozen=True, slots=True)
class BlindedKeys:
    """An account's key pair on one community server. `public` is a point, `scalar` a scalar (32 bytes each)."""

    blinded_id: BlindedId
    public: bytes
    scalar: bytes = field(repr=False, compare=False)
    _nonce_secret: bytes = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """A deterministic signature (64 bytes), which is a plain Ed25519 one by `public`."""
        material = self._nonce_secret + self.public + message
        if self.blinded_id.startswith(IdPrefix.BLINDED15):
            digest = hashlib.sha512(material).digest()
        else:
            digest = hashlib.blake2b(material, digest_size=64, key=b"SessCommBlind25_sig").digest()
        nonce = sodium.crypto_core_ed25519_scalar_reduce(digest)
        return sign_with_scalar(self.scalar, self.public, nonce, message)


@dataclass(frozen=True, slots=True)
class BlindedMessage:
    """A decrypted direct message: the plaintext, and who really sent it."""

    plaintext: bytes = field(repr=False)
    sender: AccountId
    sender_ed25519: bytes


@dataclass(frozen=True, slots=True)
class VersionKeys:
    """The Ed25519 key pair under which an account asks the file server for versions, unlinkable to the account."""

    public: bytes
    secret: bytes = field(repr=False, compare=False)

    @property
    def header_key(self) -> str:
        """The public key as the request header carries it: 07 and 64 hex digits."""
        return "07" + self.public.hex()

    def sign_request(self, timestamp: int, method: str, path: str, body: bytes = b"") -> bytes:
        """Sign (64 bytes) a request: time in seconds, method in capitals, path with its query, body."""
        signed = f"{timestamp}{method}{path}".encode() + body
        return bytes(sodium.crypto_sign(signed, self.secret)[:64])

    def sign_version_check(self, timestamp: int, platform: Platform) -> bytes:
        """Sign (64 bytes) the question for the newest version for a platform; `timestamp` is in seconds."""
        return self.sign_request(timestamp, "GET", f"/session_version?platform={platform}")


def parse_blinded_id(text: str) -> BlindedId:
    """Parse a 15 or 25 id, in either case. Raises InvalidInput if it is none, or its key no usable point."""
    candidate = text.strip().lower()
    if not re.fullmatch(r"[12]5[0-9a-f]{64}", candidate):
        raise InvalidInput("A blinded id has 66 hex digits beginning with 15 or 25.")
    if not sodium.crypto_core_ed25519_is_valid_point(key_of(candidate)):
        raise InvalidInput("This is no blinded id: its key is not a point of the curve.")
    return BlindedId(candidate)


def factor15(server_key: bytes) -> bytes:
    """The factor k (scalar, 32 bytes) of a server for all accounts. Raises InvalidInput for a key of another size."""
    _require_server_key(server_key)
    return _scalar_of(server_key)


def factor25(account_id: AccountId, server_key: bytes) -> bytes:
    """The factor k (scalar, 32 bytes) of an account on a server. Raises InvalidInput for a key of another size."""
    _require_server_key(server_key)
    return _scalar_of(bytes.fromhex(account_id) + server_key)


def blind15(identity: Identity, server_key: bytes) -> BlindedKeys:
    """An account's 15 key pair on a server."""
    # What Session signs with is half a hash of its 64-byte secret key, where plain Ed25519 hashes the seed. Both
    # verify; this one makes the same signatures as the apps.
    nonce_secret = hashlib.sha512(identity.ed25519_secret).digest()[32:]
    return _key_pair(identity, IdPrefix.BLINDED15, factor15(server_key), nonce_secret)


def blind25(identity: Identity, server_key: bytes) -> BlindedKeys:
    """An account's 25 key pair on a server."""
    factor = factor25(identity.account_id, server_key)
    if identity.ed25519_public[31] & _SIGN_BIT:
        # Others know only the Ed25519 key with sign bit 0; the negated factor leads to the same point as theirs.
        factor = sodium.crypto_core_ed25519_scalar_negate(factor)
    nonce_secret = hashlib.blake2b(identity.seed, digest_size=32, key=b"SessCommBlind25_seed").digest()
    return _key_pair(identity, IdPrefix.BLINDED25, factor, nonce_secret)


def blinded15_ids(account_id: AccountId, server_key: bytes) -> tuple[BlindedId, BlindedId]:
    """The two 15 ids that an account can have on a server: the account id does not tell which is the true one."""
    point = _times(factor15(server_key), ed25519_from_x25519(key_of(account_id)))
    other = point[:31] + bytes([point[31] ^ _SIGN_BIT])
    return _id(IdPrefix.BLINDED15, point), _id(IdPrefix.BLINDED15, other)


def blinded25_id(account_id: AccountId, server_key: bytes) -> BlindedId:
    """The 25 id of an account on a server."""
    point = _times(factor25(account_id, server_key), ed25519_from_x25519(key_of(account_id)))
    return _id(IdPrefix.BLINDED25, point)


def matches(account_id: AccountId, blinded_id: BlindedId, server_key: bytes) -> bool:
    """Whether a blinded id of a server can be that of an account: a 15 id in either sign, a 25 id exactly."""
    if blinded_id.startswith(IdPrefix.BLINDED15):
        return blinded_id in blinded15_ids(account_id, server_key)
    return hmac.compare_digest(blinded_id, blinded25_id(account_id, server_key))


def version_keys(identity: Identity) -> VersionKeys:
    """The key pair with which an account signs version checks on the file server."""
    seed = hashlib.blake2b(identity.seed, digest_size=32, key=b"VersionCheckKey_sig").digest()
    public, secret = sodium.crypto_sign_seed_keypair(seed)
    return VersionKeys(public, secret)


def encrypt(
    identity: Identity, server_key: bytes, recipient: BlindedId, message: bytes, *, nonce: bytes | None = None
) -> bytes:
    """Encrypt a message to a blinded id, from our id of the same kind on that server.

    `nonce` (24 bytes) is drawn from the system unless given. The result is a zero byte, the ciphertext of message
    and Ed25519 key, and the nonce: 73 bytes more than the message. Raises InvalidInput.
    """
    if nonce is None:
        nonce = os.urandom(_NONCE_BYTES)
    if len(nonce) != _NONCE_BYTES:
        raise InvalidInput(f"A nonce has {_NONCE_BYTES} bytes.")
    own = _own_keys(identity, server_key, recipient)
    key = _message_key(identity, own, peer=recipient, sender=own.blinded_id, recipient=recipient)
    plaintext = message + identity.ed25519_public
    sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, None, nonce, key)
    return bytes([_DM_VERSION]) + sealed + nonce


def decrypt(
    identity: Identity, server_key: bytes, data: bytes, *, sender: BlindedId, recipient: BlindedId
) -> BlindedMessage:
    """Decrypt a direct message which this account received or, as the outbox shows them, sent.

    Raises UnsupportedVersion, InvalidInput if the ids are of two kinds, and DecryptionFailed if the message is too
    short, damaged, not between these two ids, or comes from another account than `sender` is the id of.
    """
    if data[:1] not in (b"", bytes([_DM_VERSION])):
        raise UnsupportedVersion(f"A blinded message has the version {data[0]}, which this program does not know.")
    if len(data) < 1 + _KEY_BYTES + _TAG_BYTES + _NONCE_BYTES:
        raise DecryptionFailed("A blinded message is too short.")
    if sender[:2] != recipient[:2]:
        raise InvalidInput("The ids of sender and recipient are not blinded in the same way.")
    own = _own_keys(identity, server_key, recipient)
    peer = recipient if sender == own.blinded_id else sender
    key = _message_key(identity, own, peer=peer, sender=sender, recipient=recipient)
    try:
        plaintext = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            data[1:-_NONCE_BYTES], None, data[-_NONCE_BYTES:], key
        )
    except CryptoError:
        raise DecryptionFailed("A blinded message does not decrypt.") from None
    message, sender_ed25519 = plaintext[:-_KEY_BYTES], plaintext[-_KEY_BYTES:]
    try:
        account_id = account_id_of(sender_ed25519)
        claimed = _id_of_ed25519(sender_ed25519, account_id, server_key, IdPrefix(sender[:2]))
    except InvalidInput:
        raise DecryptionFailed("A blinded message names no possible sender.") from None
    if not hmac.compare_digest(claimed, sender):
        raise DecryptionFailed("A blinded message was sent by another account than its id says.")
    return BlindedMessage(message, account_id, sender_ed25519)


def _require_server_key(server_key: bytes) -> None:
    if len(server_key) != _KEY_BYTES:
        raise InvalidInput(f"A community server's key has {_KEY_BYTES} bytes, not {len(server_key)}.")


def _id(prefix: IdPrefix, point: bytes) -> BlindedId:
    return BlindedId(prefix + point.hex())


def _scalar_of(data: bytes) -> bytes:
    return bytes(sodium.crypto_core_ed25519_scalar_reduce(hashlib.blake2b(data, digest_size=64).digest()))


def _times(scalar: bytes, point: bytes) -> bytes:
    """Scalar multiplication. Raises InvalidInput if the point is not one of the main subgroup."""
    try:
        return bytes(sodium.crypto_scalarmult_ed25519_noclamp(scalar, point))
    except CryptoError:
        raise InvalidInput("A key is not a usable point of the curve.") from None


def _key_pair(identity: Identity, prefix: IdPrefix, factor: bytes, nonce_secret: bytes) -> BlindedKeys:
    # An X25519 secret key is the very scalar of the Ed25519 key that it comes from.
    scalar = sodium.crypto_core_ed25519_scalar_mul(factor, identity.x25519_secret)
    public = sodium.crypto_scalarmult_ed25519_base_noclamp(scalar)
    return BlindedKeys(_id(prefix, public), public, scalar, nonce_secret)


def _own_keys(identity: Identity, server_key: bytes, other: BlindedId) -> BlindedKeys:
    """Our key pair of the same kind as another id."""
    blind = blind15 if other.startswith(IdPrefix.BLINDED15) else blind25
    return blind(identity, server_key)


def _id_of_ed25519(public: bytes, account_id: AccountId, server_key: bytes, prefix: IdPrefix) -> BlindedId:
    """The blinded id of an account whose Ed25519 key is known: here the sign of a 15 id comes out right."""
    if prefix == IdPrefix.BLINDED15:
        return _id(prefix, _times(factor15(server_key), public))
    return blinded25_id(account_id, server_key)


def _message_key(
    identity: Identity, own: BlindedKeys, *, peer: BlindedId, sender: BlindedId, recipient: BlindedId
) -> bytes:
    # All accounts of a server share the factor of 15, so that it need not (and must not) come in twice.
    scalar = identity.x25519_secret if own.blinded_id.startswith(IdPrefix.BLINDED15) else own.scalar
    shared = _times(scalar, key_of(peer))
    return hashlib.blake2b(shared + key_of(sender) + key_of(recipient), digest_size=32).digest()
