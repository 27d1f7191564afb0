"""Session protocol version 1: how one account's message is signed, sealed to another, and laid in its swarm.

From the inside out: content → padding → signature → sealed box → Envelope → WebSocketMessage. The sender is whoever
signed; nothing else in a message says who wrote it.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ..errors import BadSignature, DecryptionFailed, InvalidInput, MalformedMessage, UnsupportedVersion
from .account import AccountId, Identity, account_id_of, key_of, verify_signature
from .content import check_time
from .padding import pad, unpad

if TYPE_CHECKING:
    from .proto import session_pb2

_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_TRAILER = _KEY_BYTES + _SIGNATURE_BYTES
_SEAL_OVERHEAD = 48
_SOURCE = re.compile(r"[0-9a-fA-F]{66}\Z")
MAX_CONTENT_BYTES = 76_478
"""The largest unpadded content that still fits one `store` to another account."""


@dataclass(frozen=True, slots=True)
class OpenedBox:
    """What a sealed box held: the signed bytes, and who signed them."""

    plaintext: bytes = field(repr=False)
    sender_ed25519: bytes
    sender_id: AccountId


def seal(
    sender: Identity, recipient_x25519: bytes, plaintext: bytes, *, ephemeral_secret: bytes | None = None
) -> bytes:
    """Sign `plaintext` for this recipient only, and seal it. 144 bytes longer than `plaintext`.

    The ephemeral X25519 secret (32 bytes) is random unless given. Raises InvalidInput for a degenerate key.
    """
    signature = sender.sign(plaintext + sender.ed25519_public + recipient_x25519)
    inner = plaintext + sender.ed25519_public + signature
    secret = os.urandom(32) if ephemeral_secret is None else ephemeral_secret
    public = sodium.crypto_scalarmult_base(secret)
    nonce = hashlib.blake2b(public + recipient_x25519, digest_size=24).digest()
    try:
        return public + bytes(sodium.crypto_box_easy(inner, nonce, recipient_x25519, secret))
    except CryptoError:
        raise InvalidInput("The recipient's key can't be used to encrypt.") from None


def deterministic_ephemeral_secret(sender: Identity, recipient_x25519: bytes, plaintext: bytes) -> bytes:
    """The ephemeral secret (32 bytes) with which `seal` gives the same box for the same message.

    Configuration messages use it, so that two devices that push the same state store the same bytes.
    """
    seed = hashlib.blake2b(
        sender.seed + recipient_x25519 + plaintext, key=b"SessionBoxEphemeralHashKey", digest_size=32
    ).digest()
    _, secret = sodium.crypto_box_seed_keypair(seed)
    return bytes(secret)


def open_box(recipient: Identity, ciphertext: bytes) -> OpenedBox:
    """Open what `seal` made for this account.

    Raises DecryptionFailed (too short, damaged, for somebody else), BadSignature (made for another recipient, or
    changed), MalformedMessage (the signer's key is no account's).
    """
    return open_box_with(recipient.x25519_public, recipient.x25519_secret, ciphertext)


def open_box_with(x25519_public: bytes, x25519_secret: bytes, ciphertext: bytes) -> OpenedBox:
    """`open_box` for a bare X25519 key pair."""
    if len(ciphertext) < _SEAL_OVERHEAD + _TRAILER:
        raise DecryptionFailed("A message is too short to hold a signature.")
    try:
        inner = bytes(sodium.crypto_box_seal_open(ciphertext, x25519_public, x25519_secret))
    except CryptoError:
        raise DecryptionFailed("A message does not decrypt with this account's key.") from None
    plaintext, sender = inner[:-_TRAILER], inner[-_TRAILER:-_SIGNATURE_BYTES]
    try:
        verify_signature(sender, plaintext + sender + x25519_public, inner[-_SIGNATURE_BYTES:])
    except BadSignature:
        raise BadSignature("A message's inner signature does not verify.") from None
    try:
        return OpenedBox(plaintext, sender, account_id_of(sender))
    except InvalidInput:
        raise MalformedMessage("A message is signed by a key that no account can have.") from None


@dataclass(frozen=True, slots=True)
class UnwrappedEnvelope:
    """The two fields of an envelope that mean something: the sender's clock in ms, and the ciphertext."""

    timestamp_ms: int
    content: bytes = field(repr=False)


