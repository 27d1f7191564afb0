"""Encrypted attachments and the addresses they lie at.

Two formats are on the network. The legacy one, which every app reads, is AES-256-CBC with HMAC-SHA-256 and a digest;
we write it. The stream one, recognised by its 32-byte key, is libsodium's secretstream; we read both. Everything
works on chunks, so that a file of any size needs constant memory, and in two passes: nothing of a file is handed out
before all of it has proved genuine.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from nacl import bindings as sodium

from ..errors import AttachmentCorrupt, InvalidUrl

LEGACY_KEY_BYTES = 64
STREAM_KEY_BYTES = 32
_IV_BYTES = 16
_MAC_BYTES = 32
_BLOCK = 16
_STREAM_MARK = b"S"
_STREAM_CHUNK = 32_768
_STREAM_OVERHEAD = 17
_PADDING_MIN, _PADDING_MAX = 541, 10_000_000


def padded_size(size: int) -> int:
    """How many bytes `size` bytes of plaintext are padded to, so that a file's exact size does not show."""
    exponent = math.ceil(math.log(max(1, size)) / math.log(1.05))
    return max(_PADDING_MIN, min(_PADDING_MAX, math.floor(1.05**exponent)), size)


def encrypted_size(size: int) -> int:
    """Bytes of the legacy file for `size` bytes of plaintext."""
    return _IV_BYTES + _MAC_BYTES + _BLOCK * (padded_size(size) // _BLOCK + 1)


class LegacyEncryptor:
    """Encrypts one attachment chunk by chunk: `update` for each, then `finish` once.

    `key` (64 bytes) is random unless a test gives it; `size` and `digest` are what the pointer needs afterwards.
    """

    def __init__(self, key: bytes | None = None, iv: bytes | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self.key = os.urandom(LEGACY_KEY_BYTES) if key is None else key
        self._iv = os.urandom(_IV_BYTES) if iv is None else iv
        self._cipher = Cipher(algorithms.AES(self.key[:32]), modes.CBC(self._iv)).encryptor()
        self._mac = hmac.new(self.key[32:], self._iv, "sha256")
        self._digest = hashlib.sha256(self._iv)
        self._started = False
        self.size = 0
        self.digest = b""

    def update(self, chunk: bytes) -> bytes:
        """Take plaintext, give file bytes (perhaps none yet)."""
        self.size += len(chunk)
        return self._emit(self._cipher.update(chunk))

    def finish(self) -> bytes:
        """The rest of the file, padding and MAC included. Sets `digest`."""
        zeros = padded_size(self.size) - self.size
        fill = _BLOCK - (self.size + zeros) % _BLOCK
        tail = self._cipher.update(bytes(zeros) + bytes([fill]) * fill) + self._cipher.finalize()
        out = self._emit(tail)
        mac = self._mac.digest()
        self._digest.update(mac)
        self.digest = self._digest.digest()
        return out + mac

    def _emit(self, ciphertext: bytes) -> bytes:
        self._mac.update(ciphertext)
        self._digest.update(ciphertext)
        if self._started:
            return ciphertext
        self._started = True
        return self._iv + ciphertext


@dataclass(frozen=True, slots=True)
class AttachmentKey:
    """What opens a downloaded file. `size` is the plaintext's as the pointer says, 0 when unknown."""

    key: bytes
    digest: bytes | None
    size: int

    def plaintext(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Decrypt a file that `verify` has passed. Raises AttachmentCorrupt all the same if it changed since."""
        if len(self.key) == LEGACY_KEY_BYTES:
            return _legacy_plaintext(chunks, self.key, self.size)
        return _stream_plaintext(chunks, self.key)

    def verify(self, chunks: Iterable[bytes]) -> int:
        """Read the whole file and return the size of its plaintext. Raises AttachmentCorrupt if it isn't genuine."""
        if len(self.key) == LEGACY_KEY_BYTES:
            total = _verify_legacy(chunks, self.key, self.digest)
            if self.size == 0:
                raise AttachmentCorrupt("The attachment's message gives no size for it.")
            if self.size >= total - _IV_BYTES - _MAC_BYTES:
                raise AttachmentCorrupt("The downloaded file is shorter than its message says.")
            return self.size
        if len(self.key) != STREAM_KEY_BYTES:
            raise AttachmentCorrupt(f"The attachment's key has {len(self.key)} bytes; 64 or 32 are possible.")
        return sum(map(len, _stream_plaintext(chunks, self.key)))


def _verify_legacy(chunks: Iterable[bytes], key: bytes, digest: bytes | None) -> int:
    """Check MAC and digest; returns the size of the file."""
    if not digest:
        raise AttachmentCorrupt("The attachment's message has no digest for it.")
    mac = hmac.new(key[32:], digestmod="sha256")
    whole = hashlib.sha256()
    total, held = 0, b""
    for chunk in chunks:
        whole.update(chunk)
        total += len(chunk)
        held += chunk
        mac.update(held[:-_MAC_BYTES])
        held = held[-_MAC_BYTES:]
    if total < _IV_BYTES + _MAC_BYTES + _BLOCK or total % _BLOCK:
        raise AttachmentCorrupt(f"The downloaded file was cut short: {total} bytes can't be a whole attachment.")
    if not hmac.compare_digest(mac.digest(), held):
        raise AttachmentCorrupt("The downloaded file was damaged or tampered with: its MAC does not match.")
    if not hmac.compare_digest(whole.digest(), digest):
        raise AttachmentCorrupt("The downloaded file is not the one the message speaks of: its digest does not match.")
    return total


def _legacy_plaintext(chunks: Iterable[bytes], key: bytes, size: int) -> Iterator[bytes]:
    padded = 0
    held = b""  # the last block stays back until the padding is known
    left = size
    for part in _cbc_blocks(chunks, key):
        held += part
        padded += len(part)
        usable, held = held[:-_BLOCK], held[-_BLOCK:]
        if usable and left:
            yield usable[:left]
            left -= min(left, len(usable))
    fill = held[-1] if held else 0
    if not 1 <= fill <= _BLOCK or held[-fill:] != bytes([fill]) * fill:
        raise AttachmentCorrupt("The downloaded file's padding is wrong.")
    rest = held[:-fill]
    if padded - fill < size:
        raise AttachmentCorrupt("The downloaded file is shorter than its message says.")
    if left:
        yield rest[:left]


def _cbc_blocks(chunks: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    decryptor = None
    held = b""
    for chunk in chunks:
        held += chunk
        if decryptor is None:
            if len(held) < _IV_BYTES:
                continue
            decryptor = Cipher(algorithms.AES(key[:32]), modes.CBC(held[:_IV_BYTES])).decryptor()
            held = held[_IV_BYTES:]
        if len(held) > _MAC_BYTES:
            yield decryptor.update(held[:-_MAC_BYTES])
            held = held[-_MAC_BYTES:]
    if decryptor is not None:
        try:
            yield decryptor.finalize()
        except ValueError:
            raise AttachmentCorrupt("The downloaded file was cut short.") from None


def _stream_plaintext(chunks: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    padding = True
    for part in _stream_messages(chunks, key):
        if not padding:
            yield part
            continue
        data = part.lstrip(b"\0")
        if data:
            if data[0] != 1:
                raise AttachmentCorrupt("The downloaded file's padding is wrong.")
            padding = False
            yield data[1:]
    if padding:
        raise AttachmentCorrupt("The downloaded file's padding never ends.")


def _stream_messages(chunks: Iterable[bytes], key: bytes) -> Iterator[bytes]:
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    header_size = 1 + sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES
    step = _STREAM_CHUNK + _STREAM_OVERHEAD
    held, begun, final = bytearray(), False, False

    def pull(message: bytes) -> bytes:
        nonlocal final
        if final or len(message) < _STREAM_OVERHEAD:
            raise AttachmentCorrupt("The downloaded file has bytes after its end, or was cut short.")
        try:
            plaintext, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(state, message, None)
        except (RuntimeError, ValueError):
            raise AttachmentCorrupt("The downloaded file was damaged or tampered with.") from None
        final = tag == sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
        return bytes(plaintext)

    for chunk in chunks:
        held += chunk
        if not begun:
            if len(held) < header_size:
                continue
            if held[:1] != _STREAM_MARK:
                raise AttachmentCorrupt("The downloaded file is of an unknown format.")
            sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, bytes(held[1:header_size]), key)
            del held[:header_size]
            begun = True
        while len(held) > step:
            yield pull(bytes(held[:step]))
            del held[:step]
    if begun and held:
        yield pull(bytes(held))
    if not final:
        raise AttachmentCorrupt("The downloaded file was cut short.")


_PATH = re.compile(r"/files?/([^/?#]+)/?\Z")


@dataclass(frozen=True, slots=True)
class DownloadUrl:
    """Where a file lies. `server_ed25519` (32 bytes) is None for the network's default file server."""

    scheme: str
    host: str
    port: int | None
    file_id: str
    server_ed25519: bytes | None = None
    stream: bool = False

    def text(self) -> str:
        """The URL as it goes into a pointer; flags are written bare (`d`), which every client reads."""
        items = []
        if self.server_ed25519 is not None:
            items.append("p=" + self.server_ed25519.hex())
        if self.stream:
            items.append("d")
        port = "" if self.port is None else f":{self.port}"
        fragment = "#" + "&".join(items) if items else ""
        return f"{self.scheme}://{self.host}{port}/file/{self.file_id}{fragment}"

    @property
    def numeric_id(self) -> int:
        """The id as pointers carry it in their number field; 0 when it is no number that fits."""
        return int(self.file_id) if self.file_id.isascii() and self.file_id.isdigit() and len(self.file_id) < 19 else 0


def parse_download_url(url: str) -> DownloadUrl:
    """Parse a pointer's URL. Unknown fragment items are skipped. Raises InvalidUrl."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidUrl("The attachment's address is malformed.") from None
    match = _PATH.search(parts.path)
    if parts.scheme not in ("http", "https") or not parts.hostname or not match:
        raise InvalidUrl("The attachment's address is not that of a file server.")
    key: bytes | None = None
    stream = False
    for item in parts.fragment.split("&"):
        name, _, value = item.partition("=")
        if name == "d":
            stream = True
        elif name == "p":
            if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
                raise InvalidUrl("The attachment's address holds a malformed server key.")
            key = bytes.fromhex(value)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return DownloadUrl(parts.scheme, host, port, match.group(1), key, stream)
