"""Onion requests: layers of encryption, each readable by one hop only.

A request to a service node or server travels over hops. Every layer is sealed to one node with a fresh X25519 key
pair, and carries beside the next layer a small JSON telling what to do with it. The answer comes back encrypted
once, under the key of the innermost layer, which only the destination and we know.

The same arithmetic serves both sides, so that this module also holds what a node does with a layer.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ..errors import OnionError
from . import aes_gcm

MAX_HOP_NUMBER = 15
"""A layer with a higher `hop_no` is refused by the storage servers."""


class EncType(enum.Enum):
    """Cipher of one layer, by its name on the wire. A layer that names none means AES-GCM."""

    AES_GCM = "aes-gcm"
    XCHACHA20 = "xchacha20"

    @classmethod
    def parse(cls, name: str | None) -> EncType:
        """The cipher a peer named, aliases included. Raises OnionError for an unknown name."""
        if name is None or name in ("aes-gcm", "gcm"):
            return cls.AES_GCM
        if name in ("xchacha20", "xchacha20-poly1305"):
            return cls.XCHACHA20
        raise OnionError(f"Unknown onion cipher {name!r}.")

    @property
    def nonce_bytes(self) -> int:
        return 12 if self is EncType.AES_GCM else 24

    @property
    def overhead(self) -> int:
        """Bytes a layer adds to its plaintext: nonce and tag."""
        return self.nonce_bytes + 16


@dataclass(frozen=True, slots=True)
class LayerKey:
    """The key shared by the maker and the reader of one layer; also the key of the answer.

    `ephemeral_public` is the maker's fresh X25519 key (32 bytes), sent in clear beside the layer.
    """

    enc_type: EncType
    ephemeral_public: bytes
    key: bytes = field(repr=False, compare=False)
    fallback: LayerKey | None = field(default=None, repr=False, compare=False)

    @classmethod
    def for_sender(cls, node_x25519: bytes, enc_type: EncType, *, ephemeral_secret: bytes | None = None) -> LayerKey:
        """The key of a layer we make for a node. Tests pass the ephemeral secret (32 bytes)."""
        secret = os.urandom(32) if ephemeral_secret is None else ephemeral_secret
        public = sodium.crypto_scalarmult_base(secret)
        shared = _shared_secret(secret, node_x25519)
        alternative = None
        if enc_type is EncType.XCHACHA20:
            # Some servers answer with AES-GCM whatever they were asked with; the official library falls back too.
            alternative = cls(EncType.AES_GCM, public, _derive(EncType.AES_GCM, shared, public, node_x25519))
        return cls(enc_type, public, _derive(enc_type, shared, public, node_x25519), alternative)

    @classmethod
    def for_receiver(
        cls, node_x25519: bytes, node_secret: bytes, ephemeral_public: bytes, enc_type: EncType
    ) -> LayerKey:
        """The same key as a node computes it from its own key pair. Raises OnionError for a degenerate key."""
        shared = _shared_secret(node_secret, ephemeral_public)
        return cls(enc_type, ephemeral_public, _derive(enc_type, shared, ephemeral_public, node_x25519))

    def seal(self, plaintext: bytes | memoryview, *, nonce: bytes | None = None) -> bytes:
        """nonce ‖ ciphertext ‖ tag. The nonce is random unless a test gives it."""
        nonce = os.urandom(self.enc_type.nonce_bytes) if nonce is None else nonce
        if self.enc_type is EncType.AES_GCM:
            return nonce + aes_gcm.seal(self.key, nonce, plaintext)
        return nonce + bytes(sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(bytes(plaintext), None, nonce, self.key))

    def open(self, blob: bytes | memoryview) -> bytes:
        """Undo `seal`. Raises OnionError if the blob is too short or was not made with this key."""
        size = self.enc_type.nonce_bytes
        if len(blob) < self.enc_type.overhead:
            raise OnionError("An onion layer is too short to hold anything.")
        nonce, ciphertext = bytes(blob[:size]), blob[size:]
        if self.enc_type is EncType.AES_GCM:
            try:
                return aes_gcm.open_sealed(self.key, nonce, ciphertext)
            except aes_gcm.Forged:
                raise OnionError("An onion layer does not decrypt.") from None
        try:
            return bytes(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(bytes(ciphertext), None, nonce, self.key))
        except CryptoError:
            if self.fallback is not None:
                return self.fallback.open(blob)
            raise OnionError("An onion layer does not decrypt.") from None


def _shared_secret(secret: bytes, public: bytes) -> bytes:
    try:
        return bytes(sodium.crypto_scalarmult(secret, public))
    except (CryptoError, ValueError, TypeError):
        raise OnionError("An onion layer names a key that can't be used.") from None


def _derive(enc_type: EncType, shared: bytes, ephemeral_public: bytes, node_public: bytes) -> bytes:
    if enc_type is EncType.AES_GCM:
        return hmac.digest(b"LOKI", shared, "sha256")
    return hashlib.blake2b(shared + ephemeral_public + node_public, digest_size=32).digest()


def compact_json(value: Any) -> bytes:
    """JSON without white space, UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def frame(blob: bytes, control: bytes) -> bytes:
    """Little-endian u32 length of the blob ‖ blob ‖ control JSON."""
    return struct.pack("<I", len(blob)) + blob + control


