"""The format of a backup: one stream, encrypted under a passphrase.

    offset  bytes
         0     16  "session-backup\\r\\n"; a transfer as text would break the line end, and be found out
        16      4  version of the format: 1
        20      4  Argon2id: operations
        24      8  Argon2id: memory in bytes
        32     16  Argon2id: salt
        48     24  header of the secretstream
        72     17  the secretstream's first message: empty, with bytes 0 to 71 as its associated data
        89      4  CRC-32 of bytes 0 to 88
        93         further messages of 262 144 + 17 bytes, the last one perhaps shorter and with the tag FINAL

Numbers are little-endian. The secretstream is libsodium's (XChaCha20-Poly1305); Argon2id derives its key of 32 bytes
from the passphrase. The check sum, which is no protection, tells a damaged header from a wrong passphrase.

What the messages hold, put together, is 4 bytes with the length of a JSON object; that object, which describes the
backup; and the database: the encrypted file as SQLCipher 4 writes it. Its raw key stands in the object.
"""

from __future__ import annotations

import json
import struct
from binascii import crc32
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from nacl import bindings as sodium

from ..errors import BackupDamaged, StoreTooNew, UnreadableInput, WrongKey
from .database import KEY_BYTES
from .key_sources import (
    SALT_BYTES,
    Argon2Cost,
    KeyInfo,
    KeyMethod,
    KeySources,
    find_wrapping_key,
    make_wrapping_key,
)

MAGIC = b"session-backup\r\n"
FORMAT_VERSION = 1
CHUNK_BYTES = 256 * 1024
OVERHEAD_BYTES = 17
HEADER_BYTES = 93

_FIXED = struct.Struct(f"<{len(MAGIC)}sIIQ{SALT_BYTES}s{sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES}s")
_CHECK_SUM = struct.Struct("<I")
_LENGTH = struct.Struct("<I")
_VERSION_END = len(MAGIC) + 4
_DESCRIPTION_LIMIT = 64 * 1024
_MESSAGE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_FINAL = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL


class Source(Protocol):
    """A stream of bytes, as files and pipes are."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Description:
    """What a backup says of itself."""

    account_id: str
    profile: str
    network: str
    """The id of the network that the account belongs to."""
    created_ms: int
    messages: int
    schema: int
    """The version of the database's tables."""
    database_bytes: int
    database_key: bytes = field(repr=False)


class BackupWriter:
    """Writes a backup to `output`, a function that takes pieces of it in order.

    The passphrase comes from `secrets`, as one being chosen. Raises KeySourceFailed and UsageError at once, later only
    what `output` raises. Without `finish` what was written is no backup.
    """

    def __init__(self, output: Callable[[bytes], object], secrets: KeySources) -> None:
        info, key = make_wrapping_key(KeyMethod.PASSPHRASE, secrets=secrets, command=None)
        if info.salt is None or info.cost is None:
            raise ValueError("a key without a passphrase")
        self._output = output
        self._state = sodium.crypto_secretstream_xchacha20poly1305_state()
        stream_header = sodium.crypto_secretstream_xchacha20poly1305_init_push(self._state, key)
        cost = info.cost
        fixed = _FIXED.pack(MAGIC, FORMAT_VERSION, cost.operations, cost.memory_bytes, info.salt, stream_header)
        self._header = fixed + sodium.crypto_secretstream_xchacha20poly1305_push(self._state, b"", fixed, _MESSAGE)
        self._held = bytearray()

    def describe(self, description: Description) -> None:
        """Begin with what the backup says of itself. To be called once, before `write`."""
        encoded = _encode(description)
        self._output(self._header + _CHECK_SUM.pack(crc32(self._header)))
        self.write(_LENGTH.pack(len(encoded)) + encoded)

    def write(self, data: bytes) -> None:
        """Go on with a piece of the database."""
        self._held += data
        # The last message is known as such only when nothing follows.
        while len(self._held) > CHUNK_BYTES:
            self._push(_MESSAGE)

    def finish(self) -> None:
        """End the stream."""
        self._push(_FINAL)

    def _push(self, tag: int) -> None:
        chunk = bytes(self._held[:CHUNK_BYTES])
        del self._held[:CHUNK_BYTES]
        self._output(sodium.crypto_secretstream_xchacha20poly1305_push(self._state, chunk, None, tag))


