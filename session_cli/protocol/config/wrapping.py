"""The wrapping of an account's encrypted config messages: each is sent like a message from the account to itself.

It adds nothing to what the encryption gives, but old apps read nothing else, and all apps write it. Messages that are
cut into parts, and those that would become too large, are stored bare.
"""

from __future__ import annotations

from ...errors import InvalidInput, MalformedMessage, ProtocolError
from .. import session_v1
from ..account import Identity
from .kinds import ConfigKind

_TIMESTAMP = 1
_PADDING = b"\x80"


def wrap(identity: Identity, kind: ConfigKind, seqno: int, encrypted: bytes) -> bytes:
    """Wrap a message of one of the account's kinds. The same for the same message, always."""
    from ..proto import config_pb2, session_pb2

    if kind.wrapped_as is None:
        raise InvalidInput("Configs of this kind are not wrapped.")
    shared = config_pb2.SharedConfigMessage(kind=kind.name, seqno=seqno, data=encrypted)
    content = config_pb2.ConfigContent(sharedConfigMessage=shared).SerializeToString() + _PADDING
    own_key = identity.x25519_public
    secret = session_v1.deterministic_ephemeral_secret(identity, own_key, content)
    envelope = session_pb2.Envelope(
        type=session_pb2.Envelope.SESSION_MESSAGE,
        timestamp=_TIMESTAMP,
        content=session_v1.seal(identity, own_key, content, ephemeral_secret=secret),
    )
    request = session_pb2.WebSocketRequestMessage(verb="", path="", body=envelope.SerializeToString(), requestId=0)
    outer = session_pb2.WebSocketMessage(type=session_pb2.WebSocketMessage.REQUEST, request=request)
    return outer.SerializeToString()


def unwrap(identity: Identity, kind: ConfigKind, stored: bytes) -> bytes:
    """The encrypted message in what a swarm holds: wrapped once, twice (by apps of 2023) or not at all."""
    for _ in range(2):
        try:
            stored = _unwrap_once(identity, kind, stored)
        except ProtocolError:
            break
    return stored


def _unwrap_once(identity: Identity, kind: ConfigKind, stored: bytes) -> bytes:
    from ..proto import config_pb2, session_pb2
    from ..wire import parse_message

    outer = parse_message(session_pb2.WebSocketMessage, stored)
    if outer.type != session_pb2.WebSocketMessage.REQUEST:
        raise MalformedMessage("A wrapped config is no request.")
    envelope = parse_message(session_pb2.Envelope, outer.request.body)
    box = session_v1.open_box(identity, envelope.content)
    padded = box.plaintext.rstrip(b"\0")
    if box.sender_ed25519 != identity.ed25519_public or not padded.endswith(_PADDING):
        raise MalformedMessage("A wrapped config is from somebody else, or not padded.")
    content = parse_message(config_pb2.ConfigContent, padded.removesuffix(_PADDING))
    if not content.HasField("sharedConfigMessage") or content.sharedConfigMessage.kind != kind.wrapped_as:
        raise MalformedMessage("A wrapped config is of another kind.")
    return content.sharedConfigMessage.data