def unframe(data: bytes | memoryview) -> tuple[memoryview, bytes]:
    """The blob and the control JSON of a frame. Raises OnionError if the length lies."""
    if len(data) < 4:
        raise OnionError("An onion frame has fewer than four bytes.")
    (size,) = struct.unpack_from("<I", data)
    if size > len(data) - 4:
        raise OnionError("An onion frame is shorter than it says.")
    view = memoryview(data)
    return view[4 : 4 + size], bytes(view[4 + size :])


@dataclass(frozen=True, slots=True)
class Hop:
    """A service node on the way: its identity and its encryption key, 32 bytes each."""

    ed25519: bytes
    x25519: bytes


@dataclass(frozen=True, slots=True)
class SnodeDestination:
    """A service node that shall answer a storage RPC."""

    ed25519: bytes
    x25519: bytes


@dataclass(frozen=True, slots=True)
class ServerDestination:
    """An HTTP server that shall answer, reached by the last hop. `port` None is the protocol's default."""

    host: str
    x25519: bytes
    protocol: str = "https"
    port: int | None = None
    target: str = "/oxen/v4/lsrpc"


Destination = SnodeDestination | ServerDestination


@dataclass(frozen=True, slots=True)
class OnionRequest:
    """What goes to the guard, and the key that opens the answer."""

    body: bytes = field(repr=False)
    reply_key: LayerKey


def _key_fields(layer: LayerKey) -> dict[str, Any]:
    fields: dict[str, Any] = {"ephemeral_key": layer.ephemeral_public.hex()}
    if layer.enc_type is not EncType.AES_GCM:
        fields["enc_type"] = layer.enc_type.value
    return fields


def forward_control(destination: Hop | Destination, layer: LayerKey) -> bytes:
    """The JSON that tells a hop where the blob beside it goes next."""
    if isinstance(destination, ServerDestination):
        port = destination.port
        if port is None:
            port = 443 if destination.protocol == "https" else 80
        routing: dict[str, Any] = {
            "host": destination.host,
            "target": destination.target,
            "method": "POST",
            "protocol": destination.protocol,
            "port": port,
        }
    else:
        routing = {"destination": destination.ed25519.hex()}
    return compact_json(routing | _key_fields(layer))


def guard_control(layer: LayerKey) -> bytes:
    """The JSON beside the outermost layer, readable by the guard before it decrypts."""
    return compact_json(_key_fields(layer))


SNODE_CONTROL = b'{"body":null,"headers":{"Content-Type":"application/json"}}'
"""What tells a service node that it is the destination, in the words of Session Desktop: the key `headers` does it."""