class BackupReader:
    """Reads a backup from `source`; the passphrase comes from `secrets`.

    `description` is there at once, and authentic. Raises BackupDamaged, StoreTooNew (a later format), WrongKey,
    KeySourceFailed, UsageError, UnreadableInput.
    """

    def __init__(self, source: Source, secrets: KeySources) -> None:
        self._source = source
        self._state = sodium.crypto_secretstream_xchacha20poly1305_state()
        self._place = 0
        self._open(secrets)
        self._chunks = self._plain_chunks()
        self._held = bytearray()
        self.description = self._describe()

    def database(self) -> Iterator[bytes]:
        """The database in pieces; only when the iteration has ended is it known to be whole. Raises as the class."""
        left = self.description.database_bytes
        if self._held:
            left -= len(self._held)
            yield bytes(self._held)
            self._held.clear()
        for chunk in self._chunks:
            left -= len(chunk)
            yield chunk
        if left:
            raise BackupDamaged("The backup does not hold as much as it says.")

    def _open(self, secrets: KeySources) -> None:
        header = self._read(HEADER_BYTES)
        if header[: len(MAGIC)] != MAGIC[: len(header)] or not header:
            raise BackupDamaged("This is no backup made by session.")
        if len(header) >= _VERSION_END:
            version = int.from_bytes(header[len(MAGIC) : _VERSION_END], "little")
            if version > FORMAT_VERSION:
                raise StoreTooNew(
                    f"The backup has format {version}, which a later release wrote; "
                    f"this one knows formats up to {FORMAT_VERSION}. Upgrade session-shell."
                )
        if len(header) < HEADER_BYTES:
            raise BackupDamaged("The backup was cut short: not even its header is whole.")
        content, check_sum = header[: -_CHECK_SUM.size], header[-_CHECK_SUM.size :]
        if _CHECK_SUM.unpack(check_sum)[0] != crc32(content):
            raise BackupDamaged("The backup's header is damaged.")
        fixed, opening = content[: _FIXED.size], content[_FIXED.size :]
        _, version, operations, memory_bytes, salt, stream_header = _FIXED.unpack(fixed)
        cost = Argon2Cost(operations, memory_bytes)
        if version != FORMAT_VERSION or not cost.reasonable:
            raise BackupDamaged("The backup's header makes no sense: it was forged.")
        key = find_wrapping_key(KeyInfo(KeyMethod.PASSPHRASE, salt=salt, cost=cost), secrets=secrets)
        sodium.crypto_secretstream_xchacha20poly1305_init_pull(self._state, stream_header, key)
        try:
            plain, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(self._state, opening, fixed)
        except (RuntimeError, ValueError):
            raise WrongKey("The passphrase does not open this backup.") from None
        if plain or tag != _MESSAGE:
            raise BackupDamaged("The backup's header makes no sense.")

    def _plain_chunks(self) -> Iterator[bytes]:
        while True:
            begin = self._place
            message = self._read(CHUNK_BYTES + OVERHEAD_BYTES)
            if len(message) < OVERHEAD_BYTES:
                raise BackupDamaged(f"The backup was cut short: it ends after {self._place} bytes.")
            try:
                chunk, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(self._state, message, None)
            except (RuntimeError, ValueError):
                where = f"between the bytes {begin} and {self._place}"
                if len(message) < CHUNK_BYTES + OVERHEAD_BYTES:
                    raise BackupDamaged(f"The backup was cut short, or is damaged {where}.") from None
                raise BackupDamaged(f"The backup is damaged, or was tampered with, {where}.") from None
            yield bytes(chunk)
            if tag == _FINAL:
                break
        if self._read(1):
            raise BackupDamaged(f"The backup goes on behind its end: it should have {self._place - 1} bytes.")

    def _describe(self) -> Description:
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size))
        if length > _DESCRIPTION_LIMIT:
            raise _senseless()
        return _decode(self._take(length))

    def _take(self, size: int) -> bytes:
        while len(self._held) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise _senseless()
            self._held += chunk
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def _read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end. A pipe gives what it has."""
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self._source.read(size - len(parts))
            except OSError as error:
                raise UnreadableInput(f"Can't read the backup: {error.strerror}.") from None
            if not part:
                break
            parts += part
        self._place += len(parts)
        return bytes(parts)


def _encode(description: Description) -> bytes:
    fields: dict[str, Any] = {name: getattr(description, name) for name in Description.__slots__}
    fields["database_key"] = description.database_key.hex()
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def _decode(encoded: bytes) -> Description:
    """Raises BackupDamaged. Fields that are not known here are passed over."""
    try:
        fields = json.loads(encoded)
        texts = {name: fields[name] for name in ("account_id", "profile", "network")}
        numbers = {name: fields[name] for name in ("created_ms", "messages", "schema", "database_bytes")}
        key = bytes.fromhex(fields["database_key"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _senseless() from None
    if (
        not all(type(text) is str for text in texts.values())
        or not all(type(number) is int and number >= 0 for number in numbers.values())
        or len(key) != KEY_BYTES
    ):
        raise _senseless()
    return Description(**texts, **numbers, database_key=key)


def _senseless() -> BackupDamaged:
    return BackupDamaged("The backup is whole, but what it says of itself makes no sense.")