def decoy_signature(random: bytes | None = None) -> bytes:
    """64 bytes that look like a signature; without them, an envelope would tell who has a subscription.

    A random point and a random scalar, made from 128 random bytes (drawn here unless a test gives them).
    """
    draw = os.urandom(128) if random is None else random
    r = sodium.crypto_core_ed25519_scalar_reduce(draw[:64])
    s = sodium.crypto_core_ed25519_scalar_reduce(draw[64:])
    return bytes(sodium.crypto_scalarmult_ed25519_base_noclamp(r)) + bytes(s)


def serialize_envelope(
    kind: session_pb2.Envelope.Type, content: bytes, timestamp_ms: int, *, pro_signature: bytes | None = None
) -> bytes:
    """An envelope of one kind. `pro_signature` (64 bytes) is a decoy unless given."""
    from .proto import session_pb2

    envelope = session_pb2.Envelope(
        type=kind,
        timestamp=timestamp_ms,
        sourceDevice=1,
        content=content,
        proSig=decoy_signature() if pro_signature is None else pro_signature,
    )
    return envelope.SerializeToString()


def wrap(ciphertext: bytes, timestamp_ms: int, *, pro_signature: bytes | None = None) -> bytes:
    """The bytes to store in the recipient's swarm. `pro_signature` (64 bytes) is a decoy unless given."""
    from .proto import session_pb2

    envelope = serialize_envelope(
        session_pb2.Envelope.SESSION_MESSAGE, ciphertext, timestamp_ms, pro_signature=pro_signature
    )
    request = session_pb2.WebSocketRequestMessage(verb="", path="", body=envelope, requestId=0)
    outer = session_pb2.WebSocketMessage(type=session_pb2.WebSocketMessage.REQUEST, request=request)
    return outer.SerializeToString()


def unwrap(data: bytes) -> UnwrappedEnvelope:
    """Find the ciphertext in bytes from a swarm.

    Raises UnsupportedVersion for a message of the coming version 2, MalformedMessage for anything else that is no
    envelope. The envelope's `source` is checked for its form, and believed by nobody.
    """
    from .proto import session_pb2
    from .wire import parse_message

    if data[:1] == b"\0":
        raise UnsupportedVersion("A message is of a newer protocol version than this client speaks.")
    outer = parse_message(session_pb2.WebSocketMessage, data)
    if not outer.HasField("request") or not outer.request.HasField("body"):
        raise MalformedMessage("A stored message holds no request.")
    return parse_envelope(outer.request.body)


def parse_envelope(serialized: bytes) -> UnwrappedEnvelope:
    """An envelope of any kind. Raises MalformedMessage."""
    from .proto import session_pb2
    from .wire import parse_message

    envelope = parse_message(session_pb2.Envelope, serialized)
    if envelope.source and not _SOURCE.match(envelope.source):
        raise MalformedMessage("A stored message names a malformed source.")
    if not envelope.HasField("content"):
        raise MalformedMessage("A stored message has no content.")
    if envelope.HasField("proSig") and len(envelope.proSig) != _SIGNATURE_BYTES:
        raise MalformedMessage("A stored message has a malformed subscription signature.")
    return UnwrappedEnvelope(check_time(envelope.timestamp), envelope.content)


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """A message after all layers: who, when (sender's clock, ms), and the unpadded content."""

    sender_id: AccountId
    sender_ed25519: bytes
    timestamp_ms: int
    content: bytes = field(repr=False)


def encode_message(sender: Identity, recipient_id: AccountId, content: bytes, timestamp_ms: int) -> bytes:
    """Content (serialised, at most `MAX_CONTENT_BYTES`) → bytes for the recipient's swarm."""
    return wrap(seal(sender, key_of(recipient_id), pad(content)), timestamp_ms)


def decode_message(recipient: Identity, data: bytes) -> OpenedMessage:
    """Undo `encode_message`, with every check. Raises ProtocolError's subclasses; see `unwrap` and `open_box`."""
    envelope = unwrap(data)
    box = open_box(recipient, envelope.content)
    return OpenedMessage(box.sender_id, box.sender_ed25519, envelope.timestamp_ms, unpad(box.plaintext))
