"""Messages to a group: how a member's message is signed, and encrypted with the key that all members have.

From the inside out: content, envelope, zstd where that is shorter, signature, zeros up to a common size, encryption.
The sender is whoever signed; the signature counts in this group alone.

    d 0: 1 (version)   1:a Ed25519 key of the sender   1:d envelope   1:s signature   1:z envelope, compressed e
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...errors import (
    BadSignature,
    DecryptionFailed,
    InvalidInput,
    MalformedMessage,
    MessageTooLong,
    UnsupportedVersion,
)
from .. import bencode, compression
from ..account import AccountId, Identity, account_id_of, key_of, verify_signature
from ..session_v1 import OpenedMessage, parse_envelope, serialize_envelope
from ..storage_rpc import MAX_MESSAGE_BYTES
from .multi_encrypt import NONCE_BYTES, TAG_BYTES, seal, unseal

MAX_ENVELOPE_BYTES = 1_000_000
"""The largest envelope, in plain: a compressed one may grow so far, and no further."""
MAX_CONTENT_BYTES = 76_554
"""The largest content that fits one `store` even if it can't be compressed."""
_VERSION = 1
_MULTIPLE = 256
_VERSION_KEY, _SENDER, _PLAIN, _SIGNATURE, _COMPRESSED = b"", b"a", b"d", b"s", b"z"


@dataclass(frozen=True, slots=True)
class DecryptedMessage:
    """What a message to a group held, and who signed it."""

    plaintext: bytes = field(repr=False)
    sender_id: AccountId
    sender_ed25519: bytes


def encode_message(sender: Identity, group_id: AccountId, key: bytes, content: bytes, timestamp_ms: int) -> bytes:
    """Content (serialised) → bytes for the group's swarm. `key` is the newest of the group's keys.

    Raises MessageTooLong if the swarm would not take it.
    """
    from ..proto import session_pb2

    envelope = serialize_envelope(session_pb2.Envelope.CLOSED_GROUP_MESSAGE, content, timestamp_ms)
    stored = encrypt(sender, group_id, key, envelope)
    if len(envelope) > MAX_ENVELOPE_BYTES or len(stored) > MAX_MESSAGE_BYTES:
        raise MessageTooLong(f"The message takes {len(stored):,} bytes; a swarm stores up to {MAX_MESSAGE_BYTES:,}.")
    return stored


def decode_message(group_id: AccountId, keys: Sequence[bytes], data: bytes) -> OpenedMessage:
    """Undo `encode_message`, with every check. `keys` are the group's, the newest first.

    That the sender is a member of the group is not looked at. Raises as `decrypt` does.
    """
    opened = decrypt(group_id, keys, data)
    envelope = parse_envelope(opened.plaintext)
    return OpenedMessage(opened.sender_id, opened.sender_ed25519, envelope.timestamp_ms, envelope.content)


def encrypt(
    sender: Identity, group_id: AccountId, key: bytes, plaintext: bytes, *, nonce: bytes | None = None
) -> bytes:
    """Sign and encrypt for a group: nonce (24 bytes, drawn from the system unless given), then the ciphertext."""
    compressed = compression.compress(plaintext)
    where, value = (_COMPRESSED, compressed) if len(compressed) < len(plaintext) else (_PLAIN, plaintext)
    signed = bencode.encode(
        {
            _VERSION_KEY: _VERSION,
            _SENDER: sender.ed25519_public,
            where: value,
            _SIGNATURE: sender.sign(value + key_of(group_id)),
        }
    )
    padded = signed + bytes(-(NONCE_BYTES + TAG_BYTES + len(signed)) % _MULTIPLE)
    nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce
    return nonce + seal(key, nonce, padded)


def decrypt(group_id: AccountId, keys: Sequence[bytes], data: bytes) -> DecryptedMessage:
    """Undo `encrypt`, with the first of the keys that fits.

    Raises DecryptionFailed (no key fits), UnsupportedVersion, BadSignature (made for another group, or changed), and
    MalformedMessage.
    """
    nonce, ciphertext = data[:NONCE_BYTES], data[NONCE_BYTES:]
    found = (unseal(key, nonce, ciphertext) for key in keys if len(nonce) == NONCE_BYTES)
    padded = next((plaintext for plaintext in found if plaintext is not None), None)
    if padded is None:
        raise DecryptionFailed("A group's message does not decrypt with any of its keys.")
    fields = bencode.decode(padded.rstrip(b"\0"))
    if not isinstance(fields, dict) or not isinstance(version := fields.get(_VERSION_KEY), int):
        raise MalformedMessage("A group's message has no version.")
    if version != _VERSION:
        raise UnsupportedVersion(f"A group's message has the version {version}, which this program does not know.")
    values = [value for value in (fields.get(_PLAIN), fields.get(_COMPRESSED)) if value is not None]
    sender, signature = fields.get(_SENDER), fields.get(_SIGNATURE)
    match sender, signature, values:
        case bytes(), bytes(), [bytes() as value] if value:
            pass
        case _:
            raise MalformedMessage("A group's message lacks something.")
    sender_id = _verified_sender(group_id, sender, value, signature)
    if _COMPRESSED in fields:
        value = compression.decompress(value, MAX_ENVELOPE_BYTES)
    elif len(value) > MAX_ENVELOPE_BYTES:
        raise MalformedMessage("A group's message is too large.")
    return DecryptedMessage(value, sender_id, sender)


def _verified_sender(group_id: AccountId, sender: bytes, value: bytes, signature: bytes) -> AccountId:
    """The id of whoever signed."""
    try:
        verify_signature(sender, value + key_of(group_id), signature)
        return account_id_of(sender)
    except BadSignature:
        raise BadSignature("The signature of a group's message does not verify.") from None
    except InvalidInput:
        raise MalformedMessage("A group's message is signed by a key that no account can have.") from None