def layer_keys(
    hops: Sequence[Hop],
    destination: Destination,
    enc_type: EncType,
    *,
    ephemeral_secrets: Sequence[bytes] | None = None,
) -> list[LayerKey]:
    """One fresh key a layer: first hop first, destination last."""
    nodes = [hop.x25519 for hop in hops] + [destination.x25519]
    secrets: Sequence[bytes | None] = [None] * len(nodes) if ephemeral_secrets is None else ephemeral_secrets
    return [
        LayerKey.for_sender(node, enc_type, ephemeral_secret=secret)
        for node, secret in zip(nodes, secrets, strict=True)
    ]


def build_request(
    hops: Sequence[Hop],
    destination: Destination,
    payload: bytes,
    enc_type: EncType = EncType.AES_GCM,
    *,
    ephemeral_secrets: Sequence[bytes] | None = None,
    nonces: Sequence[bytes] | None = None,
    snode_control: bytes = SNODE_CONTROL,
) -> OnionRequest:
    """Wrap a payload for the way over `hops` (guard first) to the destination.

    For a service node the payload is the storage RPC's JSON, for a server a v4 request. Without hops the request goes
    to the destination itself, still sealed to its key. Keys and nonces are random unless a test gives them (first hop
    first, destination last).
    """
    keys = layer_keys(hops, destination, enc_type, ephemeral_secrets=ephemeral_secrets)
    layer_nonces: Sequence[bytes | None] = [None] * len(keys) if nonces is None else nonces
    innermost = frame(payload, snode_control) if isinstance(destination, SnodeDestination) else payload
    blob = keys[-1].seal(innermost, nonce=layer_nonces[-1])
    following: list[Hop | Destination] = [*hops[1:], destination]
    for index in reversed(range(len(hops))):
        plaintext = frame(blob, forward_control(following[index], keys[index + 1]))
        blob = keys[index].seal(plaintext, nonce=layer_nonces[index])
    return OnionRequest(frame(blob, guard_control(keys[0])), keys[-1])


# What a node does with a layer.


@dataclass(frozen=True, slots=True)
class OpenedLayer:
    """A layer after decryption, with the key for an answer."""

    plaintext: bytes = field(repr=False)
    key: LayerKey


def parse_control(control: bytes) -> Mapping[str, Any]:
    """The control JSON of a frame as an object. Raises OnionError if it is none."""
    try:
        value = json.loads(control)
    except (ValueError, UnicodeDecodeError, RecursionError):
        raise OnionError("An onion frame's control part is not JSON.") from None
    if not isinstance(value, dict):
        raise OnionError("An onion frame's control part is no object.")
    return value


def parse_ephemeral_key(control: Mapping[str, Any]) -> bytes:
    """`ephemeral_key` in hex or base64 (32 bytes). Raises OnionError if missing or odd."""
    text = control.get("ephemeral_key")
    if isinstance(text, str):
        try:
            key = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            key = b""
        if len(key) == 32:
            return key
    raise OnionError("An onion frame's ephemeral key is missing or malformed.")


def open_request(request: bytes | memoryview, x25519_public: bytes, x25519_secret: bytes) -> OpenedLayer:
    """Open a whole request (frame with the layer for us) with our key pair. Raises OnionError."""
    blob, control_bytes = unframe(request)
    control = parse_control(control_bytes)
    ephemeral = parse_ephemeral_key(control)
    name = control.get("enc_type")
    if name is not None and not isinstance(name, str):
        raise OnionError("An onion frame's enc_type is no text.")
    key = LayerKey.for_receiver(x25519_public, x25519_secret, ephemeral, EncType.parse(name))
    return OpenedLayer(key.open(blob), key)


# Answers.


@dataclass(frozen=True, slots=True)
class SnodeReply:
    """A service node's answer: HTTP-like status and body (JSON text, or plain text on errors)."""

    status: int
    body: str | dict[str, Any] | list[Any]

    def json(self) -> Any:
        """The body as JSON, decoded from text if need be. Raises OnionError."""
        if not isinstance(self.body, str):
            return self.body
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise OnionError("A service node's answer is not JSON.") from None


