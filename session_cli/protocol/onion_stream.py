"""Onion requests and replies of any size in constant memory.

A file of 100 MB goes through four layers of encryption on its way to the file server. All sizes are known in advance
(every cipher keeps lengths), so that the layers can be written from the outside in while the file is being read.
Streaming needs AES-GCM: libsodium's XChaCha20 works on whole messages only.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Iterable, Iterator, Sequence

from ..errors import OnionError
from .onion import (
    EncType,
    Hop,
    LayerKey,
    ServerDestination,
    V4Response,
    decode_v4_response,
    encode_v4_head,
    forward_control,
    guard_control,
    layer_keys,
)

_NONCE = 12
_TAG = 16
_MAX_HEAD = 65_536


class StreamedRequest:
    """A v4 request with a body of known size, wrapped in layers while it is read.

    `size` is the length of everything that `chunks` yields; `reply_key` opens the answer. An object serves one
    attempt: a second one needs fresh keys, thus a new object.
    """

    def __init__(
        self, hops: Sequence[Hop], destination: ServerDestination, meta: dict[str, object], body_size: int
    ) -> None:
        keys = layer_keys(hops, destination, EncType.AES_GCM)
        self.reply_key = keys[-1]
        self._keys = keys
        self._head = encode_v4_head(meta, body_size)
        self._body_size = body_size
        following: list[Hop | ServerDestination] = [*hops[1:], destination]
        # What stands behind each layer's blob, first hop first; the innermost layer holds the request itself.
        self._controls = [forward_control(following[i], keys[i + 1]) for i in range(len(hops))]
        self._guard_control = guard_control(keys[0])
        self._blob_sizes = [0] * len(keys)
        inner = len(self._head) + body_size + 1
        for index in reversed(range(len(keys))):
            self._blob_sizes[index] = inner + _NONCE + _TAG
            if index:
                inner = 4 + self._blob_sizes[index] + len(self._controls[index - 1])
        self.size = 4 + self._blob_sizes[0] + len(self._guard_control)

    def chunks(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """The request's bytes. Raises ValueError if the body has another size than was said."""
        stream = self._payload(body)
        for index in reversed(range(len(self._keys))):
            stream = _seal(self._keys[index], stream)
            control = self._controls[index - 1] if index else self._guard_control
            stream = _frame(self._blob_sizes[index], stream, control)
        return stream

    def _payload(self, body: Iterable[bytes]) -> Iterator[bytes]:
        yield self._head
        sent = 0
        for chunk in body:
            sent += len(chunk)
            yield chunk
        if sent != self._body_size:
            raise ValueError(f"The body has {sent} bytes, not {self._body_size}.")
        yield b"e"


def _seal(key: LayerKey, plaintext: Iterator[bytes]) -> Iterator[bytes]:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    nonce = os.urandom(_NONCE)
    encryptor = Cipher(algorithms.AES(key.key), modes.GCM(nonce)).encryptor()
    yield nonce
    for chunk in plaintext:
        yield encryptor.update(chunk)
    encryptor.finalize()
    yield encryptor.tag


def _frame(size: int, blob: Iterator[bytes], control: bytes) -> Iterator[bytes]:
    yield struct.pack("<I", size)
    yield from blob
    yield control


class StreamedReply:
    """Decrypts a server's v4 answer chunk by chunk.

    `feed` returns what is known to be the body's; it is not authentic before `finish` has returned, so the caller
    keeps it aside until then.
    """

    def __init__(self, key: LayerKey) -> None:
        if key.enc_type is not EncType.AES_GCM:
            raise ValueError("Only AES-GCM can be opened in pieces.")
        self._key = key
        self._held = b""
        self._decryptor: _GcmDecryptor | None = None
        self._head = b""
        self._response: V4Response | None = None
        self._left = 0
        self._tail = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes from the guard, give bytes of the body. Raises OnionError."""
        self._held += chunk
        if self._decryptor is None:
            if len(self._held) < _NONCE:
                return b""
            self._decryptor = _GcmDecryptor(self._key.key, self._held[:_NONCE])
            self._held = self._held[_NONCE:]
        if len(self._held) <= _TAG:
            return b""
        plaintext = self._decryptor.update(self._held[:-_TAG])
        self._held = self._held[-_TAG:]
        return self._body(plaintext)

    def _body(self, plaintext: bytes) -> bytes:
        if self._response is None:
            self._head += plaintext
            if not self._parse_head():
                return b""
            plaintext, self._head = self._head, b""
        part, rest = plaintext[: self._left], plaintext[self._left :]
        self._left -= len(part)
        self._tail += rest
        if len(self._tail) > 1:
            raise OnionError("A v4 answer has bytes after its end.")
        return part

    def _parse_head(self) -> bool:
        """Whether metadata and the body's length could be read; drops them from `_head` then."""
        head = self._head
        colon = head.find(b":", 0, 12)
        if head[:1] not in (b"l", b"") or (colon < 0 and len(head) >= 12):
            raise OnionError("A v4 answer is malformed.")
        if colon < 0:
            return False
        meta_end = colon + 1 + _length(head[1:colon])
        second = head.find(b":", meta_end, meta_end + 16)
        if second < 0:
            if len(head) >= min(meta_end + 16, _MAX_HEAD):
                raise OnionError("A v4 answer is malformed.")
            return False
        self._left = _length(head[meta_end:second])
        self._response = decode_v4_response(head[:meta_end] + b"0:e")
        self._head = head[second + 1 :]
        return True

    def finish(self) -> V4Response:
        """Check that the answer was whole and genuine. Returns its code and headers, with an empty body."""
        if self._decryptor is None or len(self._held) != _TAG:
            raise OnionError("An onion layer is too short to hold anything.")
        self._decryptor.finish(self._held)
        if self._response is None or self._left or not hmac.compare_digest(self._tail, b"e"):
            raise OnionError("A v4 answer is cut short.")
        return self._response


def _length(digits: bytes) -> int:
    if not digits.isdigit():
        raise OnionError("A v4 answer is malformed.")
    return int(digits)


class _GcmDecryptor:
    def __init__(self, key: bytes, nonce: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._decryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).decryptor()

    def update(self, ciphertext: bytes) -> bytes:
        return self._decryptor.update(ciphertext)

    def finish(self, tag: bytes) -> None:
        from cryptography.exceptions import InvalidTag

        try:
            self._decryptor.finalize_with_tag(tag)
        except InvalidTag:
            raise OnionError("An onion layer does not decrypt.") from None