def open_snode_reply(key: LayerKey, body: bytes) -> SnodeReply:
    """Decrypt and parse what the guard returned for a service node. Raises OnionError."""
    plaintext = key.open(decode_base64_reply(body))
    try:
        value = json.loads(plaintext)
    except (ValueError, UnicodeDecodeError, RecursionError):
        raise OnionError("A service node's answer is not JSON.") from None
    if not isinstance(value, dict) or type(value.get("status")) is not int:
        raise OnionError("A service node's answer has no status.")
    inner = value.get("body", "")
    if not isinstance(inner, str | dict | list):
        raise OnionError("A service node's answer has an odd body.")
    return SnodeReply(value["status"], inner)


def decode_base64_reply(body: bytes) -> bytes:
    """Base64 as nodes send it, padded or not. Raises OnionError."""
    text = body.strip()
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise OnionError("An onion reply is not base64.") from None


@dataclass(frozen=True, slots=True)
class V4Request:
    """An HTTP request inside an onion. `endpoint` begins with a slash; `body` None leaves it out."""

    method: str
    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class V4Response:
    """The answer to a V4Request: status, lower-case header names, body."""

    code: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def encode_v4_head(meta: Mapping[str, Any], body_length: int | None) -> bytes:
    """What stands before the body of a v4 message; the body and the byte `e` follow."""
    text = compact_json(meta)
    head = b"l%d:%s" % (len(text), text)
    return head if body_length is None else head + b"%d:" % body_length


def encode_v4_request(request: V4Request) -> bytes:
    """Bencoded list of the JSON metadata and, if there is one, the body."""
    meta = {"method": request.method, "endpoint": request.endpoint, "headers": dict(request.headers)}
    if request.body is None:
        return encode_v4_head(meta, None) + b"e"
    return encode_v4_head(meta, len(request.body)) + request.body + b"e"


def encode_v4_response(response: V4Response) -> bytes:
    """Bencoded list of the JSON metadata and the body, which is always there."""
    meta = {"code": response.code, "headers": dict(response.headers)}
    return encode_v4_head(meta, len(response.body)) + response.body + b"e"


def _split_v4(data: bytes) -> tuple[Mapping[str, Any], bytes | None]:
    if data[:1] != b"l":
        raise OnionError("A v4 message is not a bencoded list.")
    parts: list[bytes] = []
    at = 1
    while data[at : at + 1] != b"e":
        colon = data.find(b":", at, at + 12)
        length = data[at:colon]
        if colon < 0 or not length.isdigit() or (len(length) > 1 and length[:1] == b"0") or len(parts) == 2:
            raise OnionError("A v4 message is malformed.")
        start = colon + 1
        at = start + int(length)
        if at >= len(data):
            raise OnionError("A v4 message is cut short.")
        parts.append(data[start:at])
    if not parts or at != len(data) - 1:
        raise OnionError("A v4 message is malformed.")
    return parse_control(parts[0]), parts[1] if len(parts) == 2 else None


def _string_headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(name): str(content) for name, content in value.items()}


def decode_v4_request(data: bytes) -> V4Request:
    """Undo `encode_v4_request`. Raises OnionError."""
    meta, body = _split_v4(data)
    method, endpoint = meta.get("method"), meta.get("endpoint")
    if not isinstance(method, str) or not isinstance(endpoint, str) or not endpoint.startswith("/"):
        raise OnionError("A v4 request has no method or endpoint.")
    return V4Request(method, endpoint, _string_headers(meta.get("headers")), body)


def decode_v4_response(data: bytes) -> V4Response:
    """Undo `encode_v4_response`. Raises OnionError."""
    meta, body = _split_v4(data)
    if type(meta.get("code")) is not int:
        raise OnionError("A v4 answer has no code.")
    return V4Response(meta["code"], _string_headers(meta.get("headers")), body or b"")
